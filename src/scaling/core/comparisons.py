"""Which of two curves is better at one n: paired over test samples and over seeds, corrected for many questions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from scaling.core.variance import Components, Measured, Values, components

#: What a pair of rates that never differ still leaves open: one test sample for either side (Bonett and Price 2012).
PAIR_PSEUDO = (1.0, -1.0)


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


def paired(a: Values, b: Values, rates: bool) -> Components:
    """Compare two predictors on the same test samples and, seed by seed, the same subsets: the table of differences.

    Args:
        a, b: values of each test sample whose mean is the metric, shape (S, m), rows by seed.
        rates: whether the metric lies between 0 and 1; its table then holds PAIR_PSEUDO as well.
    """
    return components(a - b, PAIR_PSEUDO if rates else ())


def over_seeds(a: ArrayLike, b: ArrayLike) -> Measured:
    """Compare two curves by their scores alone, seed by seed, on the test set as it is.

    Args:
        a, b: scores by seed, shape (S,).
    """
    d = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    squared = float(((d - d.mean()) ** 2).sum())
    # Below the noise of binary fractions seeds don't differ.
    return Measured(float(d.mean()), len(d), squared if squared > 1e-24 else 0.0, 0.0, None)


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
