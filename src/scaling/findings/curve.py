"""What one curve tells: its forecast and the statements that rest on it."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import numpy as np

from scaling.core.curves import Curve
from scaling.core.extrapolation import Forecast, forecast
from scaling.core.extrapolation.collecting import collection_plan
from scaling.core.extrapolation.statements import (
    CAUTION_FACTOR,
    Statement,
    asymptote,
    data_requirement,
    local_exponent,
    marginal_value,
    refusal,
    saturation,
)  # fmt: skip
from scaling.core.extrapolation.threshold import Threshold
from scaling.core.extrapolation.trend import trend
from scaling.core.limits import limit
from scaling.findings.asked import Settings
from scaling.findings.results import Ahead, CurveFindings, Floats, Gap, Variance
from scaling.metrics import Metric
from scaling.metrics.base import Z_95

#: Places of a forecast's grid, and how far it reaches as a factor of the largest n.
PLACES, REACH = 97, 8.0


def curve_findings(
    curve: Curve, metric: Metric, settings: Settings, variances: Sequence[Variance], gaps: Sequence[Gap]
) -> CurveFindings:
    """Fit a curve and state what it tells."""
    n, error = errors(curve, metric, train=False)
    fitted = fitted_curve(curve, metric, variances)
    trained_n, trained_error = errors(curve, metric, train=True)
    trained = forecast(trained_n, trained_error, bounded=metric.bounded) if len(trained_n) else None
    last = max(variances, key=lambda row: row.n)
    threshold = Threshold.given(settings.threshold) if settings.threshold else measurable(last, metric)
    return CurveFindings(
        curve_id=curve.curve_id,
        label=curve.label,
        dataset=curve.points[0].dataset,
        statements=tuple(statements(fitted, trained, n, error, threshold, last, metric, settings)),
        forecast=ahead(fitted),
        train_forecast=None if trained is None else ahead(trained),
        caution_from=CAUTION_FACTOR * float(n.max()),
        flags=fitted.flags,
        variance=tuple(variances),
        gaps=tuple(gaps),
    )


def fitted_curve(curve: Curve, metric: Metric, variances: Sequence[Variance]) -> Forecast:
    """Fit the errors of a curve."""
    n, error = errors(curve, metric, train=False)
    return forecast(n, error, _stderr(n, variances), bounded=metric.bounded)


def errors(curve: Curve, metric: Metric, train: bool) -> tuple[Floats, Floats]:
    """Return n and error of each measurement, shape (k,) each; seeds that share their subset are one measurement."""
    sizes, found = [], []
    for n in curve.n.tolist():
        values = [metric.error(value) for value in curve.logged(metric.train_key if train else metric.key, n)]
        if curve.no_draw_variance(n) and values:
            values = [float(np.mean(values))]
        sizes += [float(n)] * len(values)
        # 1 − 0.9999999999999999 and the like: the noise of binary fractions is no error.
        found += [max(value, 0.0) for value in values]
    return np.array(sizes), np.array(found)


def _stderr(n: Floats, variances: Sequence[Variance]) -> Floats | None:
    """Return the test set's standard error where no repeats tell the noise, else None: repeats tell all of it."""
    if len(np.unique(n)) < len(n):
        return None
    known = {row.n: row.test for row in variances}
    return np.array([np.nan if known[int(size)] is None else known[int(size)] for size in n], dtype=np.float64)


def measurable(last: Variance, metric: Metric) -> Threshold | None:
    """Return what the test set tells: the smallest difference that two runs on test sets of this size can show."""
    if not last.test:
        return None
    return Threshold.of_test_set(Z_95 * sqrt(2) * last.test, metric.error(last.mean), last.tested)


def ahead(fitted: Forecast) -> Ahead:
    """Predict on the grid that figures are drawn from."""
    points = fitted.observations
    made = fitted.predict(np.geomspace(points.n[0], REACH * points.top, PLACES))
    return Ahead(made.n, made.error, made.lower50, made.upper50, made.lower90, made.upper90)


def statements(
    fitted: Forecast,
    trained: Forecast | None,
    n: Floats,
    error: Floats,
    threshold: Threshold | None,
    last: Variance,
    metric: Metric,
    settings: Settings,
) -> list[Statement]:
    """Return all statements about a curve."""
    found = [trend(n, error), local_exponent(fitted), asymptote(fitted)]
    found.append(saturation(fitted, threshold) if threshold else _no_threshold("saturation"))
    noise = last.total or last.test or 0.0
    drawn = last.draw is not None and last.draw**2 / last.seeds > noise**2 / 2
    for target in settings.targets:
        tested = None if drawn else last.tested
        required = data_requirement(fitted, metric.error(target), noise=noise, tested=tested)
        ordered = collection_plan(fitted, metric.error(target), settings.price)
        found += [replace(one, details={**one.details, "target": target}) for one in (required, ordered)]
    found += [marginal_value(fitted, number) for number in settings.labels]
    if trained is not None:
        found.append(limit(fitted, trained, threshold) if threshold else _no_threshold("limit"))
    return found


def _no_threshold(kind: str) -> Statement:
    why = "what the test set can measure is not known without stored predictions; set a threshold"
    return refusal(kind, why)
