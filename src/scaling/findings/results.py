"""What a report has to say beyond its measured points. Held here, found elsewhere; all of it can become JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.extrapolation.statements import Statement
from scaling.findings.asked import Settings
from scaling.findings.plain import as_plain
from scaling.findings.step import Step
from scaling.metrics import Metric

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ahead:
    """A curve's forecast on a grid, every array of shape (t,), from the smallest n to 8 times the largest.

    Attributes:
        n: sizes, evenly spaced in log n.
        error: point prediction; for a metric between 0 and 1 the metric is 1 − error.
        low50, high50, low90, high90: bounds of the central intervals for one new measurement.
    """

    n: Floats
    error: Floats
    low50: Floats
    high50: Floats
    low90: Floats
    high90: Floats


@dataclass(frozen=True)
class Variance:
    """The two sources of variance at one n of a curve, as standard deviations of the metric.

    Attributes:
        seeds: runs at this n.
        tested: size of the test set; None where predictions can't be had.
        mean: mean of the metric over seeds.
        draw: standard deviation between subset draws, apart from the test set; None where it can't be known.
        draw_how: how it was found, or why not.
        test: standard deviation of one run's metric over test sets of this size; None where it can't be known.
        test_how: how it was found, or why not.
        total: standard error of the mean over seeds, from both sources; None where one is unknown.
        low, high: interval of the mean, 1 − level; None where there is none.
    """

    n: int
    seeds: int
    tested: int | None
    mean: float
    draw: float | None
    draw_how: str
    test: float | None
    test_how: str
    total: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Gap:
    """Upgradeability at one n: test − train of the same predictors, with an interval; None where there is none.

    Attributes:
        test, train, gap: means over seeds.
        low, high: interval of the gap, 1 − level, seeds paired.
        how: what the interval covers.
    """

    n: int
    seeds: int
    test: float
    train: float
    gap: float
    low: float | None
    high: float | None
    how: str


@dataclass(frozen=True)
class CurveFindings:
    """What one curve tells.

    Attributes:
        dataset: the data set's name.
        statements: trend, local_exponent, asymptote, saturation, one data_requirement and one collection_plan a target,
            one marginal_value a number of labels, limit (what the limit of upgradeability suggests).
        forecast: of the metric's error; None where it can't be had.
        train_forecast: of the train error; None where the metric has no train counterpart.
        caution_from: n beyond which a forecast reaches far.
        flags: of the forecast, see `Forecast.flags`.
        variance: one row an n.
        gaps: one row an n; empty where the metric has no train counterpart.
    """

    curve_id: str
    label: str
    dataset: str
    statements: tuple[Statement, ...]
    forecast: Ahead | None
    train_forecast: Ahead | None
    caution_from: float
    flags: tuple[str, ...]
    variance: tuple[Variance, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two curves at one n. a and b are curve_ids; the difference is a − b in units of the metric.

    Attributes:
        seeds: seeds that both have at this n.
        tested: test samples that both were tested on; None where predictions can't be had.
        low, high: interval of the difference, 1 − level, not adjusted; None where there is none.
        p: chance of a difference as large without any true one; None where it can't be had.
        p_adjusted: p corrected for all comparisons of the report.
        test: what p is of.
        mcnemar: exact McNemar p of each seed, by seed; empty where samples are not counted right or wrong.
        mcnemar_merged: one p for them all, two-sided; None where there are none.
        verdict: "a", "b" (is better) or "open".
        text: the verdict in plain words.
    """

    dataset: str
    n: int
    a: str
    b: str
    seeds: int
    tested: int | None
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    test: str
    mcnemar: tuple[float, ...] = ()
    mcnemar_merged: float | None = None
    verdict: str = "open"
    text: str = ""


@dataclass(frozen=True)
class Ranks:
    """How the order of a data set's curves holds over n.

    Attributes:
        n: sizes at which two curves or more were measured, shape (k,).
        curves: curve_ids, the rows of `ranks`.
        ranks: rank of each curve at each n, 1 the best, equals sharing the mean; None where it wasn't measured.
        tau: Kendall's tau-b between each n and the next, over the curves that both have, k − 1 entries; None where
            fewer than two curves or no order is shared.
        concordance: Kendall's W over the sizes that all curves have; None where that needs more.
        text: what this says in plain words.
    """

    dataset: str
    n: tuple[int, ...]
    curves: tuple[str, ...]
    ranks: tuple[tuple[float | None, ...], ...]
    tau: tuple[float | None, ...]
    concordance: float | None
    text: str


@dataclass(frozen=True)
class Crossover:
    """Where one curve overtakes another. a leads at the smaller n, b at the larger, as far as the means show.

    Attributes:
        n: where the interpolated curves cross; None where they don't or it can't be told.
        low, high: central 90 % interval.
        told: whether the points suffice.
        text: the finding in plain words.
    """

    dataset: str
    a: str
    b: str
    n: float | None
    low: float | None
    high: float | None
    told: bool
    text: str


@dataclass(frozen=True)
class Gain:
    """What pre-training gains at one n: pre-trained − from scratch, seeds paired, in units of the metric."""

    n: int
    seeds: int
    gain: float
    low: float | None
    high: float | None
    test: str


@dataclass(frozen=True)
class Pretraining:
    """A pre-trained curve (a) beside the one that differs only in starting from random weights (b)."""

    dataset: str
    a: str
    b: str
    gains: tuple[Gain, ...]
    text: str


@dataclass(frozen=True)
class CurveCost:
    """What a point of a curve takes at one n, means over seeds.

    Attributes:
        fit_seconds: fitting and predicting; None where the runs logged no times.
        feature_seconds: computing features in these runs; 0 where all were stored already.
        seconds: the whole run, from its start to its end; None where unknown.
        per_hour: the metric's value for each hour of `fit_seconds`, on that machine; None for a loss.
        machine: where the runs happened, in words.
    """

    curve_id: str
    n: int
    seeds: int
    fit_seconds: float | None
    feature_seconds: float | None
    seconds: float | None
    per_hour: float | None
    machine: str


@dataclass(frozen=True)
class ModelSize:
    """One curve beside the size of its model; None where unknown or refused.

    Attributes:
        parameters: weights of the network, head included.
        flops: floating-point operations for the features of one sample at the input size (a multiply–add is two).
        exponent, asymptote, saturation: from the curve's statements.
        error: error at the largest n that the data set's curves share, at its own where they share none.
        bounds: central 90 % interval of each of the three that is told; infinite where it is open.
    """

    curve_id: str
    dataset: str
    adaptation: str
    model: str
    parameters: float | None
    flops: float | None
    exponent: float | None
    asymptote: float | None
    saturation: float | None
    error: float
    bounds: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class Relation:
    """Whether a quantity of curves goes with the size of their models, on one data set under one adaptation.

    Attributes:
        size: "parameters" or "flops".
        quantity: "exponent", "asymptote", "saturation" or "error".
        tau: Kendall's tau-b; None where fewer than two models have both.
        p: exact two-sided chance of as strong an order; None where there is none.
        text: what this says in plain words.
    """

    dataset: str
    adaptation: str
    size: str
    quantity: str
    models: int
    tau: float | None
    p: float | None
    told: bool
    text: str


@dataclass(frozen=True)
class ClassGrowth:
    """One class of a curve.

    Attributes:
        tested: test samples of the class, as far as its values tell; None where they don't.
        now: its metric at the largest n, mean over seeds.
        double, low, high: forecast of one measurement at twice the n, with a central 90 % interval; None without one.
        gain, gain_low, gain_high: by how much twice the n lowers its error, with a central 90 % interval.
        light: "grows", "flat" or "too few to tell".
    """

    curve_id: str
    name: str
    tested: int | None
    now: float
    double: float | None
    low: float | None
    high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    light: str


@dataclass(frozen=True)
class Complexity:
    """Scalability against the size of models: one row a curve, and what the rows say together."""

    rows: tuple[ModelSize, ...]
    relations: tuple[Relation, ...]


@dataclass(frozen=True)
class Findings:
    """Everything that was found.

    Attributes:
        metric: what the curves show.
        settings: what was asked.
        classes: of each curve, those first that further labels help most; of the first curves where there are many.
        steps: what to measure next, the best first.
        notes: what is left out, and why.
        caveats: what must be known of the data sets.
    """

    metric: Metric
    settings: Settings
    curves: tuple[CurveFindings, ...]
    comparisons: tuple[Comparison, ...]
    ranks: tuple[Ranks, ...]
    crossovers: tuple[Crossover, ...]
    pretraining: tuple[Pretraining, ...]
    costs: tuple[CurveCost, ...]
    complexity: Complexity
    steps: tuple[Step, ...]
    classes: tuple[ClassGrowth, ...]
    notes: tuple[str, ...]
    caveats: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON: arrays become lists, what is not finite becomes None."""
        plain = as_plain(self)
        assert isinstance(plain, dict)
        return plain
