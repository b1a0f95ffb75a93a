"""From measured points to what a fit sees: one row a size, on the scales where learning curves are simple."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.core.errors import DataError

Floats = NDArray[np.float64]

#: Offset δ in u = log(error + δ), as a share of the scale: errors below it are not told apart by their ratio.
OFFSET = 0.003
#: Standard deviation that even a perfect measurement of an error rate has: test sets are finite.
RESOLUTION = 0.0007
#: Curves with more distinct sizes are averaged over this many equal stretches of log n.
MOST_SIZES = 64
#: Largest n that is accepted; beyond it the distance in octaves loses all meaning.
LARGEST_N = 1e30
#: Largest error and standard error that are accepted; the squares of larger ones overflow.
LARGEST_ERROR = 1e100
#: A loss whose last value is a smaller share of its largest one is measured in units of the largest.
SMALLEST_SHARE = 1e-9


@dataclass(frozen=True)
class Observations:
    """One curve as the fit sees it; every array has shape (k,), by ascending n.

    Attributes:
        n: distinct numbers of training samples.
        error: mean error at each n.
        variance: variance of that mean, from standard errors or repeats; 0 where nothing is known.
        count: how many sizes each row stands for (above 1 only where a dense curve was averaged).
        repeats: rows that were given at each n.
        run_variance: variance of a single future measurement at the largest n.
        bounded: whether this is an error rate, which can't exceed 1.
        measured: whether the variances come from the data rather than from nothing.
        top: the largest n that was given; the last of `n` may be a mean of some below it.
    """

    n: Floats
    error: Floats
    variance: Floats
    count: Floats
    repeats: NDArray[np.int64]
    run_variance: float
    bounded: bool
    measured: bool
    top: float

    @property
    def largest(self) -> float:
        """The last of `n`, from which octaves are counted."""
        return float(self.n[-1])

    @cached_property
    def scale(self) -> float:
        """The unit of error: 1 for an error rate; the last value of a loss (the largest, should that be next to 0)."""
        if self.bounded:
            return 1.0
        last, largest = float(self.error[-1]), float(self.error.max())
        return last if last > SMALLEST_SHARE * largest else largest

    @property
    def limit(self) -> float:
        """The largest error there can be."""
        return 1.0 if self.bounded else float("inf")

    @property
    def x(self) -> Floats:
        """Distance to the largest n in octaves, log2(n / n_max), at most 0."""
        return self.octaves(self.n)

    @property
    def u(self) -> Floats:
        """log(error + δ)."""
        return self.to_log(self.error)

    @property
    def u_variance(self) -> Floats:
        """Variance of `u`, by the delta method."""
        floor = RESOLUTION**2 if self.measured else 0.0
        return (self.variance / self.scale**2 + floor) / (self.error / self.scale + OFFSET) ** 2

    @property
    def run_u_variance(self) -> float:
        """Variance that the noise of one future measurement adds to `u`."""
        return self.run_variance / (float(self.error[-1]) + OFFSET * self.scale) ** 2

    def octaves(self, n: ArrayLike) -> Floats:
        """Distance of any n to the largest one measured, in octaves."""
        return np.log2(np.asarray(n, dtype=np.float64)) - np.log2(self.largest)

    def to_log(self, error: ArrayLike) -> Floats:
        """Map an error to u = log(error / scale + δ)."""
        return np.log(np.asarray(error, dtype=np.float64) / self.scale + OFFSET)

    def to_error(self, u: ArrayLike) -> Floats:
        """Map u back to an error between 0 and the limit."""
        return np.clip((np.exp(np.asarray(u, dtype=np.float64)) - OFFSET) * self.scale, 0.0, self.limit)


def observe(
    n: ArrayLike, error: ArrayLike, stderr: ArrayLike | None = None, bounded: bool | None = None
) -> Observations:
    """Gather the points of one curve, in any order; several rows of one n are repeats.

    Args:
        n: numbers of training samples, shape (m,).
        error: error rate or loss at each, shape (m,).
        stderr: standard error of each, shape (m,); NaN where unknown.
        bounded: whether these are error rates, at most 1; None where they are if none exceeds 1.

    Raises:
        DataError: no points, lengths that differ, or values that no curve can have.
    """
    n, error = np.asarray(n, dtype=np.float64), np.asarray(error, dtype=np.float64)
    errors = np.full(n.shape, np.nan) if stderr is None else np.asarray(stderr, dtype=np.float64)
    if n.ndim != 1 or not len(n) or n.shape != error.shape or n.shape != errors.shape:
        raise DataError(f"Points of a curve: got shapes {n.shape}, {error.shape}, {errors.shape}; expected equal (m,).")
    if not np.all((n > 0) & (n <= LARGEST_N)):
        raise DataError(f"n must lie above 0 and at most {LARGEST_N:g}.")
    if not np.all((error >= 0) & (error <= LARGEST_ERROR)) or np.any(errors < 0) or np.any(errors > LARGEST_ERROR):
        raise DataError(f"Errors and standard errors must be finite, at most {LARGEST_ERROR:g}, and not negative.")
    within = bool(error.max() <= 1)
    if bounded and not within:
        raise DataError(f"Error rates lie between 0 and 1; got {error.max():g}.")
    # Sorted by content as well as by n, so that sums of floats don't depend on the order of the rows.
    order = np.lexsort((errors, error, n))
    n, error, errors = n[order], error[order], errors[order]
    sizes, first, repeats = np.unique(n, return_index=True, return_counts=True)
    means = np.add.reduceat(error, first) / repeats
    variance, run_variance, measured = _variances(sizes, means, error, errors, first, repeats)
    rows = Observations(
        sizes, means, variance, np.ones(len(sizes)), repeats, run_variance, within if bounded is None else bounded,
        measured, float(sizes[-1]),
    )  # fmt: skip
    return _averaged(rows) if len(sizes) > MOST_SIZES else rows


def _variances(
    sizes: Floats, means: Floats, error: Floats, errors: Floats, first: NDArray[np.intp], repeats: NDArray[np.int64]
) -> tuple[Floats, float, bool]:
    """Return the variance of each mean, that of one future measurement, and whether they were measured."""
    known = ~np.isnan(errors)
    if known.any():
        # Rows without a standard error get the largest one that is known.
        squares = np.where(known, errors, np.nanmax(errors)) ** 2
        return np.add.reduceat(squares, first) / repeats**2, float(squares[-1]), True
    freedom = repeats - 1
    if freedom.sum() == 0:
        return np.zeros(len(sizes)), 0.0, False
    squared = np.add.reduceat((error - np.repeat(means, repeats)) ** 2, first)
    v0, v1 = variance_model(sizes, squared, freedom)
    runs = v0 + v1 / sizes
    return runs / repeats, float(runs[-1]), True


def variance_model(sizes: Floats, squared: Floats, freedom: ArrayLike) -> tuple[float, float]:
    """Fit the variance of one measurement, var(n) = v0 + v1 / n with v0, v1 ≥ 0, to repeats.

    Args:
        sizes: distinct n, shape (k,).
        squared: sum of squared deviations from the mean at each n, shape (k,).
        freedom: degrees of freedom at each n (repeats − 1), shape (k,).

    Returns:
        v0 and v1. Of the mixtures of the pooled constant and the pooled 1/n law, the one with the largest
        gamma likelihood is taken, so that both stay positive; one size with repeats gives equal shares.

    Source: the model is that of Hoiem et al. (2021), Learning Curves for Analysis of Deep Networks, section 3.
    """
    used = np.asarray(freedom) > 0
    n, s, f = sizes[used], squared[used], np.asarray(freedom, dtype=np.float64)[used]
    constant, inverse = s.sum() / f.sum(), (s * n).sum() / f.sum()
    shares = np.linspace(0, 1, 21)
    model = shares[:, None] * constant + (1 - shares[:, None]) * inverse / n
    if not constant > 0:
        return 0.0, 0.0
    # ½ Σ f (log v + s / (f v)): minus the log-likelihood of χ² sums of squares.
    loss = (f * np.log(model) + s / model).sum(1)
    share = 0.5 if len(n) == 1 else float(shares[np.argmin(loss)])
    return float(share * constant), float((1 - share) * inverse)


def _averaged(rows: Observations) -> Observations:
    """Average a dense curve over equal stretches of log n; the last stretch ends at the largest n."""
    x = rows.x
    width = -x[0] / MOST_SIZES
    stretch = np.minimum((-x / width).astype(np.int64), MOST_SIZES - 1)
    starts = np.flatnonzero(np.diff(stretch, prepend=-1))
    count = np.diff(np.append(starts, len(x))).astype(np.float64)

    def mean(values: Floats) -> Floats:
        return np.add.reduceat(values, starts) / count

    return Observations(
        n=rows.largest * np.exp2(mean(x)),
        error=mean(rows.error),
        variance=mean(rows.variance) / count,
        count=count,
        repeats=np.add.reduceat(rows.repeats, starts),
        run_variance=rows.run_variance,
        bounded=rows.bounded,
        measured=rows.measured,
        top=rows.top,
    )
