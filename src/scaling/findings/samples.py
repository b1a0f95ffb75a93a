"""What a curve's runs at one n say of each test sample, read once."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.core.curves import Curve, Point
from scaling.core.variance import RATE_PSEUDO, Components, components
from scaling.findings.asked import SampleSource
from scaling.findings.results import Floats
from scaling.metrics import Metric
from scaling.metrics.stored import Samples


@dataclass(frozen=True)
class Block:
    """The runs of one curve at one n that logged the metric, by seed.

    Attributes:
        scores: the metric, shape (S,).
        values: values of the test samples whose mean is the metric, shape (S, m); None where any can't be had.
        test_set: hash by which two test sets are told apart; empty without values.
        shared: whether all seeds have the same subset.
    """

    curve: Curve
    n: int
    points: tuple[Point, ...]
    scores: Floats
    values: NDArray[np.float32] | None
    test_set: str
    shared: bool

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order of the rows."""
        return [point.seed for point in self.points]

    def row(self, seed: int) -> int | None:
        """Return the row of a seed, or of the result that stands for all seeds; None without either."""
        return next((i for i, point in enumerate(self.points) if point.every_seed or point.seed == seed), None)

    @cached_property
    def same(self) -> bool:
        """Whether the seeds share their subset and came to one result, so that they are one measurement."""
        equal = self.values is None or bool((self.values == self.values[0]).all())
        return self.shared and equal and bool(np.ptp(self.scores) < 1e-9)

    def table(self, rates: bool) -> Components | None:
        """Return the variance components of the metric, or None without predictions."""
        if self.values is None:
            return None
        values = self.values[:1] if self.same else self.values
        return components(values, RATE_PSEUDO if rates else ())


def block(curve: Curve, n: int, metric: Metric, source: SampleSource) -> Block | None:
    """Read the runs of a curve at one n; None where none of them logged the metric."""
    points = tuple(point for point in curve.at(n) if np.isfinite(point.logged(metric.key)))
    if not points:
        return None
    values, test_set = _values(points, metric, source)
    return Block(curve, n, points, np.array(curve.logged(metric.key, n)), values, test_set, curve.no_draw_variance(n))


def _values(points: Iterable[Point], metric: Metric, source: SampleSource) -> tuple[NDArray[np.float32] | None, str]:
    """Return the values of all runs and their test set; None where any can't be had or is of another test set."""
    kept = [source.of(point, metric) for point in points]
    found = [samples for samples in kept if samples is not None and usable(samples)]
    if len(found) < len(kept) or len({samples.test_set for samples in found}) > 1:
        return None, ""
    return np.stack([samples.values for samples in found]), found[0].test_set


def usable(samples: Samples) -> bool:
    """Say whether a run's values can tell an error."""
    return len(samples.values) > 1 and bool(np.isfinite(samples.values).all())
