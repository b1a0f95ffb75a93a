"""Whether an order holds: of curves from one n to another, and of one quantity with another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ranks(values: ArrayLike) -> Floats:
    """Return ranks, 1 for the largest, equals sharing their mean, shape of `values` (k,)."""
    values = np.asarray(values, dtype=np.float64)
    above = (values[None, :] > values[:, None]).sum(1)
    equal = (values[None, :] == values[:, None]).sum(1)
    return above + (equal + 1) / 2


def tau(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return Kendall's tau-b of two orders, −1 … 1; None where either has no order.

    Source: Kendall (1945), The treatment of ties in ranking problems, Biometrika 33(3).
    """
    first, second = (np.sign(np.subtract.outer(values, values)) for values in (np.asarray(a), np.asarray(b)))
    size = float((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / np.sqrt(size)) if size else None


def concordance(table: ArrayLike) -> float | None:
    """Return Kendall's W of several orders of the same k things: 1 where all agree, 0 where they share nothing.

    Args:
        table: ranks, shape (orders, k), equals sharing their mean.

    Returns:
        W, corrected for ties; None for fewer than two orders or things, or where no order has any.

    Source: Kendall and Babington Smith (1939), The problem of m rankings, Annals of Mathematical Statistics 10(3).
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        return None
    orders, k = table.shape
    ties = sum(float((counts**3 - counts).sum()) for counts in (np.unique(row, return_counts=True)[1] for row in table))
    size = orders**2 * (k**3 - k) - orders * ties
    return float(12 * ((table.sum(0) - table.sum(0).mean()) ** 2).sum() / size) if size else None


@dataclass(frozen=True)
class Association:
    """Whether two quantities of k things go together: tau-b, its exact or approximate p, and whether k suffices."""

    k: int
    tau: float | None
    p: float | None
    told: bool


def association(a: Sequence[float], b: Sequence[float], significance: float = 0.05) -> Association:
    """Test whether two quantities go together; too few things to tell even with perfect agreement are refused."""
    from math import factorial

    from scipy.stats import kendalltau

    found = tau(a, b) if len(a) > 1 else None
    if found is None:
        return Association(len(a), None, None, False)
    p = float(kendalltau(a, b).pvalue)
    k = min(len(set(a)), len(set(b)))  # ties leave fewer orders
    return Association(len(a), found, p, k >= 20 or 2 / factorial(k) <= significance)
