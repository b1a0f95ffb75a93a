"""What points cost, and the metric against it."""

from collections.abc import Iterable, Iterator

import numpy as np

from scaling.core.costs import feature_seconds, fit_seconds
from scaling.core.curves import Curve
from scaling.findings.results import CurveCost
from scaling.metrics import Metric


def costs(curves: Iterable[Curve], metric: Metric) -> Iterator[CurveCost]:
    """Yield what a point of each curve takes at each n."""
    for curve in curves:
        for n in curve.n.tolist():
            yield cost(curve, n, metric)


def cost(curve: Curve, n: int, metric: Metric) -> CurveCost:
    """Return what a point of a curve takes at one n, means over seeds."""
    points = curve.at(n)
    fit = _mean(fit_seconds(point.metrics) for point in points)
    scores = curve.logged(metric.key, n)
    per_hour = float(np.mean(scores)) / (fit / 3600) if fit and scores and metric.higher_is_better else None
    return CurveCost(
        curve_id=curve.curve_id,
        n=n,
        seeds=len(points),
        fit_seconds=fit,
        feature_seconds=None if fit is None else _mean(feature_seconds(point.metrics) for point in points),
        seconds=_mean(point.seconds for point in points),
        per_hour=per_hour,
        machine="; ".join(sorted({point.machine for point in points if point.machine})),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
