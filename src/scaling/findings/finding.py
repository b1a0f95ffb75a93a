"""Everything that a report says of its curves: first n by n, while predictions are at hand, then curve by curve."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling.core.curves import Curve
from scaling.core.errors import SettingError
from scaling.core.metrics import Metric, metric_of
from scaling.findings.complexity import complexity
from scaling.findings.costs import costs
from scaling.findings.curve import curve_findings
from scaling.findings.orders import Duel, crossover, duels, rank_table
from scaling.findings.pairs import ALL_PAIRS, Pair, compare, judged, paired_rows, pairs_at, scratch_pairs
from scaling.findings.results import (
    Comparison,
    Crossover,
    Findings,
    Gain,
    Gap,
    PredictionSource,
    Pretraining,
    Ranks,
    Settings,
    Variance,
)  # fmt: skip
from scaling.findings.samples import Block, block, score_of
from scaling.findings.variances import gap, variance


def find(curves: Sequence[Curve], predictions: PredictionSource, settings: Settings | None = None) -> Findings:
    """Find what curves say.

    Args:
        curves: all curves of a report.
        predictions: where their stored predictions come from; each run is asked for at most once, n by n.
        settings: what is asked.

    Raises:
        SettingError: an unknown metric, one that no run logged, or a target that it can't reach.
    """
    settings = settings or Settings()
    metric = checked_metric(settings)
    notes = []
    shown = [curve for curve in curves if any(np.isfinite(score_of(point, metric)) for point in curve.points)]
    if not shown:
        raise SettingError(f"metric={settings.metric}: no run logged {metric.name}.")
    if left := [curve.label for curve in curves if curve not in shown]:
        notes.append(f"{metric.name} was not logged by the runs of {', '.join(left)}.")
    labels = {curve.curve_id: curve.label for curve in shown}
    scratch = scratch_pairs(shown)
    by_dataset: dict[str, list[Curve]] = defaultdict(list)
    for curve in shown:
        by_dataset[curve.points[0].dataset].append(curve)
    tables = [Table(name, group, metric, settings, scratch) for name, group in by_dataset.items()]
    for table in tables:
        table.read(predictions)
    comparisons = tuple(
        judged(
            [item for table in tables for item in table.comparisons],
            sum(table.family for table in tables),
            metric,
            settings,
            labels,
        )
    )
    rows = {curve_id: kept for table in tables for curve_id, kept in table.rows.items()}
    gaps = {curve_id: kept for table in tables for curve_id, kept in table.gaps.items()}
    found = tuple(curve_findings(c, metric, settings, rows[c.curve_id], gaps.get(c.curve_id, ())) for c in shown)
    last = {curve_id: metric.error(kept[-1].mean) for curve_id, kept in rows.items()}
    notes += [note for table in tables for note in table.notes()]
    return Findings(
        metric=metric,
        settings=settings,
        curves=found,
        comparisons=comparisons,
        ranks=tuple(ranked for table in tables if (ranked := table.ranks(labels)) is not None),
        crossovers=tuple(crossed for table in tables for crossed in table.crossovers(labels)),
        pretraining=tuple(pretraining(scratch, comparisons, metric, settings, labels)),
        costs=tuple(costs(shown, metric)),
        complexity=complexity(shown, found, last),
        notes=tuple(notes),
    )


def checked_metric(settings: Settings) -> Metric:
    """Return the metric that is asked for; its targets have to be within reach."""
    metric = metric_of(settings.metric)
    for target in settings.targets:
        if not metric.error(target) > 0 or (metric.bounded and not target > 0):
            expected = "a value above 0 and below 1" if metric.bounded else "a value above 0"
            raise SettingError(f"targets={list(settings.targets)}: {target} of {metric.name}, expected {expected}.")
    return metric


@dataclass
class Table:
    """All curves of one data set, read n by n, so that the predictions of one n are held at a time."""

    dataset: str
    curves: Sequence[Curve]
    metric: Metric
    settings: Settings
    scratch: Sequence[Pair]
    rows: dict[str, list[Variance]] = field(default_factory=lambda: defaultdict(list))
    gaps: dict[str, list[Gap]] = field(default_factory=lambda: defaultdict(list))
    comparisons: list[Comparison] = field(default_factory=list)
    family: int = 0
    unpaired: int = 0
    unread: int = 0

    def __post_init__(self) -> None:
        self.means = self._means()
        self.duels: list[Duel] = duels(self.means, self.metric)

    def _means(self) -> dict[int, dict[str, float]]:
        means: dict[int, dict[str, float]] = defaultdict(dict)
        for curve in self.curves:
            for n in curve.n.tolist():
                scores = [value for p in curve.at(n) if np.isfinite(value := score_of(p, self.metric))]
                if scores:
                    means[n][curve.curve_id] = float(np.mean(scores))
        return dict(sorted(means.items()))

    def read(self, predictions: PredictionSource) -> None:
        """Read all runs, n by n."""
        by_id = {curve.curve_id: curve for curve in self.curves}
        for n, means in self.means.items():
            blocks = {
                name: found for name in means if (found := block(by_id[name], n, self.metric, predictions)) is not None
            }
            for name, found in blocks.items():
                self._describe(name, found)
            self.family += len(blocks) * (len(blocks) - 1) // 2
            self._compare(n, blocks)

    def _describe(self, name: str, found: Block) -> None:
        row = variance(found, self.metric, self.settings.level)
        self.rows[name].append(row)
        self.unread += found.values is None
        made = gap(found, self.metric, self.settings.level, row.test)
        if made is not None:
            self.gaps[name].append(made)

    def _compare(self, n: int, blocks: Mapping[str, Block]) -> None:
        for a, b in pairs_at(self.means[n], self.metric.higher_is_better, self.scratch):
            made = compare(blocks[a], blocks[b], self.metric, self.settings)
            if made is None:
                self.unpaired += 1
            else:
                self.comparisons.append(made)
        for duel in self.duels:
            if duel.pair[0] in blocks and duel.pair[1] in blocks:
                rows = paired_rows(blocks[duel.pair[0]], blocks[duel.pair[1]])
                if rows is not None:
                    duel.add(n, rows, self.metric)

    def ranks(self, labels: Mapping[str, str]) -> Ranks | None:
        """Return the order of the curves over n."""
        return rank_table(self.dataset, self.means, self.metric, labels)

    def crossovers(self, labels: Mapping[str, str]) -> Iterator[Crossover]:
        """Yield where curves whose order changes cross."""
        for duel in self.duels:
            if len(duel.n) > 1:
                yield crossover(self.dataset, duel, labels)

    def notes(self) -> Iterator[str]:
        """Say what was left out."""
        if any(len(means) > ALL_PAIRS for means in self.means.values()):
            yield (
                f"{self.dataset}: of more than {ALL_PAIRS} curves at one n each is compared with the best and with its"
                " neighbours in rank; p-values are corrected for all pairs. Crossovers are sought among curves that"
                " rank first at some n."
            )
        if self.unpaired:
            yield f"{self.dataset}: {self.unpaired} pairs of curves share no seed at an n and are not compared there."
        if self.unread:
            yield (
                f"{self.dataset}: at {self.unread} points of curves predictions can't be had or don't tell"
                f" {self.metric.name}; intervals there rest on seeds alone."
            )


def pretraining(
    pairs: Sequence[Pair],
    comparisons: Sequence[Comparison],
    metric: Metric,
    settings: Settings,
    labels: Mapping[str, str],
) -> Iterator[Pretraining]:
    """Yield what pre-training gains over n, from the comparisons of the pairs."""
    for a, b in pairs:
        of = [item for item in comparisons if {item.a, item.b} == {a, b}]
        gains = tuple(gain(item, a) for item in sorted(of, key=lambda item: item.n))
        if gains:
            parts = [_gain_words(made, settings) for made in gains]
            text = f"{labels[a]} against {labels[b]}, {metric.title}: {'; '.join(parts)}."
            yield Pretraining(of[0].dataset, a, b, gains, text)


def gain(item: Comparison, a: str) -> Gain:
    """Return a comparison seen from the pre-trained curve a."""
    if item.a == a or item.low is None or item.high is None:
        sign = 1 if item.a == a else -1
        return Gain(item.n, item.seeds, sign * item.difference, item.low, item.high, item.test)
    return Gain(item.n, item.seeds, -item.difference, -item.high, -item.low, item.test)


def _gain_words(made: Gain, settings: Settings) -> str:
    if made.low is None or made.high is None:
        return f"{made.gain:+.4f} at n = {made.n}"
    return f"{made.gain:+.4f} at n = {made.n} ({100 * (1 - settings.level):g} %: {made.low:+.4f} to {made.high:+.4f})"
