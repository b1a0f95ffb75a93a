"""Which curves are compared at each n, and what comes of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from scaling.core.comparisons import Difference, holm, mcnemar, merged, over_seeds, paired
from scaling.core.curves import Curve
from scaling.core.metrics import Metric
from scaling.findings.asked import Settings
from scaling.findings.results import Comparison
from scaling.findings.samples import Block

#: Up to this many curves all pairs are compared; above it each with the best, and with its neighbours in rank.
ALL_PAIRS = 8
Pair = tuple[str, str]


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
    # Without a network's name (pixels, given embeddings) there is nothing that could be trained from scratch.
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
    wanted = {frozenset(pair) for pair in [*((ranked[0], name) for name in ranked[1:]), *pairwise(ranked)]}
    wanted |= {frozenset(pair) for pair in always if set(pair) <= means.keys()}
    position = {name: place for place, name in enumerate(names)}
    ordered = (sorted(pair, key=position.__getitem__) for pair in wanted)
    return sorted(((a, b) for a, b in ordered), key=lambda pair: (position[pair[0]], position[pair[1]]))


@dataclass(frozen=True)
class Rows:
    """Two curves at one n, reduced to the seeds that both have; values (S, m) where both have predictions."""

    a: Block
    b: Block
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    values: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    seeds: int


def paired_rows(a: Block, b: Block) -> Rows | None:
    """Pair two curves seed by seed; None where they share no seed."""
    common = sorted(set(a.seeds) & set(b.seeds))
    if not common:
        return None
    left, right = ([block.seeds.index(seed) for seed in common] for block in (a, b))
    scores = (a.scores[left], b.scores[right])
    if a.values is None or b.values is None or a.labels is None or b.labels is None:
        return Rows(a, b, scores, None, len(common))
    if not np.array_equal(a.labels, b.labels):  # two test sets
        return Rows(a, b, scores, None, len(common))
    # Seeds that share subset and result are one measurement.
    once = slice(0, 1) if a.same and b.same else slice(None)
    return Rows(a, b, scores, (a.values[left][once], b.values[right][once]), len(common))


def compare(a: Block, b: Block, metric: Metric, settings: Settings) -> Comparison | None:
    """Compare two curves at one n; the correction for multiplicity and the verdict come later."""
    rows = paired_rows(a, b)
    if rows is None:
        return None
    found, exact = _difference(rows, metric, settings.level)
    mean = float((rows.scores[0] - rows.scores[1]).mean())
    return Comparison(
        dataset=a.points[0].dataset,
        n=a.n,
        a=a.curve.curve_id,
        b=b.curve.curve_id,
        seeds=rows.seeds,
        tested=None if rows.values is None else rows.values[0].shape[1],
        difference=mean,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        p=None if found is None else found.p,
        p_adjusted=None,
        test="none: one seed and no stored predictions" if found is None else found.test,
        mcnemar=exact,
        mcnemar_merged=merged(exact) if exact else None,
        verdict="open",
        text="",
    )


def _difference(rows: Rows, metric: Metric, level: float) -> tuple[Difference | None, tuple[float, ...]]:
    if rows.values is None:
        return over_seeds(*rows.scores, level), ()
    a, b = rows.values
    found = paired(a, b, level, rates=metric.bounded)
    if metric.name != "test/accuracy":
        return found, ()
    exact = tuple(mcnemar(x, y) for x, y in zip(a, b, strict=True))
    return (replace(found, p=exact[0], test=f"McNemar, exact; {found.test}") if len(a) == 1 else found), exact


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
        return f"{where}cannot be compared: one seed, and no stored predictions of both."
    better, worse = (b, a) if item.verdict == "b" else (a, b)
    sign = -1 if item.verdict == "b" else 1
    ends = sorted((sign * item.low, sign * item.high))
    figures = (
        f"by {sign * item.difference:+.4f} {metric.title} ({100 * (1 - settings.level):g} %: {ends[0]:+.4f} to"
        f" {ends[1]:+.4f}; p = {item.p:.2g}, corrected for {family} comparisons {item.p_adjusted:.2g})"
    )
    if item.verdict == "open":
        return f"{where}cannot be told apart: they differ {figures}."
    return f"At n = {item.n} {better} is better than {worse} {figures}."
