"""All curves of one data set, read n by n, while predictions are at hand."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling.core.curves import Curve
from scaling.core.variance import Components, Measured
from scaling.findings.asked import SampleSource, Settings
from scaling.findings.orders import Duel, crossover, duels, rank_table
from scaling.findings.pairs import ALL_PAIRS, Pair, Raw, compare, paired_rows, pairs_at, with_errors
from scaling.findings.results import Comparison, Crossover, Gap, Ranks, Variance
from scaling.findings.samples import Block, block
from scaling.findings.variances import gap, variance, with_intervals, with_means
from scaling.metrics import Metric


@dataclass
class CurveSet:
    """All curves of one data set, read n by n, so that the predictions of one n are held at a time."""

    dataset: str
    curves: Sequence[Curve]
    metric: Metric
    settings: Settings
    scratch: Sequence[Pair]
    rows: dict[str, list[Variance]] = field(default_factory=lambda: defaultdict(list))
    gaps: dict[str, list[Gap]] = field(default_factory=lambda: defaultdict(list))
    comparisons: list[Comparison] = field(default_factory=list)
    _raw: dict[Pair, list[Raw]] = field(default_factory=lambda: defaultdict(list))
    family: int = 0
    unpaired: int = 0
    unread: int = 0

    def __post_init__(self) -> None:
        known = [(n, curve) for curve in self.curves for n in curve.n.tolist() if curve.logged(self.metric.key, n)]
        self.means: dict[int, dict[str, float]] = {n: {} for n, _ in sorted(known, key=lambda at: at[0])}
        for n, curve in known:
            self.means[n][curve.curve_id] = float(np.mean(curve.logged(self.metric.key, n)))
        self.duels: list[Duel] = duels(self.means, self.metric)

    def read(self, samples: SampleSource) -> None:
        """Read all runs, n by n, then find the errors, each from the spread of seeds at all n together."""
        by_id = {curve.curve_id: curve for curve in self.curves}
        tables: dict[str, list[Components | None]] = defaultdict(list)
        gaps: dict[str, list[tuple[Gap, Measured]]] = defaultdict(list)
        for n, means in self.means.items():
            read = {name: block(by_id[name], n, self.metric, samples) for name in means}
            blocks = {name: found for name, found in read.items() if found is not None}
            for name, found in blocks.items():
                table = found.table(rates=self.metric.bounded)
                self.rows[name].append(variance(found, table, self.metric))
                tables[name].append(table)
                self.unread += found.values is None
                if made := gap(found, table, self.metric, self.rows[name][-1].test):
                    gaps[name].append(made)
            self.family += len(blocks) * (len(blocks) - 1) // 2
            self._compare(n, blocks)
        level = self.settings.level
        for name, rows in self.rows.items():
            self.rows[name] = list(with_means(rows, tables[name], level))
        self.gaps = {name: list(with_intervals(found, level)) for name, found in gaps.items()}
        compared = [item for raw in self._raw.values() for item in with_errors(raw, level)]
        self.comparisons = sorted(compared, key=lambda item: item.n)

    def _compare(self, n: int, blocks: Mapping[str, Block]) -> None:
        for a, b in pairs_at(self.means[n], self.metric.higher_is_better, self.scratch):
            made = compare(blocks[a], blocks[b], self.metric)
            if made is None:
                self.unpaired += 1
            else:
                self._raw[a, b].append(made)
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
                " neighbours in rank; p-values are corrected for all pairs."
            )
        if len(self.curves) > ALL_PAIRS:
            yield (
                f"{self.dataset}: of more than {ALL_PAIRS} curves crossovers are sought among those that rank first at"
                " some n."
            )
        if self.unpaired:
            yield f"{self.dataset}: {self.unpaired} pairs of curves share no seed at an n and are not compared there."
        if self.unread:
            yield (
                f"{self.dataset}: at {self.unread} points of curves predictions can't be had or don't tell"
                f" {self.metric.key}; intervals there rest on seeds alone."
            )
