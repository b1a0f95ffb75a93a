"""Which n samples to train on: nested in n for one seed, stratified, of exact size.

Everything here returns indices and is a pure function of its arguments. Where samples have several labels, "labels"
are a matrix of which sample has which, (N, k) of 0 and 1, and `stratify` says what is done.
"""

from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.core.errors import SettingError
from scaling.core.reading import shown, whole_number
from scaling.core.stratify import iterative_folds, iterative_subset, iterative_validation

Draw = Literal["stratified", "first", "groups"]
#: Groups that are looked at together for the next one to draw.
AHEAD = 256
FULL = "full"


def parse_n(value: object) -> int | None:
    """Read the setting `n`: a positive whole number, or None for `full` (all training samples).

    Raises:
        SettingError: anything else.
    """
    if value == FULL:
        return None
    try:
        n = whole_number(value)
    except ValueError:
        n = 0
    if n < 1:
        raise SettingError(f"n={shown(value)}: expected a whole number of training samples from 1 up, or n={FULL}.")
    return n


def effective_n(n: int | None, available: int) -> int:
    """Return the number of samples used when n are asked for: n at or above the training set is all of it."""
    return available if n is None else min(n, available)


@lru_cache(maxsize=64)
def class_quotas(class_sizes: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Share n places among classes in proportion to their sizes, at least one each.

    This is the quota method: each next place goes to the class with the largest N_c / (k_c + 1) among those
    that stay within their share rounded up. Plain largest remainders can *lower* a class's count when n grows
    (the Alabama paradox), which would break nesting; the quota method never does. Once every class's exact share
    n N_c / N is at least one, each count stays within one of it; below, the one sample a class goes first.

    Args:
        class_sizes: samples available in each class, all positive.
        n: places, from the number of classes up to the sum of `class_sizes`.

    Source: Balinski and Young (1975), The quota method of apportionment, Amer. Math. Monthly 82(7).
    """
    sizes = np.asarray(class_sizes, dtype=np.int64)
    total = int(sizes.sum())
    counts = np.ones_like(sizes)
    for places in range(len(sizes) + 1, n + 1):
        upper_share = -(-places * sizes // total)
        eligible = counts < upper_share
        counts[int(np.argmax(np.where(eligible, sizes / (counts + 1), -1.0)))] += 1
    return tuple(counts.tolist())


def subset_indices(
    labels: ArrayLike, n: int | None, seed: int, draw: Draw = "stratified", groups: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Choose n of the training samples.

    For one seed a smaller subset is contained in every larger one. n at or above the number of samples gives
    all of them. `draw="first"` takes the first n in stored order instead, as the source articles do; `draw="groups"`
    takes whole groups, as many as fit into n samples.

    Args:
        labels: integer class of each training sample, shape (N,).
        n: samples wanted; None for all.
        seed: seed of the draw; 0 is a seed like any other.
        draw: "stratified", "first" or "groups".
        groups: name of each sample's group, shape (N,); needed where these are drawn.

    Returns:
        Sorted indices, shape (min(n, N),), or fewer where groups are drawn.

    Raises:
        SettingError: n is smaller than the number of classes (stratified draw) or than the first group, there are no
            groups to draw, or `draw` is unknown.
    """
    labels = np.asarray(labels)
    size = effective_n(n, len(labels))
    if draw not in get_args(Draw):
        raise SettingError(f"subset.draw={draw}: expected one of {', '.join(get_args(Draw))}.")
    if draw == "groups" and groups is None:
        raise SettingError(
            "subset.draw=groups: the data set names no groups, expected a column group beside its labels.\n"
            "Add it, or draw samples: subset.draw=stratified."
        )
    if draw == "first" or size == len(labels):
        return np.arange(size)
    if draw == "groups" and groups is not None:
        return _whole_groups(labels, size, seed, groups)
    if labels.ndim == 2:
        return iterative_subset(labels, size, seed)
    classes, class_sizes = np.unique(labels, return_counts=True)
    if size < len(classes):
        raise SettingError(
            f"n={size} is smaller than the number of classes ({len(classes)}): a stratified subset holds at least"
            f" one sample of each.\nUse n={len(classes)} or more, or subset.draw=first."
        )
    quotas = class_quotas(tuple(class_sizes.tolist()), size)
    chosen = [
        np.random.default_rng([seed, int(label)]).permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _whole_groups(labels: NDArray[Any], n: int, seed: int, groups: NDArray[Any]) -> NDArray[np.int64]:
    names, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = group_order(_class_counts(labels, member, len(names)), seed)
    fitting = order[np.cumsum(sizes[order]) <= n]
    if not len(fitting):
        raise SettingError(
            f"n={n} is smaller than the group that is drawn first ({sizes[order[0]]} samples of {names[order[0]]}).\n"
            f"Use n={sizes[order[0]]} or more: groups are taken whole, up to {sizes.max()} samples each."
        )
    return np.flatnonzero(np.isin(member, fitting))


def _class_counts(labels: NDArray[Any], member: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Return how many samples of each class, or with each label, each group has, (groups, k)."""
    has = labels if labels.ndim == 2 else labels[:, None] == np.unique(labels)
    counts = np.zeros((groups, has.shape[1]), np.int64)
    np.add.at(counts, member, has.astype(np.int64))
    return counts


def group_order(counts: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the order in which groups are drawn, (G,): what stands first is as mixed as all of it.

    The groups are shuffled, and each time the first of the first `AHEAD` left is taken with which every class stays
    within one group (the largest) of its share, or else the one that comes closest. So subsets of whole groups are
    nested over n for one seed.

    Args:
        counts: samples of each class in each group, (G, k).
    """
    return np.array(_group_order(counts.tobytes(), counts.shape, seed), np.int64)


@lru_cache(maxsize=8)
def _group_order(content: bytes, shape: tuple[int, int], seed: int) -> tuple[int, ...]:
    counts = np.frombuffer(content, np.int64).reshape(shape)
    shuffled = np.random.default_rng([seed, 4]).permutation(len(counts)).tolist()
    sizes = counts.sum(1)
    share, most = counts.sum(0) / max(1, sizes.sum()), sizes.max(initial=0)
    taken, order = np.zeros(shape[1]), list[int]()
    waiting, ahead = shuffled[:AHEAD], AHEAD
    while waiting:
        after = taken + counts[waiting]
        off = np.abs(after - share * after.sum(1, keepdims=True)).max(1)
        near = off <= most
        order.append(waiting.pop(int(near.argmax() if near.any() else off.argmin())))
        taken = taken + counts[order[-1]]
        waiting += shuffled[ahead : ahead + 1]
        ahead += 1
    return tuple(order)


def group_folds(labels: ArrayLike, folds: int, seed: int, groups: NDArray[Any]) -> NDArray[np.int64]:
    """Assign whole groups to folds, (n,), each to the one with the fewest samples so far.

    Fewer folds are used where else all samples of a class would be in one; where even two can't be, a group is parted:
    these are `stratified_folds` then.

    Args:
        labels: integer class of each sample, shape (n,), or which labels it has, (n, k).
        groups: name of each sample's group, shape (n,).
    """
    labels = np.asarray(labels)
    names, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    counts = _class_counts(labels, member, len(names))
    order, total = group_order(counts, seed), counts.sum(0)
    for number in range(min(folds, len(names)), 1, -1):
        filled, held, fold = np.zeros(number), np.zeros((number, counts.shape[1])), np.zeros(len(names), np.int64)
        for group in order.tolist():
            fold[group] = chosen = int(filled.argmin())
            filled[chosen] += sizes[group]
            held[chosen] += counts[group]
        if (held < np.maximum(total, 1)).all():
            return fold[member]
    return stratified_folds(labels, folds, seed)


def stratified_folds(labels: ArrayLike, folds: int, seed: int, groups: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """Assign each sample to a fold, every class spread evenly over the folds.

    Args:
        labels: integer class of each sample, shape (n,).
        folds: folds wanted; fewer are used where the smallest class has fewer members.
        seed: seed of the shuffle.
        groups: name of each sample's group, shape (n,), where these stay whole: see `group_folds`.

    Returns:
        Fold of each sample, shape (n,), values 0 … k-1 with k = min(folds, smallest class). All zeros where
        the smallest class has one member: then no split leaves each class on both sides.
    """
    if groups is not None:
        return group_folds(labels, folds, seed, groups)
    labels = np.asarray(labels)
    if labels.ndim == 2:
        return iterative_folds(labels, folds, seed)
    classes, class_sizes = np.unique(labels, return_counts=True)
    count = min(folds, int(class_sizes.min()))
    assignment = np.zeros(len(labels), dtype=np.int64)
    if count < 2:
        return assignment
    offset = 0
    for label in classes:
        # The stream differs from the subset's own draw, so folds don't depend on how the subset was drawn.
        members = np.random.default_rng([seed, int(label), 1]).permutation(np.flatnonzero(labels == label))
        assignment[members] = (offset + np.arange(len(members))) % count
        offset += len(members)
    return assignment


def validation_part(
    labels: ArrayLike, share: float, seed: int, groups: NDArray[Any] | None = None
) -> NDArray[np.bool_]:
    """Mark the samples that are held out of a subset while something is chosen.

    Args:
        labels: integer class of each sample, shape (n,).
        share: share of each class that is held out, rounded; at least one sample and never all of a class.
        seed: seed of the choice.
        groups: name of each sample's group, shape (n,), where these stay whole: then one of as many folds is held out.

    Returns:
        Whether each sample is held out, shape (n,). None is where every class has a single member.
    """
    if groups is not None:
        folds = group_folds(labels, max(2, round(1 / share)), seed, groups)
        return (folds == 0) & (folds.max() > 0)
    labels = np.asarray(labels)
    if labels.ndim == 2:
        return iterative_validation(labels, share, seed)
    held_out = np.zeros(len(labels), bool)
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        count = min(max(1, round(share * int(size))), int(size) - 1)
        members = np.random.default_rng([seed, int(label), 2]).permutation(np.flatnonzero(labels == label))
        held_out[members[:count]] = True
    return held_out
