"""How well scores rank what is true of a class above what is not: areas and precisions, class by class.

Each comes as one value a sample whose mean is the metric; see `Measures`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def auroc(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> Floats:
    """Return one value a sample, shape (m,), whose mean is the area under the ROC curve; NaN where a side is empty.

    A positive's placement is the share of negatives below it (ties half), a negative's that of positives above it.

    Source: DeLong, DeLong and Clarke-Pearson (1988), Comparing the areas under two or more correlated receiver
        operating characteristic curves, Biometrics 44(3).
    """
    positives, m = int(positive.sum()), len(positive)
    if positives in (0, m):
        return np.full(m, np.nan)
    ranks, own = _midranks(scores), np.empty(m)
    own[positive], own[~positive] = _midranks(scores[positive]), _midranks(scores[~positive])
    # Of all that rank below a sample, those of its own side are taken off: what is left is of the other side.
    below = ranks - own
    placement = np.where(positive, below / (m - positives), 1 - below / positives)
    area = float(placement[positive].mean())
    return area + np.where(positive, m / positives, m / (m - positives)) * (placement - area)


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> Floats:
    """Return one value a sample, shape (m,), whose mean is the average precision; NaN without a positive.

    AP is the mean over positives i of T_i / N_i, with N_i the samples that score at least as high as i and T_i the
    positives among them; the samples' values are its derivatives by each sample's weight.
    """
    positives, m = int(positive.sum()), len(positive)
    if positives == 0:
        return np.full(m, np.nan)
    # Samples of one score share their place: the last of them in descending order.
    _, group = np.unique(-scores, return_inverse=True)
    count = np.bincount(group)
    true = np.bincount(group, weights=positive)
    above, true_above = np.cumsum(count), np.cumsum(true)
    precision = true_above / above
    mean = float((true * precision).sum() / positives)

    def from_below(terms: Floats) -> Floats:
        return np.cumsum(terms[::-1])[::-1]  # over the positives that score no higher

    gained, lost = from_below(true / above), from_below(true * true_above / above**2)
    shift = positive * (precision[group] - mean + gained[group]) - lost[group]
    return mean + m / positives * shift


def by_class(
    positives: Iterable[NDArray[np.bool_]], scores: NDArray[np.floating], names: Sequence[str]
) -> dict[str, Floats]:
    """Return values a sample of both metrics for each class, NAME/CLASS, and of their means over classes.

    A class without a positive sample has neither, and one without a negative no area; they count in no mean.

    Args:
        positives: which samples are of each class, shape (m,) each.
        scores: of each sample and class, shape (m, classes or more).
    """
    samples: dict[str, Floats] = {}
    columns = [(positive, scores[:, c]) for c, positive in enumerate(positives)]
    for name, values_of in (("auroc", auroc), ("average_precision", average_precision)):
        found = {f"{name}/{of}": values_of(*column) for of, column in zip(names, columns, strict=True)}
        told = {of: values for of, values in found.items() if np.isfinite(values[0])}
        samples |= ({name: np.mean(list(told.values()), axis=0)} if told else {}) | told
    return samples


def _midranks(values: NDArray[np.floating]) -> Floats:
    """Return the number of values below each, ties counting half, shape (m,)."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count + 1) / 2)[group]
