"""Two sources of variance kept apart: which subset was drawn, and which samples the test set happens to hold.

Runs of S seeds on the same m test samples are a table x[s, i] with rows and columns drawn at random. Its mean squares
tell the two apart, where the bare variance between seeds would count part of the test set's noise a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Values = NDArray[np.floating]


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

    @property
    def mean_variance(self) -> float:
        """Variance of the mean over seeds and test samples, both sources counted once."""
        return self.between / (self.seeds * self.tested) + self.shared_variance

    @property
    def freedom(self) -> float:
        """Degrees of freedom of `mean_variance`: few where seeds decide it, m − 1 with one seed.

        Source: Hillis (2007), A comparison of denominator degrees of freedom methods for multiple observer ROC
            analysis, Statistics in Medicine 26(3).
        """
        if self.seeds < 2:
            return self.tested - 1.0
        if self.between == 0:
            return inf
        whole = self.between + max(self.samples - self.residual, 0.0)
        return (self.seeds - 1) * (whole / self.between) ** 2

    def interval(self, level: float) -> tuple[float, float]:
        """Return the central interval of the mean that covers 1 − level."""
        half = t_quantile(self.freedom, 1 - level / 2) * sqrt(self.mean_variance)
        return self.mean - half, self.mean + half


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
