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
from scaling.findings.samples import Block, block, score_of
from scaling.findings.variances import gap, variance, with_intervals, with_means
from scaling.metrics import Metric


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
    _tables: dict[str, list[Components | None]] = field(default_factory=lambda: defaultdict(list))
    _gaps: dict[str, list[tuple[Gap, Measured]]] = field(default_factory=lambda: defaultdict(list))
    _raw: dict[Pair, list[Raw]] = field(default_factory=lambda: defaultdict(list))
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

    def read(self, samples: SampleSource) -> None:
        """Read all runs, n by n."""
        by_id = {curve.curve_id: curve for curve in self.curves}
        for n, means in self.means.items():
            blocks = {
                name: found for name in means if (found := block(by_id[name], n, self.metric, samples)) is not None
            }
            for name, found in blocks.items():
                self._describe(name, found)
            self.family += len(blocks) * (len(blocks) - 1) // 2
            self._compare(n, blocks)
        self._pool()

    def _describe(self, name: str, found: Block) -> None:
        table = found.table(rates=self.metric.bounded)
        row = variance(found, table, self.metric)
        self.rows[name].append(row)
        self._tables[name].append(table)
        self.unread += found.values is None
        made = gap(found, table, self.metric, row.test)
        if made is not None:
            self._gaps[name].append(made)

    def _pool(self) -> None:
        """Find the errors, each from the spread of seeds at all n together."""
        level = self.settings.level
        for name, rows in self.rows.items():
            self.rows[name] = list(with_means(rows, self._tables[name], level))
        self.gaps = {name: list(with_intervals(made, level)) for name, made in self._gaps.items()}
        made = [item for raw in self._raw.values() for item in with_errors(raw, level)]
        self.comparisons = sorted(made, key=lambda item: item.n)

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
