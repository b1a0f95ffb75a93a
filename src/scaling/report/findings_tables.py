"""What was found, as tables of the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from scaling.core.curves import Curve
from scaling.figures import short_labels
from scaling.findings import Findings, Ranks
from scaling.report.tables import SEEDS, Column, N, Table, share

DATASET, TEXT = Column("data set", "dataset"), Column("in words", "text")


#: A class's light: a sign and a word, so that colours are not needed.
LIGHTS = {"grows": "▲ grows", "flat": "■ flat", "too few to tell": "○ too few to tell"}
#: The parts of the page that have tables.
PARTS = ("comparisons", "ranks", "crossovers", "pretraining", "complexity", "variance", "costs", "classes")


def finding_tables(curves: Sequence[Curve], findings: Findings | None) -> dict[str, list[Table]]:
    """Return the tables of each part of the page, those that have rows; names leave out what all curves share."""
    if findings is None:
        return {name: [] for name in PARTS}
    names, _ = short_labels([curve.label for curve in curves])
    labels = {curve.curve_id: name for curve, name in zip(curves, names, strict=True)}
    tables = (
        [comparisons(findings, labels)],
        [ranks(i, entry, labels) for i, entry in enumerate(findings.ranks)],
        [crossovers(findings, labels)],
        [pretraining(findings, labels)],
        [sizes(findings), relations(findings)],
        [variance(findings, labels)],
        [costs(findings, labels)],
        [classes(findings, labels)],
    )
    return {name: [table for table in made if table.rows] for name, made in zip(PARTS, tables, strict=True)}


def comparisons(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a pair of curves and n."""
    columns: tuple[Column, ...] = (
        DATASET, N, Column("a", "a"), Column("b", "b"), SEEDS, share("a − b", "difference", "+"),
        share("low", "low", "+"), share("high", "high", "+"), Column("p", "p", ".2g"),
        Column("p adjusted", "p_adjusted", ".2g"), Column("better", "verdict"), Column("rests on", "test"),
    )  # fmt: skip
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (
            c.dataset, c.n, labels.get(c.a, c.a), labels.get(c.b, c.b), c.seeds, c.difference, c.low, c.high, c.p,
            c.p_adjusted, c.verdict, c.test,
        )
        for c in findings.comparisons
    )  # fmt: skip
    title = f"Pairs of curves at the same n, with {100 * (1 - findings.settings.level):g} % intervals of each by itself"
    if len({c.dataset for c in findings.comparisons}) == 1:
        columns, rows = columns[1:], tuple(row[1:] for row in rows)
    return Table("comparisons", title, columns, rows)


def ranks(position: int, found: Ranks, labels: Mapping[str, str]) -> Table:
    """Return one row a curve, one column an n."""
    columns = (Column("curve", "curve"), *(Column(f"n = {n}", str(n), "g") for n in found.n))
    rows = tuple((labels.get(curve, curve), *row) for curve, row in zip(found.curves, found.ranks, strict=True))
    return Table(f"ranks-{position}", f"{found.dataset}: rank at each n, 1 is best", columns, rows)


def crossovers(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a pair of curves that cross."""
    size = ",.3g"
    columns = (
        DATASET, Column("leads before", "a"), Column("leads after", "b"), Column("n", "n", size),
        Column("low", "low", size), Column("high", "high", size), TEXT,
    )  # fmt: skip
    rows = tuple(
        (c.dataset, labels.get(c.a, c.a), labels.get(c.b, c.b), c.n, c.low, c.high, c.text)
        for c in findings.crossovers
    )  # fmt: skip
    return Table("crossovers", "Where one curve overtakes another, with a 90 % interval", columns, rows)


def pretraining(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a pair of curves and n."""
    columns = (
        Column("pre-trained", "a"), Column("from scratch", "b"), N, SEEDS, share("gain", "gain", "+"),
        share("low", "low", "+"), share("high", "high", "+"),
    )  # fmt: skip
    rows = tuple(
        (labels.get(pair.a, pair.a), labels.get(pair.b, pair.b), g.n, g.seeds, g.gain, g.low, g.high)
        for pair in findings.pretraining
        for g in pair.gains
    )
    return Table("pretraining", "What pre-training gains at each n, seeds paired", columns, rows)


def variance(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a curve and n."""
    columns = (
        Column("curve", "curve"), N, SEEDS, share("mean", "mean"), share("sd of draws", "draw"),
        Column("how", "draw_how"), share("sd of test set", "test"), Column("how", "test_how"),
        share("low", "low"), share("high", "high"),
    )  # fmt: skip
    rows = tuple(
        (labels.get(curve.curve_id, curve.label), v.n, v.seeds, v.mean, v.draw, v.draw_how, v.test, v.test_how, v.low,
         v.high)
        for curve in findings.curves
        for v in curve.variance
    )  # fmt: skip
    return Table("variance", "Subset draws and the finite test set, kept apart", columns, rows)


def classes(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a curve and class, those first that twice the n helps most."""
    columns: tuple[Column, ...] = (
        Column("curve", "curve"), Column("class", "class"), Column("labels", "light"),
        Column("test samples", "tested", "d"), share("now", "now"), share("at 2 n", "double"), share("low", "low"),
        share("high", "high"), share("gain", "gain", "+"), share("low", "gain_low", "+"),
        share("high", "gain_high", "+"),
    )  # fmt: skip
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (
            labels.get(c.curve_id, c.curve_id), c.name, LIGHTS[c.light], c.tested, c.now, c.double, c.low, c.high,
            c.gain, c.gain_low, c.gain_high,
        )
        for c in sorted(findings.classes, key=lambda c: (c.gain is None, -(c.gain or 0.0)))
    )  # fmt: skip
    if len({c.curve_id for c in findings.classes}) == 1:
        columns, rows = columns[1:], tuple(row[1:] for row in rows)
    title = "Classes at the largest n and at twice it, what that buys, with 90 % intervals"
    return Table("classes", title, columns, rows)


def costs(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a curve and n."""
    seconds = ",.2f"
    columns = (
        Column("curve", "curve"), N, SEEDS, Column("fit, s", "fit_seconds", seconds),
        Column("features, s", "feature_seconds", seconds), Column("whole run, s", "seconds", seconds),
        Column(f"{findings.metric.words} per hour", "per_hour", ",.1f"), Column("machine", "machine"),
    )  # fmt: skip
    rows = tuple(
        (labels.get(c.curve_id, c.curve_id), c.n, c.seeds, c.fit_seconds, c.feature_seconds, c.seconds, c.per_hour,
         c.machine)
        for c in findings.costs
        if c.fit_seconds is not None or c.seconds is not None
    )  # fmt: skip
    return Table("costs", "What a point takes, means over seeds", columns, rows)


def sizes(findings: Findings) -> Table:
    """Return one row a curve whose model's size is known."""
    columns = (
        Column("model", "model"), DATASET, Column("adaptation", "adaptation"),
        Column("parameters", "parameters", ",.3g"), Column("FLOPs an image", "flops", ",.3g"),
        share("exponent", "exponent"), share("low", "low"), share("high", "high"), share("asymptote", "asymptote"),
        Column("saturation n", "saturation", ",.3g"), share("error at shared n", "error"),
    )  # fmt: skip
    rows = tuple(
        (r.model, r.dataset, r.adaptation, r.parameters, r.flops, r.exponent, *r.bounds.get("exponent", (None, None)),
         r.asymptote, r.saturation, r.error)
        for r in findings.complexity.rows
        if r.parameters is not None or r.flops is not None
    )  # fmt: skip
    return Table("sizes", "Curves beside the size of their models, exponents with 90 % intervals", columns, rows)


def relations(findings: Findings) -> Table:
    """Return one row a quantity and measure of size."""
    columns = (
        DATASET, Column("adaptation", "adaptation"), Column("size", "size"), Column("quantity", "quantity"),
        Column("models", "models", "d"), Column("Kendall's τ", "tau", "+.2f"), Column("p", "p", ".2g"), TEXT,
    )  # fmt: skip
    rows = tuple(
        (r.dataset, r.adaptation, r.size, r.quantity, r.models, r.tau, r.p, r.text)
        for r in findings.complexity.relations
    )
    return Table("relations", "Does scalability go with the size of the model?", columns, rows)
