"""Which classes have enough labels: a curve for each class, its forecast at twice the n, and what that buys."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from math import lcm, sqrt

import numpy as np

from scaling.core.curves import Curve, Point
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.forecast import FEWEST_SIZES
from scaling.core.extrapolation.statements import COVERAGE
from scaling.core.extrapolation.threshold import SMALL_SHARE, measurable
from scaling.findings.asked import Settings
from scaling.findings.results import ClassGrowth
from scaling.metrics import Metric, class_metric, metric_of
from scaling.metrics.base import Z_95

GROWS, FLAT, TOO_FEW = "grows", "flat", "too few to tell"
#: A class without a single change of its error is flat where its test samples can measure a change as small as this.
FLAT_WITHIN = 0.05


def class_growth(curve: Curve, alike: Sequence[Curve], settings: Settings) -> tuple[ClassGrowth, ...]:
    """Return the classes of a curve, those first that twice the n helps most; none where runs logged none.

    Args:
        alike: curves that are tested on the same samples, itself among them.
    """
    found = class_metric(curve.points[0].metric)
    if found is None:
        return ()
    start = f"test/{found.name}"
    names = {key.removeprefix(start) for point in curve.points for key in point.metrics if key.startswith(start)}
    bounds = {f"{name}{end}" for name in names for end in ("_low", "_high")}
    counts = {name: _tested(alike, f"{start}{name}") if found.share else None for name in names - bounds}
    rows = [row for name in sorted(counts) if (row := growth(curve, name, found, counts[name], settings)) is not None]
    return tuple(sorted(rows, key=lambda row: (row.gain is None, -(row.gain or 0.0), row.name)))


def growth(curve: Curve, name: str, kind: Metric, tested: int | None, settings: Settings) -> ClassGrowth | None:
    """Return what a class's curve tells; None where the largest n lacks it."""
    metric = metric_of(f"{kind.name}{name}", [curve.points[0].metric])
    measured = [(n, values) for n in curve.n.tolist() if (values := list(_values(curve.at(n), metric.key)))]
    if not measured or measured[-1][0] != max(curve.n):
        return None
    now = float(np.mean(measured[-1][1]))
    n = np.array([n for n, _ in measured], dtype=np.float64)
    error = np.array([max(metric.error(float(np.mean(values))), 0.0) for _, values in measured])
    stderr = np.array([_stderr(curve.at(n), values, metric, tested) for n, values in measured])
    fitted = forecast(n, error, None if np.isnan(stderr).all() else stderr, bounded=metric.bounded)
    if len(n) < FEWEST_SIZES or fitted.experts is None:
        still = len(n) >= FEWEST_SIZES and tested is not None and measurable(error[-1], tested) <= FLAT_WITHIN
        light = FLAT if still else TOO_FEW
        return ClassGrowth(curve.curve_id, name, tested, now, None, None, None, None, None, None, light)
    ahead = fitted.predict([2 * n[-1]])
    paths = fitted.paths([n[-1], 2 * n[-1]])
    tail = (1 - COVERAGE) / 2
    low, gain, high = np.quantile(paths[:, 0] - paths[:, 1], [tail, 0.5, 1 - tail]).tolist()
    small = settings.threshold or SMALL_SHARE * float(error[-1])
    light = FLAT if high < small else GROWS if low > 0 else TOO_FEW
    value, *ends = (metric.value(float(of[0])) for of in (ahead.error, ahead.lower90, ahead.upper90))
    return ClassGrowth(curve.curve_id, name, tested, now, value, min(ends), max(ends), gain, low, high, light)


def _values(points: Sequence[Point], key: str) -> Iterator[float]:
    return (value for point in points if np.isfinite(value := point.logged(key)))


def _stderr(points: Sequence[Point], values: Sequence[float], metric: Metric, tested: int | None) -> float:
    """Return the standard error of a mean over seeds: one test set serves them all, their draws differ."""
    draws = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    if tested is not None:  # two further samples on either side, as in the intervals of rates
        share = (float(np.mean(values)) * tested + 2) / (tested + 4)
        return sqrt(share * (1 - share) / (tested + 4) + draws)
    low, high = (list(_values(points, f"{metric.key}_{end}")) for end in ("low", "high"))
    return sqrt((float(np.subtract(high, low).mean()) / (2 * Z_95)) ** 2 + draws) if low else float("nan")


def _tested(curves: Sequence[Curve], key: str) -> int | None:
    """Return the test samples of a class; None where every value is 0 or 1, which any number can have."""
    found = samples_behind([value for curve in curves for value in _values(curve.points, key)])
    return found if found > 1 else None


def samples_behind(shares: Sequence[float]) -> int:
    """Return the least number of samples of which all shares can be: the least common denominator.

    It divides the true number, and rarely is less where there are several shares; then errors come out too large.

    >>> samples_behind([0.75, 2 / 3])
    12
    """
    return lcm(*(_denominator(share) for share in shares))


@cache
def _denominator(share: float) -> int:
    return Fraction(share).limit_denominator(100_000).denominator
