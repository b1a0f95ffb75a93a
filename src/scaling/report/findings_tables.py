"""What was found, as tables of the page."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from scaling.core.curves import Curve
from scaling.figures import short_labels
from scaling.findings import Findings, Ranks
from scaling.report.tables import SEEDS, Column, N, Table, share

DATASET, ADAPTATION = Column("data set", "dataset"), Column("adaptation", "adaptation")
CURVE, TEXT = Column("curve", "curve_id"), Column("in words", "text")
LOW, HIGH = share("low", "low", "+"), share("high", "high", "+")

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


def rows(
    columns: Sequence[Column], items: Iterable[Any], labels: Mapping[str, str] | None = None
) -> tuple[tuple[Any, ...], ...]:
    """Return a row an item, of the attributes that columns are named by; curve_ids become labels."""
    names = [column.name for column in columns]
    shown = [(labels or {}) if name in ("a", "b", "curve_id") else {} for name in names]
    found = map(attrgetter(*names), items)
    return tuple(tuple(known.get(value, value) for known, value in zip(shown, row, strict=True)) for row in found)


def comparisons(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a pair of curves and n."""
    one = len({c.dataset for c in findings.comparisons}) == 1
    columns = (
        *(() if one else (DATASET,)), N, Column("a", "a"), Column("b", "b"), SEEDS,
        share("a − b", "difference", "+"), LOW, HIGH, Column("p", "p", ".2g"),
        Column("p adjusted", "p_adjusted", ".2g"), Column("better", "verdict"), Column("rests on", "test"),
    )  # fmt: skip
    title = f"Pairs of curves at the same n, with {100 * (1 - findings.settings.level):g} % intervals of each by itself"
    return Table("comparisons", title, columns, rows(columns, findings.comparisons, labels))


def ranks(position: int, found: Ranks, labels: Mapping[str, str]) -> Table:
    """Return one row a curve, one column an n."""
    columns = (CURVE, *(Column(f"n = {n}", str(n), "g") for n in found.n))
    places = tuple((labels.get(curve, curve), *row) for curve, row in zip(found.curves, found.ranks, strict=True))
    return Table(f"ranks-{position}", f"{found.dataset}: rank at each n, 1 is best", columns, places)


def crossovers(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a pair of curves that cross."""
    columns = (
        DATASET, Column("leads before", "a"), Column("leads after", "b"),
        *(Column(name, name, ",.3g") for name in ("n", "low", "high")), TEXT,
    )  # fmt: skip
    title = "Where one curve overtakes another, with a 90 % interval"
    return Table("crossovers", title, columns, rows(columns, findings.crossovers, labels))


def pretraining(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a pair of curves and n."""
    pair = (Column("pre-trained", "a"), Column("from scratch", "b"))
    gain = (N, SEEDS, share("gain", "gain", "+"), LOW, HIGH)
    found = [
        (*curves, *row)
        for entry, curves in zip(findings.pretraining, rows(pair, findings.pretraining, labels), strict=True)
        for row in rows(gain, entry.gains)
    ]
    return Table("pretraining", "What pre-training gains at each n, seeds paired", (*pair, *gain), tuple(found))


def variance(findings: Findings, labels: Mapping[str, str]) -> Table:
    """Return one row a curve and n."""
    columns = (
        N, SEEDS, share("mean", "mean"), share("sd of draws", "draw"), Column("how", "draw_how"),
        share("sd of test set", "test"), Column("how", "test_how"), share("low", "low"), share("high", "high"),
    )  # fmt: skip
    found = [
        (labels.get(curve.curve_id, curve.label), *row)
        for curve in findings.curves
        for row in rows(columns, curve.variance)
    ]
    return Table("variance", "Subset draws and the finite test set, kept apart", (CURVE, *columns), tuple(found))


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
    columns = (
        CURVE, N, SEEDS, Column("fit, s", "fit_seconds", ",.2f"), Column("features, s", "feature_seconds", ",.2f"),
        Column("whole run, s", "seconds", ",.2f"), Column(f"{findings.metric.words} per hour", "per_hour", ",.1f"),
        Column("machine", "machine"),
    )  # fmt: skip
    known = [c for c in findings.costs if c.fit_seconds is not None or c.seconds is not None]
    return Table("costs", "What a point takes, means over seeds", columns, rows(columns, known, labels))


def sizes(findings: Findings) -> Table:
    """Return one row a curve whose model's size is known."""
    columns = (
        Column("model", "model"), DATASET, ADAPTATION, Column("parameters", "parameters", ",.3g"),
        Column("FLOPs an image", "flops", ",.3g"), share("exponent", "exponent"), share("asymptote", "asymptote"),
        Column("saturation n", "saturation", ",.3g"), share("error at shared n", "error"),
    )  # fmt: skip
    known = [row for row in findings.complexity.rows if row.parameters is not None or row.flops is not None]
    bounds = [row.bounds.get("exponent", (None, None)) for row in known]
    found = [(*row[:6], *ends, *row[6:]) for row, ends in zip(rows(columns, known), bounds, strict=True)]
    title = "Curves beside the size of their models, exponents with 90 % intervals"
    return Table("sizes", title, (*columns[:6], share("low", "low"), share("high", "high"), *columns[6:]), tuple(found))


def relations(findings: Findings) -> Table:
    """Return one row a quantity and measure of size."""
    columns = (
        DATASET, ADAPTATION, Column("size", "size"), Column("quantity", "quantity"), Column("models", "models", "d"),
        Column("Kendall's τ", "tau", "+.2f"), Column("p", "p", ".2g"), TEXT,
    )  # fmt: skip
    title = "Does scalability go with the size of the model?"
    return Table("relations", title, columns, rows(columns, findings.complexity.relations))
