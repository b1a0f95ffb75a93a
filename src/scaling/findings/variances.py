"""The two sources of variance at each n, and upgradeability with its interval."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np

from scaling.core.variance import Components, Measured, estimates
from scaling.findings.results import Gap, Variance
from scaling.findings.samples import Block
from scaling.metrics import Metric
from scaling.metrics.base import Z_95

SHARED = "no draw variance: all seeds share the whole training set"
ONE_SEED = "cannot be told from one seed"
MEAN_SQUARES = "mean squares of seeds and test samples"
NO_PREDICTIONS = "cannot be told apart: the stored predictions can't be had"
LIMIT_OF_BOOTSTRAP = "stored predictions, the limit of the bootstrap over test samples"
COUNTS = "one measurement: counts of test and train samples, no draws"
LOGGED = "width of the logged interval"


def variance(block: Block, table: Components | None, metric: Metric) -> Variance:
    """Return the two sources of variance of a curve at one n; the error of the mean comes later."""
    draw, draw_how = _draw(block, table)
    test, test_how = _test(block, table, metric)
    return Variance(
        n=block.n,
        seeds=len(block.points),
        tested=None if block.values is None else block.values.shape[1],
        mean=float(block.scores.mean()),
        draw=draw,
        draw_how=draw_how,
        test=test,
        test_how=test_how,
    )


def with_means(rows: Sequence[Variance], tables: Sequence[Components | None], level: float) -> Iterator[Variance]:
    """Yield a curve's rows with the error of the mean, from the spread of seeds at all n."""
    known = [(row, table) for row, table in zip(rows, tables, strict=True) if table is not None]
    measured = [Measured.of(table, row.draw_how != SHARED) for row, table in known]
    found = estimates([row.n for row, _ in known], measured)
    errors = {row.n: error for (row, _), error in zip(known, found, strict=True)}
    for row in rows:
        if (error := errors.get(row.n)) is not None:
            low, high = error.interval(level)
            row = replace(row, total=sqrt(error.variance), low=low, high=high)
        yield row


def _draw(block: Block, table: Components | None) -> tuple[float | None, str]:
    if block.shared:
        return None, SHARED
    if len(block.points) < 2:
        return None, ONE_SEED
    if table is None or table.draw_variance is None:
        return None, NO_PREDICTIONS
    told = table.draw_variance > 0 or table.residual == 0
    return sqrt(table.draw_variance), MEAN_SQUARES if told else f"{MEAN_SQUARES}; not told from 0"


def _test(block: Block, table: Components | None, metric: Metric) -> tuple[float | None, str]:
    if table is not None:
        return sqrt(table.test_variance), LIMIT_OF_BOOTSTRAP
    widths = [point.logged(f"{metric.key}_high") - point.logged(f"{metric.key}_low") for point in block.points]
    if np.isfinite(widths).all():
        return float(np.mean(widths)) / (2 * Z_95), LOGGED
    return None, NO_PREDICTIONS


def gap(block: Block, table: Components | None, metric: Metric, test: float | None) -> tuple[Gap, Measured] | None:
    """Return upgradeability at one n, seeds paired, and what is known of its error; None without a train counterpart.

    Args:
        test: standard deviation of one run's metric over test sets, where it is known.
    """
    train = np.array([point.logged(metric.train_key) for point in block.points])
    if not np.isfinite(train).all():
        return None
    gaps = block.scores - train
    mean = float(gaps.mean())
    if len(gaps) > 1 and not block.same:
        shared = 0.0 if table is None else table.shared_variance
        how = "seeds paired; the test set as it is" if table is None else "seeds paired, and the shared test samples"
        measured = Measured(mean, len(gaps), float(((gaps - mean) ** 2).sum()), shared, None)
    else:
        alone = _by_counts(block, metric, float(train[0]), test)
        how = "cannot be told from one measurement" if alone is None else COUNTS
        measured = Measured(mean, 1, 0.0, 0.0, alone, drawn=not block.shared)
    means = (float(block.scores.mean()), float(train.mean()), mean)
    return Gap(block.n, len(gaps), *means, None, None, how), measured


def _by_counts(block: Block, metric: Metric, train: float, test: float | None) -> float | None:
    """Return the variance of one measurement's gap, as the counts of test and train samples tell it."""
    if test is None or not metric.counts:
        return None
    right = (train * block.n + 1) / (block.n + 2)
    return test**2 + right * (1 - right) / block.n


def with_intervals(gaps: Sequence[tuple[Gap, Measured]], level: float) -> Iterator[Gap]:
    """Yield a curve's gaps with their intervals, from the spread of seeds at all n."""
    errors = estimates([row.n for row, _ in gaps], [measured for _, measured in gaps])
    for (row, _), error in zip(gaps, errors, strict=True):
        low, high = (None, None) if error is None else error.interval(level)
        yield replace(row, low=low, high=high)
