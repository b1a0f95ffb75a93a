"""Stratified parts of samples that have several labels each, and nested subsets made of them.

Iterative stratification: the label that the fewest samples left over have is taken first, and each of its samples goes
to the part that lacks most of that label; among equals to the part that lacks most of all the sample's labels, then to
the one that lacks most samples, then by chance.

Source: Sechidis, Tsoumakas and Vlahavas (2011), On the stratification of multi-label data, ECML PKDD, algorithm 1; its
ties go by samples alone, which leaves frequent labels to chance where samples have many.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def iterative_parts(has: NDArray[Any], shares: Sequence[float], seed: Sequence[int]) -> NDArray[np.int64]:
    """Assign each sample to a part, every label spread over the parts in proportion to their shares.

    Args:
        has: which labels each sample has, 0 or 1, shape (n, k).
        shares: of the parts, together 1.
        seed: of what is left to chance.

    Returns:
        Part of each sample, shape (n,). With equal shares and as many samples as parts, none is empty.
    """
    has, rng = np.asarray(has, bool), np.random.default_rng(seed)
    lacks = np.outer(shares, has.sum(0))  # of each label, by part: so many of its samples are still wanted
    room = len(has) * np.asarray(shares, float)
    order, chance = rng.permutation(len(has)), rng.random((len(has), len(shares)))
    part, left = np.full(len(has), -1), has.sum(0)

    def assign(sample: int, wanted: NDArray[np.float64]) -> None:
        labels = np.flatnonzero(has[sample])
        part[sample] = chosen = np.lexsort((chance[sample], room, lacks[:, labels].sum(1), wanted))[-1]
        room[chosen] -= 1
        lacks[chosen, labels] -= 1
        left[labels] -= 1

    while left.any():
        label = int(np.where(left > 0, left, len(has) + 1).argmin())
        for sample in order[has[order, label] & (part[order] < 0)].tolist():
            assign(sample, lacks[:, label])
    for sample in order[part[order] < 0].tolist():  # without any label
        assign(sample, room)
    return part


def iterative_subset(has: NDArray[Any], n: int, seed: int) -> NDArray[np.int64]:
    """Choose n of the samples; for one seed a smaller subset is contained in every larger one.

    The samples are halved iteratively, each half again, and so on: subsets are what stands first. So every subset is
    made of parts that are stratified each.

    Args:
        has: which labels each sample has, 0 or 1, shape (N, k).
        n: from 0 to N.
    """
    taken, rest, place = [np.empty(0, np.int64)], np.arange(len(has)), 1
    while 0 < n < len(rest):
        second = iterative_parts(has[rest], (0.5, 0.5), [seed, 3, place]).astype(bool)
        half = rest[~second]
        inside = n <= len(half)
        if not inside:
            taken.append(half)
            n -= len(half)
        rest, place = half if inside else rest[second], 2 * place + (not inside)
    return np.sort(np.concatenate([*taken, rest[:n]]))


def iterative_folds(has: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    """Assign each sample to one of some folds, fewer where there are fewer samples; shape (n,)."""
    count = max(1, min(folds, len(has)))
    return iterative_parts(has, [1 / count] * count, [seed, 1])


def iterative_validation(has: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """Mark a share of the samples, at least one and never all; none of a single one. Shape (n,)."""
    held_out = iterative_parts(has, (share, 1 - share), [seed, 2]) == 0
    if len(has) > 1 and held_out.all() != held_out.any():
        return held_out
    one = np.random.default_rng([seed, 2, 1]).integers(max(1, len(has)))
    held_out[one] = len(has) > 1 and not held_out[one]
    return held_out
