"""Two sources of variance kept apart: which subset was drawn, and which samples the test set happens to hold.

Runs of S seeds on the same m test samples are a table x[s, i] with rows and columns drawn at random. Its mean squares
tell the two apart, where the bare variance between seeds would count part of the test set's noise a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from scaling.core.extrapolation.observations import variance_model

Floats = NDArray[np.float64]
Values = NDArray[np.floating]

#: What a rate of 0 or 1 still leaves open: two samples for either side (Agresti and Coull 1998).
RATE_PSEUDO = (0.0, 0.0, 1.0, 1.0)
#: Below this a variance is rounding.
NOISE = 1e-14


@dataclass(frozen=True)
class Components:
    """The mean squares of a table of S seeds and m test samples.

    Attributes:
        mean: mean of the table.
        seeds, tested: S and m.
        between: mean square of seeds; 0 with one seed.
        samples: mean square of test samples.
        residual: mean square of what neither explains; 0 with one seed.
    """

    mean: float
    seeds: int
    tested: int
    between: float
    samples: float
    residual: float

    @property
    def draw_variance(self) -> float | None:
        """Variance between draws on an endless test set, not below 0; None with one seed."""
        return None if self.seeds < 2 else max(self.between - self.residual, 0.0) / self.tested

    @property
    def test_variance(self) -> float:
        """Variance of one seed's mean over test sets of this size."""
        return (self.samples + (self.seeds - 1) * self.residual) / (self.seeds * self.tested)

    @property
    def shared_variance(self) -> float:
        """The part of it that all seeds share, which more seeds don't average out."""
        return max(self.samples - self.residual, 0.0) / (self.seeds * self.tested)


def t_quantile(freedom: float, probability: float) -> float:
    """Return a quantile of Student's t distribution; endless freedom gives the normal one."""
    return float(stdtrit(min(freedom, 1e10), probability))


def components(values: Values, pseudo: Sequence[float] = ()) -> Components:
    """Split the variance of a table into seeds, test samples and the rest, by its mean squares.

    The variance of the mean over test samples is what the bootstrap over them converges to with endless resamples.

    Args:
        values: shape (S, m), m at least 2.
        pseudo: values of further test samples, the same for all seeds, that keep rates off a width of zero.

    Source: the two-way random-effects model without replication; for predictors and cases Roe and Metz (1997),
        Variance-component modeling in the analysis of ROC index estimates, Academic Radiology 4(8).
    """
    seeds, added = len(values), np.asarray(pseudo, dtype=np.float64)
    tested = values.shape[1] + len(added)
    rows = (values.sum(1, dtype=np.float64) + added.sum()) / tested
    columns = np.concatenate([values.mean(0, dtype=np.float64), added])
    squares = float(np.einsum("si,si->", values, values, dtype=np.float64)) + seeds * float((added**2).sum())
    mean = float(rows.mean())
    between = tested * float(((rows - mean) ** 2).sum())
    samples = seeds * float(((columns - mean) ** 2).sum())
    residual = max(squares - seeds * tested * mean**2 - between - samples, 0.0)
    if seeds < 2:
        return Components(mean, seeds, tested, 0.0, samples / (tested - 1), 0.0)
    freedom = (seeds - 1) * (tested - 1)
    return Components(mean, seeds, tested, between / (seeds - 1), samples / (tested - 1), residual / freedom)


@dataclass(frozen=True)
class Measured:
    """A mean over seeds at one n, and what is known of its error.

    Attributes:
        centre: what an interval is centred on.
        seeds: number of seeds.
        squared: sum of the squared deviations of the seeds from their mean.
        shared: variance that all seeds share and that their spread doesn't show: the test set's; 0 where it is taken as
            it is.
        alone: variance of a single seed's value, as far as it is known without others; None where it isn't.
        floor: stands for the spread of seeds that came to one mean by chance: the test noise that they don't share.
        drawn: whether a subset was drawn; not where it is the whole training set.
    """

    centre: float
    seeds: int
    squared: float
    shared: float
    alone: float | None
    floor: float = 0.0
    drawn: bool = True

    @classmethod
    def of(cls, table: Components, drawn: bool = True) -> "Measured":
        """Return what a table of test samples tells."""
        squared = (table.seeds - 1) * table.between / table.tested
        alone = table.samples / table.tested if table.seeds == 1 else None
        return cls(table.mean, table.seeds, squared, table.shared_variance, alone, table.residual / table.tested, drawn)


@dataclass(frozen=True)
class MeanEstimate:
    """A mean with its variance, and the degrees of freedom that the variance rests on."""

    centre: float
    variance: float
    freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """Return the central interval that covers 1 − level, by Student's t."""
        half = t_quantile(self.freedom, 1 - level / 2) * sqrt(self.variance)
        return self.centre - half, self.centre + half

    @property
    def p(self) -> float:
        """Two-sided chance of a mean as far from 0 without a true one."""
        return 2 * float(stdtr(min(self.freedom, 1e10), -abs(self.centre) / sqrt(self.variance)))


def spread(n: Floats, seeds: NDArray[np.int64], squared: Floats) -> tuple[Floats, float]:
    """Return the variance of one seed's value at each n, shape (k,), and its degrees of freedom.

    Args:
        n: sizes, ascending, shape (k,).
        seeds: number of seeds at each, shape (k,).
        squared: sums of squared deviations from their mean, shape (k,).

    The variance is v0 + v1 / n over all sizes, so that the few seeds of each tell it together. Where seeds never differ
    nothing is drawn, and the freedom is endless.
    """
    if not squared.any():
        return np.zeros(len(n)), inf
    v0, v1 = variance_model(n, squared, seeds - 1)
    return v0 + v1 / n, float((seeds - 1).sum())


def estimates(n: Sequence[float], measured: Sequence[Measured]) -> list[MeanEstimate | None]:
    """Return the means of one quantity at k sizes with their errors; None where nothing tells the error.

    The freedom is that of the pooled spread, though the part that seeds share is known better: Student's t with as few
    is conservative, where the freedom of Satterthwaite's approximation lets p-values of few seeds fall far too low.
    A size with a single seed takes its draws' variance from the other sizes, where these have several.
    """
    sizes = np.asarray(n, dtype=np.float64)
    seeds, squared = np.array([item.seeds for item in measured]), np.array([item.squared for item in measured])
    drawn, freedom = spread(sizes, seeds, squared)
    floor = np.array([item.floor for item in measured])
    if freedom == inf and (floor > NOISE).any() and (seeds > 1).any():
        drawn, freedom = floor, float((seeds - 1).sum())
    return [_estimate(item, own, freedom) for item, own in zip(measured, drawn.tolist(), strict=True)]


def _estimate(item: Measured, own: float, freedom: float) -> MeanEstimate | None:
    if item.seeds > 1:
        variance: float | None = own / item.seeds + item.shared
    elif item.alone is not None and item.drawn and freedom < inf:
        variance = item.alone + own
    else:
        variance, freedom = item.alone, inf
    return MeanEstimate(item.centre, variance, freedom) if variance else None
