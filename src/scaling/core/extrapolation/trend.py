"""Whether a curve's error falls with n at all: a test against chance order, without a fit."""

from math import comb, factorial, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from scaling.core.extrapolation.observations import observe
from scaling.core.extrapolation.statements import Statement, refusal

#: Significance level of the test.
SIGNIFICANCE = 0.05


def inversion_distribution(k: int) -> list[int]:
    """Return how many of the k! orders of k values have 0, 1, 2, … inversions (Mahonian numbers)."""
    counts = [1]
    for size in range(2, k + 1):
        longer = [0] * (len(counts) + size - 1)
        for inversions, count in enumerate(counts):
            for more in range(size):
                longer[inversions + more] += count
        counts = longer
    return counts


def trend(n: ArrayLike, error: ArrayLike, significance: float = SIGNIFICANCE) -> Statement:
    """Test whether the error falls with n at all, against chance order, one-sided.

    Without repeats this is Mann's test: the exact share of orders of k errors with as few pairs in which a later
    error is not lower. With repeats it is the test of Jonckheere and Terpstra, by its normal approximation with
    correction for ties within sizes.

    Args:
        n: sizes, shape (m,).
        error: errors, shape (m,).
        significance: level below which chance is ruled out.

    Source: Mann (1945), Nonparametric tests against trend, Econometrica 13(3); Jonckheere (1954), A distribution-free
        k-sample test against ordered alternatives, Biometrika 41.
    """
    kind = "trend"
    observe(n, error)  # refuses what no curve can have
    order = np.argsort(np.asarray(n, dtype=np.float64), kind="stable")
    sizes, errors = np.asarray(n, dtype=np.float64)[order], np.asarray(error, dtype=np.float64)[order]
    pairs = sizes[:, None] < sizes[None, :]
    not_lower = np.where(pairs, (errors[None, :] > errors[:, None]) + 0.5 * (errors[None, :] == errors[:, None]), 0.0)
    against, total = float(not_lower.sum()), int(pairs.sum())
    repeats = np.unique(sizes, return_counts=True)[1]
    k, m = len(repeats), len(sizes)
    details: dict[str, Any] = {"pairs": total, "pairs_against": against, "sizes": k}
    if k == m:
        smallest = 1 / factorial(k) if k < 20 else 0.0
        if smallest > significance:
            why = f"{k} sizes without repeats come in falling order by chance in 1 of {factorial(k)} cases"
            return refusal(kind, why, **details)
        p, test = _mann(k, against), "Mann, exact"
    else:
        if comb(m, m // 2) < 1 / significance or k < 2:
            return refusal(kind, f"{m} points at {k} sizes are too few for a test", **details)
        p, test = _jonckheere(repeats, against, total), "Jonckheere"
    details |= {"p": p, "test": test}
    falls = p <= significance
    share = 1 - 2 * against / total
    verdict = "falls with n" if falls else "is not shown to fall with n"
    text = f"The error {verdict} (p = {p:.2g}, {test}; later is lower in {total - against:g} of {total} pairs)."
    return Statement(kind, share, None, None, falls, text, details)


def _mann(k: int, against: float) -> float:
    """Return the chance of at most `against` pairs out of order among k values without ties."""
    if k <= 60:
        counts = inversion_distribution(k)
        # A tie counts half a pair; rounding up keeps the test on the safe side.
        return sum(counts[: int(np.ceil(against)) + 1]) / factorial(k)
    variance = k * (k - 1) * (2 * k + 5) / 72
    return float(ndtr((against + 0.5 - k * (k - 1) / 4) / sqrt(variance)))


def _jonckheere(repeats: ArrayLike, against: float, total: int) -> float:
    """Return the chance of as few pairs out of order, by the normal approximation."""
    r = np.asarray(repeats, dtype=np.float64)
    m = float(r.sum())
    variance = (m**2 * (2 * m + 3) - (r**2 * (2 * r + 3)).sum()) / 72
    return float(ndtr((against + 0.5 - total / 2) / sqrt(variance)))
