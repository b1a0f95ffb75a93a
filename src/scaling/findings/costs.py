"""What points cost, and the metric against it."""

from collections.abc import Iterable, Iterator

import numpy as np

from scaling.core.curves import Curve, Point
from scaling.findings.results import Cost
from scaling.metrics import Metric

#: Stages of a run that are neither fitting nor predicting.
AROUND = ("time/load_s", "time/logging_s")
FEATURES = "time/features_of_"


def costs(curves: Iterable[Curve], metric: Metric) -> Iterator[Cost]:
    """Yield what a point of each curve takes at each n."""
    for curve in curves:
        for n in curve.n.tolist():
            yield cost(curve, n, metric)


def cost(curve: Curve, n: int, metric: Metric) -> Cost:
    """Return what a point of a curve takes at one n, means over seeds."""
    points = curve.at(n)
    fit = _mean(fit_seconds(point) for point in points)
    scores = curve.logged(metric.key, n)
    per_hour = float(np.mean(scores)) / (fit / 3600) if fit and scores and metric.higher_is_better else None
    return Cost(
        curve_id=curve.curve_id,
        n=n,
        seeds=len(points),
        fit_seconds=fit,
        feature_seconds=None if fit is None else _mean(feature_seconds(point) for point in points),
        seconds=_mean(point.seconds for point in points),
        per_hour=per_hour,
        machine="; ".join(sorted({point.machine for point in points if point.machine})),
    )


def fit_seconds(point: Point) -> float | None:
    """Return the time of the stages between loading and logging, features left out; None where none was logged."""
    stages = [
        seconds
        for name, seconds in point.metrics.items()
        if name.startswith("time/") and name not in AROUND and not name.startswith(FEATURES)
    ]
    return sum(stages) if stages else None


def feature_seconds(point: Point) -> float:
    """Return the time that the run spent on features that were not stored yet."""
    return sum(seconds for name, seconds in point.metrics.items() if name.startswith(FEATURES))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
