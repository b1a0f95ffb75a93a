"""Which curves are compared at each n, and what comes of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from scaling.core.comparisons import holm, mcnemar, merged, over_seeds, paired
from scaling.core.curves import Curve
from scaling.core.variance import Measured, estimates, t_quantile
from scaling.core.words import about
from scaling.findings.asked import Settings
from scaling.findings.results import Comparison
from scaling.findings.samples import Block
from scaling.metrics import Metric

#: Up to this many curves all pairs are compared; above it each with the best, and with its neighbours in rank.
ALL_PAIRS = 8
Pair = tuple[str, str]
SEEDS_AND_SAMPLES = "test samples and seeds paired"
SAMPLES_ALONE = "test samples paired, one seed"
EXACT = "McNemar, exact"
SEEDS_ALONE = "seeds paired, test set as it is"
NONE = "none: one seed and no stored predictions, or seeds that never differ"
#: Said where a difference rests on one measurement of each side.
NO_DRAWS = " One measurement each: other draws are not counted."
#: Said where the spread of draws at one seed is that of the other n.
BORROWED = f"{SAMPLES_ALONE}; draws vary as at other n"


def scratch_pairs(curves: Sequence[Curve]) -> list[Pair]:
    """Return (pre-trained, from scratch) curve_ids of curves that differ in nothing else."""
    groups: dict[tuple[object, ...], dict[bool, list[str]]] = {}
    for curve in curves:
        point = curve.points[0]
        random = point.settings.get("model.pretrained", "True").lower() == "false"
        sides = groups.setdefault(_but_for_weights(curve), {False: [], True: []})
        sides[random].append(curve.curve_id)
    return [(a, b) for sides in groups.values() for a in sides[False] for b in sides[True]]


#: Settings in which a pre-trained model and one from random weights may differ.
OF_WEIGHTS = frozenset(
    f"model.{name}"
    for name in ("id", "pretrained", "weights", "weights_match", "weights_need", "tag", "init_seed", "label_space")
)


def _but_for_weights(curve: Curve) -> tuple[object, ...]:
    point = curve.points[0]
    kept = tuple(sorted((key, value) for key, value in point.settings.items() if key not in OF_WEIGHTS))
    # Without the name of a network there is nothing that could be trained from scratch.
    network = point.settings.get("model.name") or curve.curve_id
    return point.dataset, point.adaptation, network, kept


def pairs_at(means: Mapping[str, float], higher: bool, always: Collection[Pair]) -> list[Pair]:
    """Choose the pairs of curves to compare at one n.

    Args:
        means: metric of each curve, by curve_id in the order of their labels.
        higher: whether more is better.
        always: pairs that are compared whatever their rank.
    """
    names = list(means)
    if len(names) <= ALL_PAIRS:
        return list(combinations(names, 2))
    ranked = sorted(names, key=lambda name: -means[name] if higher else means[name])
    wanted = {frozenset(pair) for pair in [*((ranked[0], name) for name in ranked[1:]), *pairwise(ranked), *always]}
    return [pair for pair in combinations(names, 2) if frozenset(pair) in wanted]


@dataclass(frozen=True)
class PairedRows:
    """Two curves at one n, reduced to the seeds that both have; values (S, m) where both have predictions."""

    a: Block
    b: Block
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    values: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    seeds: int


def paired_rows(a: Block, b: Block) -> PairedRows | None:
    """Pair two curves seed by seed, one result that stands for all seeds with each; None where they share no seed."""
    rows = [(a.row(seed), b.row(seed)) for seed in sorted({*a.seeds, *b.seeds})]
    common = [(i, j) for i, j in rows if i is not None and j is not None]
    if not common:
        return None
    left, right = (list(side) for side in zip(*common, strict=True))
    scores = (a.scores[left], b.scores[right])
    if a.values is None or b.values is None or a.test_set != b.test_set:  # two test sets
        return PairedRows(a, b, scores, None, len(common))
    # Seeds that share subset and result are one measurement.
    once = slice(0, 1) if a.same and b.same else slice(None)
    return PairedRows(a, b, scores, (a.values[left][once], b.values[right][once]), len(common))


#: A comparison before its error is known from the pair's comparisons at all n, and what it will be known from.
Raw = tuple[Comparison, Measured]


def compare(a: Block, b: Block, metric: Metric) -> Raw | None:
    """Compare two curves at one n; None where they share no seed."""
    rows = paired_rows(a, b)
    if rows is None:
        return None
    exact: tuple[float, ...] = ()
    if rows.values is None:
        measured, test = over_seeds(*rows.scores), SEEDS_ALONE
    else:
        measured = Measured.of(paired(*rows.values, rates=metric.bounded), drawn=not (a.shared and b.shared))
        test = SEEDS_AND_SAMPLES if measured.seeds > 1 else SAMPLES_ALONE
        if metric.counts:
            exact = tuple(mcnemar(x > 0.5, y > 0.5) for x, y in zip(*rows.values, strict=True))
    found = Comparison(
        dataset=a.points[0].dataset,
        n=a.n,
        a=a.curve.curve_id,
        b=b.curve.curve_id,
        seeds=rows.seeds,
        tested=None if rows.values is None else rows.values[0].shape[1],
        difference=float((rows.scores[0] - rows.scores[1]).mean()),
        test=test,
        mcnemar=exact,
        mcnemar_merged=merged(exact) if exact else None,
    )
    return found, measured


def with_errors(raw: Sequence[Raw], level: float) -> Iterator[Comparison]:
    """Yield the comparisons of one pair at all n with their intervals and p, from the spread of seeds at all n."""
    errors = estimates([found.n for found, _ in raw], [measured for _, measured in raw])
    for (found, measured), error in zip(raw, errors, strict=True):
        if error is None:
            alike = found.difference == 0 and found.tested is not None  # two predictors that never differ
            yield replace(found, low=0.0, high=0.0, p=1.0) if alike else replace(found, test=NONE)
            continue
        p, test = error.p, found.test
        if measured.seeds == 1 and error.freedom == inf and found.mcnemar:
            p, test = found.mcnemar[0], f"{EXACT}; {found.test}"
        elif found.test == SAMPLES_ALONE and error.freedom < inf:
            test = BORROWED
        low, high = error.interval(level)
        yield replace(found, low=low, high=high, p=p, test=test)


def judged(
    comparisons: Sequence[Comparison], family: int, metric: Metric, settings: Settings, labels: Mapping[str, str]
) -> Iterator[Comparison]:
    """Correct all comparisons together, and yield them with their verdicts.

    Args:
        family: number of all pairs at all n, compared or not.
    """
    p = np.array([1.0 if item.p is None else item.p for item in comparisons])
    for item, adjusted in zip(comparisons, holm(p, family), strict=True):
        corrected = None if item.p is None else float(adjusted)
        open_ = corrected is None or corrected > settings.level or item.difference == 0
        a_wins = (item.difference > 0) == metric.higher_is_better
        verdict = "open" if open_ else "a" if a_wins else "b"
        done = replace(item, p_adjusted=corrected, verdict=verdict)
        yield replace(done, text=words(done, metric, settings, labels, family))


def words(item: Comparison, metric: Metric, settings: Settings, labels: Mapping[str, str], family: int) -> str:
    """Say in plain words what came of a comparison."""
    a, b = labels[item.a], labels[item.b]
    where = f"At n = {item.n} {a} and {b} "
    if item.p is None or item.low is None or item.high is None or item.p_adjusted is None:
        return f"{where}cannot be compared: {item.test.removeprefix('none: ')}."
    better, worse = (b, a) if item.verdict == "b" else (a, b)
    sign = -1 if item.verdict == "b" else 1
    ends = sorted((sign * item.low, sign * item.high))
    figures = (
        f"by {sign * item.difference:+.4f} {metric.words} ({100 * (1 - settings.level):g} %: {ends[0]:+.4f} to"
        f" {ends[1]:+.4f}; p = {item.p:.2g}, corrected for {family} comparisons {item.p_adjusted:.2g})"
    )
    more = NO_DRAWS if item.test.endswith(SAMPLES_ALONE) else ""
    if item.verdict == "open":
        return f"{where}cannot be told apart: they differ {figures}.{more}{_needed(item, settings, family)}"
    return f"At n = {item.n} {better} is better than {worse} {figures}.{more}"


def _needed(item: Comparison, settings: Settings, family: int) -> str:
    """Say how many test samples would tell a difference apart, where the test set alone makes it uncertain."""
    if item.tested is None or item.low is None or item.high is None or not item.test.endswith(SAMPLES_ALONE):
        return ""
    asked, corrected = (t_quantile(inf, 1 - settings.level / 2 / count) for count in (1, max(family, 1)))
    half = (item.high - item.low) / 2 * corrected / asked
    if not 0 < abs(item.difference) < half:
        return ""
    return (
        f" About {about(ceil(item.tested * (half / item.difference) ** 2))} test samples would tell such a difference."
    )
