"""What people read on a terminal of 80 columns."""

import io
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from scaling import terminal
from scaling.core import streams
from scaling.core.curves import Point, curves_of
from scaling.core.identity import GridPoint
from scaling.metrics import Score

NAMES = ("efficientnet_lite0", "fashion_mnist", "linear_probe")
POINT = Point(
    curve_id="c", model=NAMES[0], dataset=NAMES[1], adaptation=NAMES[2], n=100_000, n_requested="100000", seed=0,
    metric="accuracy", train_score=0.9, test_score=0.8, fingerprint="f", run_id="r", pool=200_000,
)  # fmt: skip
SCORE = Score("recall", 10, {"recall": 0.91234}, {"recall": 0.81234})


def grid_point(model=NAMES[0], dataset=NAMES[1], n=100_000, seed=0):
    return GridPoint(model, dataset, NAMES[2], n, str(n), seed, {})


def rendered(thing, width=80):
    screen = Console(width=width, file=io.StringIO(), highlight=False, soft_wrap=True)
    screen.print(thing)
    return screen.file.getvalue()


def columns(text):
    return max(len(line) for line in text.splitlines())


def table(*points):
    return "".join(rendered(table) for table in terminal.curve_tables(curves_of(points)))


def cells(text, n):
    """Return the row of one n, cell by cell."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [str(n)])


def test_the_table_of_a_curve_fits_80_columns():
    text = table(
        *(replace(POINT, n=n, seed=seed, test_score=0.8 + seed / 100) for n in (10, 100_000) for seed in range(3))
    )
    assert columns(text) <= 80
    assert " ".join(NAMES) in text
    assert cells(text, 100_000) == ["100000", "3", "0.9000", "0.8100", "0.8000", "–", "0.8200", "-0.0900"]


def test_the_table_of_a_plan_fits_80_columns():
    rows = [(grid_point(n=n), "running", "process 1234567 on a-host-with-a-long-name") for n in (10, 100_000)]
    text = rendered(terminal.plan_table(rows))
    assert columns(text) <= 80
    assert all(word in text for word in (*NAMES, "100000", "running"))


def test_a_plan_on_a_narrow_terminal_loses_no_name():
    text = rendered(terminal.plan_table([(grid_point(), "pending", "")]), width=62)
    assert columns(text) <= 62
    heading, *lines = text.splitlines()
    assert "".join(line[: heading.index("dataset")].strip() for line in lines) == NAMES[0]


def test_a_plan_says_state_and_reason():
    text = rendered(terminal.plan_table([(grid_point(), "failed", "no memory")]))
    assert text.splitlines()[1].split() == [*NAMES, "100000", "0", "failed", "no", "memory"]


@pytest.mark.parametrize("fields", [[], ["model"]])
def test_the_line_of_a_result_fits_80_columns(fields):
    name = terminal.describe(grid_point(), fields)
    assert columns(terminal.result_line(100, 100, name, SCORE, 123.4)) <= 80


def test_the_line_of_a_result_says_how_it_came_out():
    line = terminal.result_line(3, 12, "n=10 seed=0", SCORE, 1.26)
    assert line == "[ 3/12] n=10 seed=0  test 0.8123  train 0.9123  1.3 s"


def test_a_remark_follows_the_result():
    assert terminal.result_line(1, 1, "n=10", SCORE, 1.0, "default penalty").endswith("1.0 s  default penalty")


def test_the_counts_name_the_states_that_there_are():
    counts = {"pending": 2, "done": 6, "running": 0, "failed": 1}
    assert terminal.counts_line(counts) == "9 points: 6 done, 1 failed, 2 pending"


def test_one_point_is_not_points():
    assert terminal.counts_line({"running": 1}) == "1 point: 1 running"


def test_all_four_states_fit_80_columns():
    counts = dict.fromkeys(("done", "failed", "running", "pending"), 100_000)
    assert columns(terminal.counts_line(counts)) <= 80


def test_a_range_is_shown_only_for_several_seeds():
    assert "one seed" in table(POINT)


def test_seeds_that_share_the_full_set_show_no_draw_variance():
    text = table(*(replace(POINT, seed=seed, pool=60_000, n=60_000) for seed in range(3)))
    assert "no draw variance" in text
    assert columns(text) <= 80


def test_a_gain_has_its_sign():
    assert "+0.0500" in table(replace(POINT, train_score=0.75))


def test_each_curve_has_a_table_by_ascending_n():
    text = table(replace(POINT, n=1000), replace(POINT, n=100), replace(POINT, curve_id="d", model="pixels"))
    first = [line.split()[0] for line in text.splitlines()]
    assert first == ["efficientnet_lite0", "n", "100", "1000", "pixels", "n", "100000"]


def test_only_the_names_in_which_points_differ_are_said():
    points = [grid_point(), grid_point(model="pixels", n=10, seed=1)]
    assert terminal.varying(points) == ["model"]
    assert terminal.varying(points[:1]) == []
    assert terminal.varying([*points, grid_point(dataset="digits")]) == ["model", "dataset"]


def test_a_point_is_described_by_what_tells_it_apart():
    assert terminal.describe(grid_point(n=1000, seed=2), ["model"]) == "efficientnet_lite0 n=1000   seed=2"


def test_descriptions_of_a_grid_line_up():
    assert len({len(terminal.describe(grid_point(n=n), [])) for n in (10, 1000, 100_000)}) == 1


def test_what_is_piped_is_not_cut_to_a_guessed_width(capsys):
    terminal.console().print("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_table_is_printed_on_a_terminal_that_lacks_signs(encoding, monkeypatch):
    behind = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(behind, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    streams.guard()
    for shown in terminal.curve_tables(curves_of([replace(POINT, seed=seed) for seed in range(2)])):
        terminal.console().print(shown)
    terminal.console().print("nothing is lost: 🏃 漢字")
    sys.stdout.flush()
    text = behind.getvalue().decode(encoding)
    assert cells(text, 100_000)[5:6] == ["–" if encoding == "cp1252" else "-"]
    assert "nothing is lost: ? ??" in text


def test_names_are_no_markup(capsys):
    curve = replace(POINT, dataset="[bold]a[/red] :cat:")
    for shown in terminal.curve_tables(curves_of([curve])):
        terminal.console().print(shown)
    terminal.console().print("no such folder: /data/[/x]/:dog:")
    out = capsys.readouterr().out
    assert curve.dataset in out
    assert "/data/[/x]/:dog:" in out


def test_brackets_of_the_user_are_printed_as_they_are(capsys):
    terminal.console().print("a [bold]name", markup=False)
    assert "[bold]" in capsys.readouterr().out


def bars(shown, terminal_=True):
    screen = Console(width=80, file=io.StringIO(), force_terminal=terminal_, legacy_windows=False)
    with terminal.PointProgress(screen, 3, 12, shown) as progress:
        with progress.stage("features of train", 100_000) as advance:
            advance(50_000)
            progress.refresh()
        names = [task.description for task in progress.tasks]
    return screen.file.getvalue(), names


def test_the_bars_show_the_grid_and_the_stage():
    text, names = bars(shown=True)
    assert all(words in text for words in ("grid points", "3/12", "features of train", "50000/100000"))
    assert names == ["grid points"]


@pytest.mark.parametrize(("shown", "terminal_"), [(False, True), (True, False)])
def test_no_bars_where_nobody_looks(shown, terminal_):
    assert bars(shown, terminal_)[0].strip() == ""


def test_a_short_stage_has_no_bar():
    screen = Console(width=80, file=io.StringIO(), force_terminal=True)
    with terminal.PointProgress(screen, 0, 1, True) as progress, progress.stage("fit", None) as advance:
        advance(1)
        assert len(progress.tasks) == 1


def test_flagged_seeds_are_counted_where_there_are_any():
    points = [replace(POINT, seed=seed, flag="at chance" * (seed > 0)) for seed in range(3)]
    text = table(*points, replace(POINT, n=50, pool=None))
    assert "flagged" in text
    assert cells(text, 100_000)[-1] == "2"
    assert columns(text) <= 80
    assert "flagged" not in table(POINT)


@pytest.fixture
def curves():
    return curves_of(
        replace(POINT, curve_id=model, model=model, n=n, fingerprint=f"{model}{n}", test_score=0.7 + n / 1e6)
        for model in ("pixels", "resnet18")
        for n in (1_000, 10_000)
    )


def screen(width=80, encoding="utf-8", terminal=True):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=file, width=width, force_terminal=terminal, color_system=None)


def test_a_terminal_shows_the_curves_in_80_columns(curves):
    drawn = terminal.plot(curves, screen())
    assert columns(drawn) <= 80
    assert drawn.startswith("(test accuracy) ^")
    assert [curve.label in drawn for curve in curves] == [True, True]
    heights = [float(line.split("|")[0]) for line in drawn.splitlines()[1:14]]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] < 0.701 < 0.71 < heights[0]


@pytest.mark.parametrize("other", [{"width": 79}, {"encoding": "ascii"}, {"terminal": False}])
def test_what_cant_show_a_curve_isnt_made_to(curves, other):
    assert terminal.plot(curves, screen(**other)) == ""


def test_a_single_n_is_no_curve_to_draw():
    assert terminal.plot(curves_of([POINT]), screen()) == ""
