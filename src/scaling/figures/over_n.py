"""Curves over n: they go into the axes that the caller hands in."""

from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from typing import TYPE_CHECKING

import numpy as np

from scaling.core.curves import Curve, Point
from scaling.figures.style import look
from scaling.findings import Ahead, Findings
from scaling.metrics import Metric, primary_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: With more curves than this, forecasts are lines without bands: bands over bands can't be told apart.
MOST_BANDS = 4
#: With more curves than this, lines alone are drawn: bands and bars of so many are but ink and time.
MANY = 20
FORECAST = "forecast; on grey more than 4 times the largest n"
#: Digits that fit along the axis of n.
CHARACTERS = 70


def shown_metric(curves: Sequence[Curve], findings: Findings | None) -> Metric:
    """Return what is drawn: what was asked for, else the curves' primary metric."""
    return findings.metric if findings else primary_metric(curves[0].points[0].metric)


def draw_band(
    ax: "Axes",
    curve: Curve,
    quantity: str | Callable[[Point], float],
    position: int,
    label: str,
    line: str = "-",
    filled: bool = True,
) -> None:
    """Draw the mean over seeds as a line, and the range over seeds as a band where it is to be filled."""
    band, (colour, marker) = curve.band(quantity), look(position)
    ax.plot(curve.n, band.mean, line, color=colour, marker=marker, markersize=5, linewidth=1.6, label=label)
    if filled and (band.high > band.low).any():
        ax.fill_between(curve.n, band.low, band.high, color=colour, alpha=0.18, linewidth=0)


def scaling_curves(
    ax: "Axes", curves: Sequence[Curve], labels: Sequence[str], findings: Findings | None = None
) -> None:
    """Draw the metric over n, one line a curve, a bar for the 95 % interval of the test set, the forecast dashed."""
    metric = shown_metric(curves, findings)
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        draw_band(ax, curve, methodcaller("logged", metric.key), position, label, filled=len(curves) <= MANY)
        if len(curves) <= MANY:
            draw_intervals(ax, curve, metric, position)
    beyond = draw_forecasts(ax, curves, findings) if findings else []
    over_n(ax, curves, metric.words, f"Scaling: {metric.words} over n", beyond)


def draw_intervals(ax: "Axes", curve: Curve, metric: Metric, position: int) -> None:
    """Draw the 95 % interval of the test set as bars, where the runs logged one."""
    mean, low, high = (curve.band(methodcaller("logged", metric.key + end)).mean for end in ("", "_low", "_high"))
    ax.errorbar(
        curve.n, mean, [(mean - low).clip(min=0), (high - mean).clip(min=0)], fmt="none", capsize=2,
        color=look(position)[0], linewidth=0.9,
    )  # fmt: skip


def draw_forecasts(ax: "Axes", curves: Sequence[Curve], findings: Findings) -> list[int]:
    """Draw what is expected beyond the largest n, and shade where that reaches beyond four times of it.

    Returns:
        The sizes between which the ground is shaded; empty without forecasts.
    """
    found = {entry.curve_id: entry for entry in findings.curves}
    starts, ends = [], []
    for position, curve in enumerate(curves):
        entry = found.get(curve.curve_id)
        if entry is not None and entry.forecast is not None:
            draw_ahead(ax, curve, entry.forecast, findings.metric, position, bands=len(curves) <= MOST_BANDS)
            starts.append(entry.caution_from)
            ends.append(float(entry.forecast.n[-1]))
    if not starts:
        return []
    ax.axvspan(min(starts), max(ends), color="#999999", alpha=0.15, linewidth=0)
    ax.plot([], [], "--", color="#777777", linewidth=1.2, label=FORECAST)
    return [round(min(starts)), round(max(ends))]


def draw_ahead(ax: "Axes", curve: Curve, ahead: Ahead, metric: Metric, position: int, bands: bool) -> None:
    """Draw one forecast from the largest n on: dashed, with its 50 % and 90 % intervals."""
    beyond = ahead.n >= curve.n[-1] * (1 - 1e-9)
    n, colour = ahead.n[beyond], look(position)[0]
    shown = {name: as_metric(getattr(ahead, name)[beyond], metric) for name in AHEAD}
    ax.plot(n, shown["error"], "--", color=colour, linewidth=1.2)
    if bands:
        ax.fill_between(n, shown["low90"], shown["high90"], color=colour, alpha=0.10, linewidth=0)
        ax.fill_between(n, shown["low50"], shown["high50"], color=colour, alpha=0.16, linewidth=0)


AHEAD = ("error", "low50", "high50", "low90", "high90")


def as_metric(error: np.ndarray, metric: Metric) -> np.ndarray:
    """Turn errors back into the metric."""
    return metric.bounds[1] - error if metric.higher_is_better else error + metric.bounds[0]


def upgradeability_curves(
    ax: "Axes", curves: Sequence[Curve], labels: Sequence[str], findings: Findings | None = None
) -> None:
    """Draw P(test) − P(train) over n, one line a curve."""
    metric = shown_metric(curves, findings)

    def gap(point: Point) -> float:
        return point.logged(metric.key) - point.logged(metric.train_key)

    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        draw_band(ax, curve, gap, position, label, filled=len(curves) <= MANY)
    ax.axhline(0, color="#777777", linewidth=0.8, zorder=0)
    over_n(ax, curves, f"test {metric.title} − train {metric.title}", "Upgradeability over n")


def train_and_test_curves(
    ax: "Axes", curves: Sequence[Curve], labels: Sequence[str], findings: Findings | None = None
) -> None:
    """Draw the train score (dotted) beside the test score."""
    metric = shown_metric(curves, findings)
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        draw_band(ax, curve, methodcaller("logged", metric.key), position, label, filled=len(curves) <= MANY)
        draw_band(ax, curve, methodcaller("logged", metric.train_key), position, "", ":", filled=len(curves) <= MANY)
    over_n(ax, curves, metric.title, f"Test {metric.title} (solid) and train {metric.title} (dotted) over n")


def cost_curves(ax: "Axes", curves: Sequence[Curve], labels: Sequence[str], findings: Findings | None = None) -> None:
    """Draw the metric over the seconds that fitting and predicting took, means over seeds."""
    from matplotlib.ticker import NullFormatter

    assert findings is not None
    seconds = seconds_of(findings)
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        taken = np.array([seconds.get((curve.curve_id, n)) or np.nan for n in curve.n.tolist()])
        colour, marker = look(position)
        mean = curve.band(methodcaller("logged", findings.metric.key)).mean
        ax.plot(taken, mean, color=colour, marker=marker, markersize=5, linewidth=1.6, label=label)
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(NullFormatter())
    finish(ax, "seconds to fit and predict", findings.metric.words, f"Cost: {findings.metric.words} over time")


def seconds_of(findings: Findings) -> Mapping[tuple[str, int], float | None]:
    """Return the seconds of fitting by curve and n."""
    return {(cost.curve_id, cost.n): cost.fit_seconds for cost in findings.costs}


def over_n(ax: "Axes", curves: Sequence[Curve], quantity: str, title: str, beyond: Sequence[int] = ()) -> None:
    """Label the axes: n logarithmic, with the sizes that were run, and some beyond them, as ticks."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    sizes = sorted({int(n) for curve in curves for n in curve.n})
    single = len(sizes) == 1 and not beyond
    ax.set_xscale("log")
    if len(sizes) <= 8:
        sizes += beyond
        ax.xaxis.set_major_locator(FixedLocator(sizes))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(sizes, tick_labels(sizes))
    ax.xaxis.set_minor_formatter(NullFormatter())
    if single:
        ax.set_xlim(sizes[0] / 2, sizes[0] * 2)
    finish(ax, "n training samples", quantity, title)


def tick_labels(sizes: Sequence[int]) -> list[str]:
    """Write sizes, ascending, at their places on a logarithmic axis; one that would touch a larger one stays empty.

    >>> tick_labels([100, 30_000, 60_000, 480_000])
    ['100', '', '60 000', '480 000']
    """
    written = [f"{n:,}".replace(",", " ") for n in sizes]
    place = CHARACTERS * np.log(sizes) / max(np.log(sizes[-1] / sizes[0]), 1e-9)
    left = np.inf
    for i in reversed(range(len(sizes))):
        if place[i] + len(written[i]) / 2 + 1 > left:
            written[i] = ""
        else:
            left = place[i] - len(written[i]) / 2
    return written


def finish(ax: "Axes", x: str, y: str, title: str) -> None:
    """Name the axes, and put the legend below them."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title, loc="left", fontsize=11)
    ax.grid(visible=True, color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    # Below the axes no curve is covered, however many there are.
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), frameon=False, fontsize=8.5, ncols=1, borderaxespad=0)
