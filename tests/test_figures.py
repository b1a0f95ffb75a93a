"""What is drawn: the data, the labels and the scales, not the pixels."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from scaling.core.curves import Point, curves_of
from scaling.figures import (
    COLOURS,
    drawings,
    figure,
    plotly_script,
    scaling_curves,
    short_labels,
    train_and_test_curves,
    upgradeability_curves,
)  # fmt: skip
from scaling.figures.over_n import tick_labels
from scaling.figures.style import DISTINCT, look
from scaling.findings import Settings, find

POINT = Point(
    curve_id="c", model="net", dataset="digits", adaptation="knn", n=10, n_requested="10", seed=0,
    metric="accuracy", train_score=0.9, test_score=0.8, fingerprint="f", run_id="r", test_low=0.75, test_high=0.875,
)  # fmt: skip
DRAWINGS = [scaling_curves, upgradeability_curves, train_and_test_curves]


def points(*entries, **changes):
    """Make points of (n, seed, train accuracy, test accuracy)."""
    return [
        replace(POINT, n=n, seed=seed, train_score=train, test_score=test, **changes)
        for n, seed, train, test in entries
    ]


#: Two seeds that differ at n = 10 and 100 and agree at n = 1000.
SEEDS = points(
    (10, 0, 1.0, 0.25), (10, 1, 1.0, 0.75), (100, 0, 0.75, 0.5), (100, 1, 1.0, 0.75), (1000, 0, 1.0, 0.75),
    (1000, 1, 1.0, 0.75),
)  # fmt: skip
ONE_SEED = [point for point in SEEDS if point.seed == 0]


def drawn(draw, *some, labels=None):
    """Draw curves into axes of our own."""
    curves = curves_of(some)
    ax = Figure().subplots()
    draw(ax, curves, labels or [curve.label for curve in curves])
    return ax


def lines(ax, curves=1):
    """Return the lines with the curves' markers, in their order."""
    return [line for line in ax.lines if line.get_marker() not in ("None", "", None, "_")][:curves]


def bands(ax):
    return [part for part in ax.collections if isinstance(part, PolyCollection)]


def many(count, sizes=(10, 100)):
    return [replace(POINT, curve_id=f"{i:02}", model=f"net{i:02}", n=n) for i in range(count) for n in sizes]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("draw", "means"), [(scaling_curves, [0.5, 0.625, 0.75]), (upgradeability_curves, [-0.5, -0.25, -0.25])]
)
def test_the_line_is_the_mean_over_seeds(draw, means):
    (line,) = lines(drawn(draw, *SEEDS))
    np.testing.assert_array_equal(line.get_xdata(), [10, 100, 1000])
    np.testing.assert_array_equal(line.get_ydata(), means)


def test_the_band_is_the_range_over_seeds():
    (band,) = bands(drawn(scaling_curves, *SEEDS))
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(10, 0.25), (10, 0.75), (100, 0.5), (100, 0.75), (1000, 0.75)} == corners


@pytest.mark.parametrize("draw", DRAWINGS)
def test_one_seed_has_no_band(draw):
    assert bands(drawn(draw, *ONE_SEED)) == []


@pytest.mark.parametrize("draw", DRAWINGS)
def test_seeds_that_agree_have_no_band(draw):
    assert bands(drawn(draw, *points((10, 0, 0.9, 0.8), (10, 1, 0.9, 0.8)))) == []


def test_only_the_curve_whose_seeds_differ_has_a_band():
    other = [replace(point, curve_id="d", model="other") for point in ONE_SEED]
    ax = drawn(scaling_curves, *SEEDS, *other)
    (band,) = bands(ax)
    assert to_hex(band.get_facecolor()[0]) == to_hex(lines(ax)[0].get_color())


def test_the_bar_is_the_interval_of_the_test_set():
    ax = drawn(scaling_curves, replace(POINT, test_low=0.5, test_score=0.75, test_high=0.875))
    (bar,) = ax.containers[0].lines[2]
    assert bar.get_segments()[0].tolist() == [[10, 0.5], [10, 0.875]]


def test_points_without_an_interval_are_drawn_too():
    unknown = [replace(point, test_low=float("nan"), test_high=float("nan")) for point in ONE_SEED]
    figure(scaling_curves, curves_of(unknown)).savefig(io.BytesIO())


@pytest.mark.parametrize("draw", DRAWINGS)
def test_n_is_drawn_logarithmically_and_named(draw):
    ax = drawn(draw, *SEEDS)
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "n training samples"


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (scaling_curves, "test accuracy"),
        (upgradeability_curves, "test accuracy − train accuracy"),
        (train_and_test_curves, "accuracy"),
    ],
)
def test_the_quantity_is_named(draw, words):
    assert drawn(draw, *SEEDS).get_ylabel() == words


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_drawing_has_a_title(draw):
    assert "over n" in drawn(draw, *SEEDS).get_title(loc="left")


def test_the_sizes_that_were_run_are_the_ticks():
    ax = drawn(scaling_curves, *points((1000, 0, 1, 1), (10_000, 0, 1, 1), (60_000, 0, 1, 1)))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1 000", "10 000", "60 000"]


def test_many_sizes_leave_the_ticks_to_the_scale():
    ax = drawn(scaling_curves, *points(*((n, 0, 1, 1) for n in range(10, 110, 10))))
    assert len(ax.get_xticks()) < 10


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_single_size_stands_in_the_middle(draw):
    ax = drawn(draw, POINT)
    assert ax.get_xlim() == pytest.approx((5, 20))
    ax.figure.savefig(io.BytesIO())


def test_upgradeability_shows_where_train_and_test_agree():
    assert [0, 0] in [list(line.get_ydata()) for line in drawn(upgradeability_curves, *SEEDS).lines]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_legend_names_each_curve_once(draw):
    assert legend(drawn(draw, *many(3), labels=["a", "b", "c"])) == ["a", "b", "c"]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_label_too_few_is_an_error(draw):
    with pytest.raises(ValueError, match="shorter"):
        drawn(draw, *many(2), labels=["a"])


@pytest.mark.parametrize("draw", [scaling_curves, upgradeability_curves])
def test_more_curves_than_colours_can_still_be_told_apart(draw):
    count = 2 * len(COLOURS)
    looks = [(line.get_color(), line.get_marker()) for line in lines(drawn(draw, *many(count)), count)]
    assert len(set(looks)) == count


@pytest.mark.parametrize("draw", DRAWINGS)
def test_ten_curves_fit_the_figure(draw):
    page = figure(draw, curves_of(many(10)))
    page.savefig(io.BytesIO())
    assert len(legend(page.axes[0])) == 10
    assert page.axes[0].get_position().height > 0.3


def test_more_curves_than_looks_get_no_legend_but_a_line():
    assert len(set(map(look, range(DISTINCT)))) == DISTINCT
    ax = figure(scaling_curves, curves_of(many(DISTINCT + 1))).axes[0]
    assert ax.get_legend() is None
    assert [text.get_text() for text in ax.texts] == ["50 curves: report.html and numbers.csv tell them apart"]


def test_what_labels_share_is_said_once():
    assert short_labels(["net digits knn", "other digits knn"]) == (["net", "other"], "digits knn")


def test_a_setting_that_differs_is_left_in_the_label():
    labels = ["net digits knn k:1", "net digits knn k:5"]
    assert short_labels(labels) == (["k:1", "k:5"], "net digits knn")


def test_a_single_label_stays_whole():
    assert short_labels(["net digits knn"]) == (["net digits knn"], "")


def test_labels_stay_whole_where_one_would_be_empty():
    labels = ["net digits knn", "net digits knn k 5"]
    assert short_labels(labels) == (labels, "")


def test_no_labels_are_no_labels():
    assert short_labels([]) == ([], "")


def test_the_title_says_what_all_curves_share():
    ax = figure(scaling_curves, curves_of(many(2))).axes[0]
    assert ax.get_title(loc="left").endswith("\ndigits knn")
    assert legend(ax) == ["net00", "net01"]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_thirty_curves_fit_the_figure(draw):
    figure(draw, curves_of(many(30))).savefig(io.BytesIO())


@pytest.mark.parametrize("name", [r"$\foo$", "_hidden"])
def test_labels_are_shown_as_they_are(name):
    page = figure(scaling_curves, curves_of([replace(POINT, model=name)]))
    page.savefig(io.BytesIO())
    (text,) = page.axes[0].get_legend().get_texts()
    assert name.strip("$_") in text.get_text()


# ---- with findings -------------------------------------------------------------------------------------------


class Nothing:
    """Keeps no predictions."""

    def of(self, point, metric):
        return None


def falling(**changes):
    """A curve of six sizes whose error falls by a power law, with times and the size of its model."""
    entries = [(n, seed, 1.0, 1 - 0.5 * (n / 50) ** -0.4 + seed / 500) for n in SIZES for seed in (0, 1)]
    changes = {"metrics": {"time/fit_s": 2.0, "model/parameters": 1e6, "model/flops": 1e9}} | changes
    return points(*entries, **changes)


SIZES = (50, 100, 200, 400, 800, 1600)


def with_findings(*some):
    curves = curves_of(some)
    return curves, find(curves, Nothing(), Settings())


def test_the_forecast_goes_on_dashed_and_is_shaded_beyond_four_times_the_largest_n():
    curves, found = with_findings(*falling())
    ax = figure(scaling_curves, curves, found).axes[0]
    (ahead,) = [line for line in ax.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert ahead.get_xdata()[0] == pytest.approx(1600, rel=0.1)
    assert ahead.get_xdata()[0] >= 1600
    assert ahead.get_xdata()[-1] == pytest.approx(8 * 1600)
    assert ahead.get_ydata()[0] == pytest.approx(curves[0].band("test_score").mean[-1], abs=0.03)
    (shade,) = [part for part in ax.patches if part.get_alpha() == 0.15]
    assert shade.get_x() == 4 * 1600
    assert len(bands(ax)) == 3
    assert [text.get_text() for text in ax.get_xticklabels()][-3:] == ["1 600", "6 400", "12 800"]
    assert len(legend(ax)) == 2


def test_there_is_a_figure_of_all_that_was_found():
    scratch = falling(curve_id="d", model="net-random", settings={"model.pretrained": "False", "model.name": "net"})
    trained = falling(settings={"model.pretrained": "True", "model.name": "net"})
    large = falling(
        curve_id="e", model="large", dataset="other/one", metrics={"time/fit_s": 1.0, "model/parameters": 1e7}
    )
    curves, found = with_findings(*trained, *scratch, *large)
    drawn_ones = drawings(curves, found)
    assert list(drawn_ones) == [
        "scaling", "upgradeability", "train_and_test", "scaling-digits", "scaling-other_one", "cost", "pretraining",
        "complexity",
    ]  # fmt: skip
    pages = {name: figure(draw, some, found).axes[0] for name, (draw, some) in drawn_ones.items()}
    assert legend(pages["scaling-other_one"])[0] == "large other/one knn"
    assert [list(line.get_xdata()) for line in lines(pages["cost"], 2)] == [[1.0] * 6, [2.0] * 6]
    assert pages["complexity"].get_xscale() == "log"
    (gain,) = pages["pretraining"].containers
    assert list(gain.lines[0].get_ydata()) == [0.0] * 6


def test_the_script_of_the_page_is_plotlys_own():
    assert "Plotly" in plotly_script()
    assert "</script" not in plotly_script().lower()


def test_labels_of_sizes_do_not_touch():
    assert tick_labels([100, 300, 1000, 30_000, 60_000, 240_000, 480_000]) == [
        "100", "300", "1 000", "", "60 000", "", "480 000",
    ]  # fmt: skip
    assert tick_labels([500]) == ["500"]
