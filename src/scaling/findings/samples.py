"""What a curve's runs at one n say of each test sample, read once."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.core.curves import Curve, Point
from scaling.core.metrics import Metric, sample_values
from scaling.core.scores import Predictions
from scaling.core.variance import Components, components
from scaling.findings.asked import PredictionSource
from scaling.findings.results import Floats

#: What a rate of 0 or 1 still leaves open: two samples for either side (Agresti and Coull 1998).
RATE_PSEUDO = (0.0, 0.0, 1.0, 1.0)


def score_of(point: Point, metric: Metric) -> float:
    """Return a point's metric; NaN where its run didn't log it."""
    if metric.name in point.metrics:
        return float(point.metrics[metric.name])
    return point.test_accuracy if metric.name == "test/accuracy" else float("nan")


def train_score_of(point: Point, metric: Metric) -> float:
    """Return the same metric on the training samples; NaN where the run didn't log it."""
    if metric.train_name in point.metrics:
        return float(point.metrics[metric.train_name])
    return point.train_accuracy if metric.name == "test/accuracy" else float("nan")


@dataclass(frozen=True)
class Block:
    """The runs of one curve at one n that logged the metric, by seed.

    Attributes:
        scores: the metric, shape (S,).
        values: values of the test samples whose mean is the metric, shape (S, m); None where any can't be had.
        labels: the test samples' classes, by which two test sets are told apart, shape (m,).
        shared: whether all seeds have the same subset.
    """

    curve: Curve
    n: int
    points: tuple[Point, ...]
    scores: Floats
    values: NDArray[np.float32] | None
    labels: NDArray[np.integer] | None
    shared: bool

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order of the rows."""
        return [point.seed for point in self.points]

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


def block(curve: Curve, n: int, metric: Metric, source: PredictionSource) -> Block | None:
    """Read the runs of a curve at one n; None where none of them logged the metric."""
    points = tuple(point for point in curve.at(n) if np.isfinite(score_of(point, metric)))
    if not points:
        return None
    scores = np.array([score_of(point, metric) for point in points])
    values, labels = _values(points, metric, source)
    return Block(curve, n, points, scores, values, labels, curve.no_draw_variance(n))


def _values(
    points: Iterable[Point], metric: Metric, source: PredictionSource
) -> tuple[NDArray[np.float32] | None, NDArray[np.integer] | None]:
    rows, labels = [], None
    for point in points:
        kept = source.of(point)
        row = None if kept is None else row_of(kept, metric, score_of(point, metric))
        if kept is None or row is None or (labels is not None and not np.array_equal(labels, kept.labels)):
            return None, None
        labels = kept.labels
        rows.append(row)
    return np.stack(rows), labels


def row_of(kept: Predictions, metric: Metric, logged: float) -> NDArray[np.float32] | None:
    """Return the values of a run's test samples; None where they can't tell the metric."""
    if len(kept.labels) < 2:
        return None
    values = sample_values(metric, kept)
    if values is None or not np.isfinite(values).all():
        return None
    if metric.name == "test/macro_f1" and (mean := values.mean(dtype=np.float64)) > 0:
        # Classes that the test set lacks count 0 in the mean; how many there are, the logged value tells.
        values *= np.float32(logged / mean)
    return values
