"""The two sources of variance at each n, and upgradeability with its interval."""

from math import sqrt

import numpy as np

from scaling.core.metrics import Metric
from scaling.core.scores import Z_95
from scaling.core.variance import Components, t_quantile
from scaling.findings.results import Gap, Variance
from scaling.findings.samples import Block, train_score_of

SHARED = "no draw variance: all seeds share the whole training set"
ONE_SEED = "cannot be told from one seed"
MEAN_SQUARES = "mean squares of seeds and test samples"
NO_PREDICTIONS = "cannot be told apart: the stored predictions can't be had"
LIMIT_OF_BOOTSTRAP = "stored predictions, the limit of the bootstrap over test samples"
WILSON = "width of the logged Wilson interval"


def variance(block: Block, metric: Metric, level: float) -> Variance:
    """Return the two sources of variance of a curve at one n."""
    table = block.table(rates=metric.bounded)
    draw, draw_how = _draw(block, table)
    test, test_how = _test(block, table, metric)
    low, high = table.interval(level) if table is not None else (None, None)
    return Variance(
        n=block.n,
        seeds=len(block.points),
        tested=None if block.labels is None else len(block.labels),
        mean=float(block.scores.mean()),
        draw=draw,
        draw_how=draw_how,
        test=test,
        test_how=test_how,
        total=None if table is None else sqrt(table.mean_variance),
        low=low,
        high=high,
    )


def _draw(block: Block, table: Components | None) -> tuple[float | None, str]:
    if block.shared:
        return None, SHARED
    if len(block.points) < 2:
        return None, ONE_SEED
    if table is None or table.draw_variance is None:
        return None, NO_PREDICTIONS
    return sqrt(table.draw_variance), MEAN_SQUARES


def _test(block: Block, table: Components | None, metric: Metric) -> tuple[float | None, str]:
    if table is not None:
        return sqrt(table.test_variance), LIMIT_OF_BOOTSTRAP
    widths = [point.test_high - point.test_low for point in block.points]
    if metric.name == "test/accuracy" and np.isfinite(widths).all():
        return float(np.mean(widths)) / (2 * Z_95), WILSON
    return None, NO_PREDICTIONS


def gap(block: Block, metric: Metric, level: float, test: float | None) -> Gap | None:
    """Return upgradeability at one n, seeds paired; None where the metric has no train counterpart.

    Args:
        test: standard deviation of one run's metric over test sets, where it is known.
    """
    train = np.array([train_score_of(point, metric) for point in block.points])
    if not np.isfinite(train).all():
        return None
    gaps = block.scores - train
    low, high, how = _interval(block, metric, level, test, gaps, train)
    means = (float(block.scores.mean()), float(train.mean()), float(gaps.mean()))
    return Gap(block.n, len(gaps), *means, low, high, how)


def _interval(
    block: Block, metric: Metric, level: float, test: float | None, gaps: np.ndarray, train: np.ndarray
) -> tuple[float | None, float | None, str]:
    """Return the interval of the mean gap: from seeds and the test samples they share, or from counts with one seed."""
    mean, table = float(gaps.mean()), block.table(rates=metric.bounded)
    if len(gaps) > 1 and not block.same:
        between = float(gaps.var(ddof=1)) / len(gaps)
        shared = 0.0 if table is None else table.shared_variance
        freedom = (len(gaps) - 1) * ((between + shared) / between) ** 2 if between > 0 else float("inf")
        half = t_quantile(freedom, 1 - level / 2) * sqrt(between + shared)
        covers = "seeds paired; the test set as it is" if table is None else "seeds paired, and the shared test samples"
        return mean - half, mean + half, covers
    if test is None or metric.name != "test/accuracy":
        return None, None, "cannot be told from one measurement"
    right = (float(train[0]) * block.n + 1) / (block.n + 2)
    half = t_quantile(float("inf"), 1 - level / 2) * sqrt(test**2 + right * (1 - right) / block.n)
    return mean - half, mean + half, "one measurement: counts of test and train samples, no draws"
