"""Whether an order holds: of curves from one n to another, and of one quantity with another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, isnan

import numpy as np
from numpy.typing import ArrayLike


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
    """Whether two quantities of k things go together: Kendall's tau-b, its p, and whether k suffices to tell.

    Without an order, tau and p are None.
    """

    k: int
    tau: float | None
    p: float | None
    told: bool


def association(a: Sequence[float], b: Sequence[float], significance: float = 0.05) -> Association:
    """Test whether two quantities go together; too few things to tell even with perfect agreement are refused."""
    from scipy.stats import kendalltau

    found = kendalltau(a, b) if len(a) > 1 else None
    if found is None or isnan(found.statistic):
        return Association(len(a), None, None, False)
    k = min(len(set(a)), len(set(b)))  # ties leave fewer orders
    told = k >= 20 or 2 / factorial(k) <= significance
    return Association(len(a), float(found.statistic), float(found.pvalue), told)
