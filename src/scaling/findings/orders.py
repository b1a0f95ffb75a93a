"""How the order of curves changes over n: ranks, and where one overtakes another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from scaling.core.comparisons import PAIR_PSEUDO
from scaling.core.crossover import Crossing, crossing, differences
from scaling.core.ranks import association, concordance
from scaling.core.variance import components
from scaling.core.words import about
from scaling.findings.pairs import ALL_PAIRS, NO_DRAWS, Pair, PairedRows
from scaling.findings.results import Comparison, Crossover, Floats, Ranks
from scaling.metrics import Metric

#: Means of curves (curve_id) at each n.
Means = Mapping[int, Mapping[str, float]]


def rank_table(dataset: str, means: Means, metric: Metric, labels: Mapping[str, str]) -> Ranks | None:
    """Rank a data set's curves at each n; None where no n has two curves."""
    from scipy.stats import rankdata

    sizes = [n for n in sorted(means) if len(means[n]) > 1]
    if not sizes:
        return None
    names = sorted({name for n in sizes for name in means[n]}, key=labels.__getitem__)
    sign = -1.0 if metric.higher_is_better else 1.0
    found = [dict(zip(means[n], rankdata([sign * m for m in means[n].values()]).tolist(), strict=True)) for n in sizes]
    table = [[row.get(name) for name in names] for row in found]
    everywhere = [i for i, column in enumerate(zip(*table, strict=True)) if None not in column]
    whole = np.array([[row[i] for i in everywhere] for row in table], dtype=np.float64)
    # Curves that are missing at some n shift the ranks of the others: they are ranked anew.
    agreement = concordance([rankdata(row) for row in whole])
    steps = tuple(_step(means[here], means[there]) for here, there in pairwise(sizes))
    text = _words(sizes, names, table, agreement, labels)
    columns = tuple(zip(*table, strict=True))
    return Ranks(dataset, tuple(sizes), tuple(names), columns, steps, agreement, text)


def _step(here: Mapping[str, float], there: Mapping[str, float]) -> float | None:
    both = [name for name in here if name in there]
    return association([here[name] for name in both], [there[name] for name in both]).tau


def _words(
    sizes: Sequence[int],
    names: Sequence[str],
    table: Sequence[Sequence[float | None]],
    agreement: float | None,
    labels: Mapping[str, str],
) -> str:
    def leader(row: Sequence[float | None]) -> str:
        best = min(rank for rank in row if rank is not None)
        first = [labels[name] for rank, name in zip(row, names, strict=True) if rank == best]
        return " and ".join(first) + (" (equal)" if len(first) > 1 else "")

    spans = [(name, [n for n, _ in group]) for name, group in groupby(
        ((n, leader(row)) for n, row in zip(sizes, table, strict=True)), key=lambda at: at[1]
    )]  # fmt: skip
    if len(spans) == 1 and len(sizes) > 1:
        text = f"By its mean {spans[0][0]} ranks first at every n."
    else:
        told = (f"{name} at n = {run[0]}" + (f" to {run[-1]}" if len(run) > 1 else "") for name, run in spans)
        text = f"By its mean ranks first: {'; '.join(told)}."
    if agreement is None:
        return text
    return f"{text} Over n the ranks agree to W = {agreement:.2f} (1: one order at every n, 0: none)."


def with_lead(found: Ranks, comparisons: Sequence[Comparison]) -> Ranks:
    """Say how often the first of the ranks is surely ahead of the next: ranks themselves are those of the means."""
    sure = {(item.n, frozenset((item.a, item.b))) for item in comparisons if item.verdict != "open"}
    told = 0
    for n, column in zip(found.n, zip(*found.ranks, strict=True), strict=True):
        order = sorted((rank, name) for rank, name in zip(column, found.curves, strict=True) if rank is not None)
        told += (n, frozenset(name for _, name in order[:2])) in sure
    return replace(found, text=f"{found.text} The lead over the next curve can be told at {told} of {len(found.n)} n.")


@dataclass
class Duel:
    """What is kept of a pair of curves from n to n until their crossover can be sought."""

    pair: Pair
    n: list[int] = field(default_factory=list)
    by_seed: list[Floats] = field(default_factory=list)
    samples: list[NDArray[np.float32] | None] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    drawn: list[bool] = field(default_factory=list)

    def add(self, n: int, rows: PairedRows, metric: Metric) -> None:
        """Take the pair's rows at the next n."""
        sign = 1.0 if metric.higher_is_better else -1.0
        scores = sign * (rows.scores[0] - rows.scores[1])
        self.n.append(n)
        self.drawn.append(not (rows.a.same and rows.b.same))
        self.by_seed.append(scores[:1] if rows.a.same and rows.b.same else scores)
        if rows.values is None:
            self.samples.append(None)
            self.residual.append(0.0)
            return
        d = np.float32(sign) * (rows.values[0] - rows.values[1])
        table = components(d, PAIR_PSEUDO if metric.bounded else ())
        self.samples.append(d.mean(0))
        self.residual.append(table.residual / (table.seeds * table.tested))

    @property
    def one_seed(self) -> bool:
        """Whether each n has one seed, so that nothing tells how much draws vary."""
        return all(len(scores) < 2 for scores in self.by_seed)

    def crossing(self) -> Crossing | None:
        """Find the crossover; None where neither seeds nor predictions say how sure the differences are."""
        samples = [kept for kept in self.samples if kept is not None]
        known = len(samples) == len(self.samples) and len({len(kept) for kept in samples}) == 1
        if not known and self.one_seed:
            return None
        n, residual, drawn = np.array(self.n, dtype=np.float64), np.array(self.residual), np.array(self.drawn)
        return crossing(differences(n, self.by_seed, np.stack(samples) if known else None, residual, drawn))


def duels(means: Means, metric: Metric) -> list[Duel]:
    """Choose the pairs of a data set's curves whose order changes; of many curves, of those that lead somewhere."""
    names = list(dict.fromkeys(name for n in sorted(means) for name in means[n]))
    if len(names) > ALL_PAIRS:
        best = max if metric.higher_is_better else min
        leading = {best(at, key=at.__getitem__) for at in means.values() if len(at) > 1}
        names = [name for name in names if name in leading]
    changing = []
    for a, b in combinations(names, 2):
        gaps = [at[a] - at[b] for at in means.values() if a in at and b in at]
        if min(gaps, default=0.0) < 0 < max(gaps, default=0.0):
            changing.append(Duel((a, b)))
    return changing


def crossover(dataset: str, duel: Duel, labels: Mapping[str, str]) -> Crossover:
    """State where the curves of a pair cross, or why it can't be told."""
    found = duel.crossing()
    a, b = duel.pair
    if found is None or found.n is None or found.low is None or found.high is None:
        why = (
            ": one seed, and no stored predictions."
            if found is None
            else " from these points: their order changes, but not by more than seeds and test samples explain."
        )
        text = f"Where {labels[a]} and {labels[b]} cross cannot be told{why}"
        return Crossover(dataset, a, b, None, None, None, False, text)
    if not found.overtaken:
        a, b = b, a
    between = f"{about(found.low)} to {about(found.high)}"
    text = f"{labels[b]} overtakes {labels[a]} at about n = {about(found.n)} (90 %: {between})."
    if found.changes > 1:
        text += f" It is the last of {found.changes} changes of the lead that can be told."
    if any(duel.drawn) and duel.one_seed:
        text += NO_DRAWS
    return Crossover(dataset, a, b, found.n, found.low, found.high, True, text)
