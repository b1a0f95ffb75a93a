"""Which of two curves is better at one n: paired over test samples and over seeds, corrected for many questions."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, stdtr

from scaling.core.variance import Components, Values, components, t_quantile

#: What a pair of rates that never differ still leaves open: one test sample for either side (Bonett and Price 2012).
PAIR_PSEUDO = (1.0, -1.0)


@dataclass(frozen=True)
class Difference:
    """a − b with an interval.

    Attributes:
        estimate: the difference as measured.
        low, high: its interval.
        p: two-sided chance of a difference as large without any true one.
        test: what p and interval rest on.
    """

    estimate: float
    low: float
    high: float
    p: float
    test: str


def mcnemar(a: ArrayLike, b: ArrayLike) -> float:
    """Return McNemar's exact two-sided p: are the samples that one of two predictors alone gets right evenly split?

    Args:
        a, b: whether each predictor is right on each test sample, shape (m,).

    Source: McNemar (1947), Note on the sampling error of the difference between correlated proportions or
        percentages, Psychometrika 12(2), with the binomial distribution in place of its approximation.
    """
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def merged(p: ArrayLike) -> float:
    """Return one p for several that depend on each other in an unknown way: twice their mean.

    Source: Vovk and Wang (2020), Combining p-values via averaging, Biometrika 107(4).
    """
    p = np.asarray(p, dtype=np.float64)
    return float(p[0]) if len(p) == 1 else min(1.0, 2 * float(p.mean()))


def paired(a: Values, b: Values, level: float, rates: bool) -> Difference:
    """Compare two predictors on the same test samples and, seed by seed, the same subsets.

    Args:
        a, b: values of each test sample whose mean is the metric, shape (S, m), rows by seed.
        level: the interval covers 1 − level.
        rates: whether the metric lies between 0 and 1.

    Both sources of variance count: the shared test samples, and the draws where there are two seeds or more. With one
    seed the interval covers the test set alone; that p then is of the normal approximation.
    """
    table = components(a - b, PAIR_PSEUDO if rates else ())
    low, high = table.interval(level)
    covers = "test samples and seeds paired" if table.seeds > 1 else "test samples paired, one seed"
    # From the table as measured: pseudo-samples move the centre of the interval, not the difference.
    return Difference(float((a - b).mean(dtype=np.float64)), low, high, two_sided(table), covers)


def two_sided(table: Components) -> float:
    """Return the two-sided p of a table's mean against zero."""
    return t_p(table.mean, table.mean_variance, table.freedom)


def t_p(mean: float, variance: float, freedom: float) -> float:
    """Return the two-sided p of a mean against zero under Student's t."""
    if variance <= 0:
        return 1.0 if mean == 0 else 0.0
    return 2 * float(stdtr(min(freedom, 1e10), -abs(mean) / sqrt(variance)))


def over_seeds(a: ArrayLike, b: ArrayLike, level: float) -> Difference | None:
    """Compare two curves by their scores alone, seed by seed; None where seeds can't tell: one, or no difference.

    Args:
        a, b: scores by seed, shape (S,).

    The test set is taken as it is: the interval covers the draws alone.
    """
    d = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if len(d) < 2 or np.ptp(d) <= 1e-12:
        return None
    mean, variance = float(d.mean()), float(d.var(ddof=1)) / len(d)
    half = t_quantile(len(d) - 1, 1 - level / 2) * sqrt(variance)
    return Difference(
        mean, mean - half, mean + half, t_p(mean, variance, len(d) - 1), "seeds paired, test set as it is"
    )


def holm(p: ArrayLike, family: int | None = None) -> NDArray[np.float64]:
    """Correct p-values for their number, so that the chance of any false rejection stays below the level.

    Args:
        p: shape (k,).
        family: how many questions could have been asked, at least k. Those that weren't count as p = 1; so p may
            belong to pairs that were picked by looking at the scores.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian J. of Statistics 6(2).
    """
    p = np.asarray(p, dtype=np.float64)
    size = len(p) if family is None else max(family, len(p))
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (size - np.arange(len(p)))) if len(p) else p
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
