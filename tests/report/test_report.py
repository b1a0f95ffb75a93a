"""What a report collects, compares, writes and says."""

import csv
import json
import re
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from scaling.core.curves import Point, curves_of
from scaling.core.identity import GridPoint
from scaling.core.published import Published, compare
from scaling.findings import Settings, find
from scaling.metrics import metric_of
from scaling.metrics.columns import COLUMNS
from scaling.report.collection import Report, collect
from scaling.report.files import FILES, write, write_points
from scaling.report.gaps import MissingPoint, find_gaps
from scaling.report.page import render
from scaling.report.screen import show
from scaling.report.tables import main_table
from scaling.tracking import RunStore
from scaling.tracking.records import FINGERPRINT, REASON

POINT = Point(
    curve_id="c", model="net", dataset="digits", adaptation="knn", n=10, n_requested="10", seed=0,
    metric="accuracy", train_score=0.9, test_score=0.75, fingerprint="f", run_id="r", test_low=0.7, test_high=0.8,
)  # fmt: skip
EXPECTED = {
    "model": "net", "dataset": "digits", "adaptation": "knn", "n": 10, "quantity": "test_accuracy", "value": 0.75,
    "tolerance": 0.01, "source": "an article",
}  # fmt: skip
GAP = MissingPoint("net digits knn", 100, 0, "failed", "out of memory\nmore of it")


def entry(fingerprint, **changes):
    """Make an entry of a sweep's grid."""
    names = {"model": "net", "dataset": "digits", "adaptation": "knn", "n": 10, "seed": 0}
    return {"fingerprint": fingerprint, "curve_id": "c", **names, **changes}


def run(fingerprint, status, reason=None, started=0):
    """Make what the store returns of a run of the point that `entry` names."""
    tags = {FINGERPRINT: fingerprint} | ({REASON: reason} if reason else {})
    params = {"model": "net", "dataset": "digits", "adaptation": "knn", "n": "10", "seed": "0"}
    return SimpleNamespace(
        info=SimpleNamespace(status=status, start_time=started), data=SimpleNamespace(tags=tags, params=params)
    )


def grid(**changes):
    """Make the points of two sizes and two seeds, each accuracy another."""
    return [
        replace(
            POINT, n=n, seed=seed, n_requested=str(n), test_score=0.5 + n / 1000 + seed / 9,
            fingerprint=f"f{n}-{seed}", run_id=f"r{n}-{seed}", **changes,
        )
        for n in (10, 100)
        for seed in (0, 1)
    ]  # fmt: skip


def report(*points, **changes):
    parts = {"gaps": [], "duplicates": {}, "published": [], "parent": None} | changes
    return Report("an experiment", curves_of(points), **parts)


def page(*points, **changes):
    """Render the page without its scripts: plotly's has every tag there is."""
    return re.sub(r"<script>.*?</script>", "", render(report(*points, **changes)), flags=re.DOTALL)


# ---- what is missing -----------------------------------------------------------------------------------------


def test_a_point_without_any_run_is_missing():
    assert find_gaps([entry("f", n=100)], [], {}) == [MissingPoint("net digits knn", 100, 0, "missing", "")]


def test_a_failed_point_comes_with_its_reason():
    (gap,) = find_gaps([entry("f")], [run("f", "FAILED", "out of memory")], {})
    assert (gap.state, gap.reason) == ("failed", "out of memory")


def test_a_point_that_runs_is_not_there_yet():
    assert [gap.state for gap in find_gaps([entry("f")], [run("f", "RUNNING")], {})] == ["running"]


def test_a_finished_point_is_no_gap():
    assert find_gaps([entry("f")], [run("f", "FINISHED")], {}) == []


def test_a_point_that_failed_after_it_was_finished_is_no_gap():
    assert find_gaps([entry("f")], [run("f", "FAILED"), run("f", "FINISHED")], {}) == []


def test_the_newest_run_says_why_a_point_is_missing():
    runs = [run("f", "KILLED", "interrupted"), run("f", "FAILED", "out of memory")]
    assert [gap.reason for gap in find_gaps([entry("f")], runs, {})] == ["interrupted"]


def test_a_missing_point_is_named_as_its_curve_is():
    labels = {"c": "net digits knn k:5"}
    assert str(find_gaps([entry("f")], [], labels)[0]) == "net digits knn k:5 n=10 seed=0: missing"


def test_a_point_of_several_sweeps_is_missing_once():
    gaps = find_gaps([entry("f"), entry("g", seed=1), entry("f")], [], {})
    assert [gap.seed for gap in gaps] == [0, 1]


def test_a_gap_is_told_in_one_line():
    assert str(GAP) == "net digits knn n=100 seed=0: failed (out of memory)"
    assert str(replace(GAP, state="missing", reason="")) == "net digits knn n=100 seed=0: missing"


# ---- published figures ---------------------------------------------------------------------------------------


def verdicts(*expected, points=(POINT,)):
    return [item.verdict for item in compare(expected, curves_of(points))]


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.75, "agrees"), (0.76, "agrees"), (0.74, "agrees"), (0.765, "differs"), (0.735, "differs")],
)
def test_a_figure_agrees_within_its_tolerance(value, verdict):
    assert verdicts(EXPECTED | {"value": value}) == [verdict]


@pytest.mark.parametrize("other", [{"model": "x"}, {"dataset": "x"}, {"adaptation": "x"}, {"n": 11}])
def test_a_figure_that_no_point_answers_to_is_not_measured(other):
    assert verdicts(EXPECTED | other) == ["not measured"]


def test_a_figure_is_of_the_curves_with_its_settings():
    points = [replace(POINT, curve_id=str(on), settings={"model.pretrained": str(on)}) for on in (True, False)]
    assert len(verdicts(EXPECTED, points=points)) == 2
    assert len(verdicts(EXPECTED | {"settings": {"model.pretrained": True}}, points=points)) == 1


def test_the_mean_over_seeds_is_compared():
    points = [replace(POINT, seed=seed, test_score=accuracy) for seed, accuracy in enumerate([0.5, 1.0])]
    (comparison,) = compare([EXPECTED], curves_of(points))
    assert comparison.measured == 0.75


def test_any_quantity_of_a_point_can_be_compared():
    (comparison,) = compare([EXPECTED | {"quantity": "upgradeability", "value": -0.15}], curves_of([POINT]))
    assert comparison.what == "upgradeability, net digits knn, n=10"
    assert comparison.verdict == "agrees"


def test_a_figure_that_two_sweeps_expect_is_compared_once():
    assert len(verdicts(EXPECTED, EXPECTED, EXPECTED | {"source": "another article"})) == 2


# ---- files ---------------------------------------------------------------------------------------------------


def test_a_report_replaces_an_older_one_and_leaves_no_drafts(tmp_path):
    folder = tmp_path / "reports" / "mine"
    write(report(POINT), folder)
    files = write(report(replace(POINT, test_score=0.625)), folder)
    assert sorted(files) == sorted(folder.iterdir())
    assert set(FILES) <= {file.name for file in files}
    assert "0.6250" in (folder / "report.html").read_text()
    for name in ("scaling", "upgradeability", "train_and_test"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "</svg>" in (folder / f"{name}.svg").read_text()


def test_an_error_on_the_way_leaves_the_older_report_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "curves.csv").write_text("older")
    monkeypatch.setattr("scaling.report.files.render", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(report(POINT), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["curves.csv"]
    assert (tmp_path / "curves.csv").read_text() == "older"


def test_the_table_has_a_row_a_point(tmp_path):
    points = grid()
    write_points(report(*points), tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert len(rows) == len(points)
    for row, point in zip(rows, points, strict=True):
        known = asdict(point) | {"label": "net digits knn", "upgradeability": round(point.upgradeability, 12)}
        known["test_score"] = known["test_accuracy"] = round(point.test_score, 12)
        known["train_accuracy"] = point.train_score
        assert row == [str(known[column]) for column in COLUMNS]


def test_the_page_shows_each_accuracy_with_four_decimals(tmp_path):
    points = [replace(point, test_score=0.5 + i * 0.01234) for i, point in enumerate(grid()) if point.seed == 0]
    text = page(*points)
    assert all(f">{point.test_score:.4f}</td>" in text for point in points)
    assert all(f">{point.upgradeability:+.4f}</td>" in text for point in points)


def test_the_page_shows_mean_and_range_over_seeds(tmp_path):
    points = [replace(POINT, seed=seed, test_score=accuracy) for seed, accuracy in enumerate([0.5, 0.75])]
    text = page(*points)
    assert re.search(r">0.6250</td>.*>0.5000</td>.*>0.7500</td>", text)


def test_one_seed_and_a_shared_subset_have_no_range():
    for points in ([POINT], [replace(POINT, seed=seed, pool=10, test_score=0.5 + seed / 9) for seed in (0, 1)]):
        (row,) = main_table(curves_of(points), metric_of("accuracy"), None).rows
        assert row[7:9] == (None, None)


def test_flagged_points_are_marked_in_the_tables(tmp_path):
    first, *others = grid()
    points = [replace(first, flag="at chance"), *others]
    write_points(report(*points), tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(newline="") as file:
        assert [row["flag"] for row in csv.DictReader(file)] == ["at chance", "", "", ""]
    found, plainly = (main_table(curves_of(these), metric_of("accuracy"), None) for these in (points, grid()))
    assert found.columns == (*plainly.columns, found.columns[-1])
    assert (found.columns[-1].name, [row[-1] for row in found.rows]) == ("flagged", [1, 0])
    assert [row[:-1] for row in found.rows] == list(plainly.rows)


def test_the_page_needs_no_other_file_and_no_network():
    text = page(*grid())
    assert re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"'\s>]{0,20})", text) == []
    assert not re.search(r"<link|@import|url\(", text)
    assert "default-src 'none'" in text


def test_names_cannot_write_into_the_page():
    text = page(replace(POINT, model="<b>net</b></script>"), gaps=[replace(GAP, reason="<i>no</i>")])
    assert "&lt;b&gt;net&lt;/b&gt;" in text
    assert "<b>" not in text
    assert text.count("</script>") == 1
    assert "<i>" not in text


def test_the_page_says_what_is_missing_double_and_published(tmp_path):
    comparison = Published("test accuracy, net", "an article", 0.75, 0.01, None)
    text = page(POINT, gaps=[GAP], duplicates={"f": 3}, published=[comparison])
    assert "net digits knn n=100 seed=0: failed (out of memory)" in text
    assert "3 finished runs" in text
    assert "not measured" in text
    assert "an article" in text


def test_a_complete_grid_is_said_to_be_complete(tmp_path):
    assert "None: every point" in page(POINT)
    assert "None: every point" not in page(POINT, gaps=[GAP])


def test_the_screen_says_what_is_missing_double_and_published(tmp_path, capsys):
    comparison = Published("test accuracy, net", "an article", 0.75, 0.01, 0.5)
    show(report(POINT, gaps=[GAP], duplicates={"f": 3}, published=[comparison]), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "missing: net digits knn n=100 seed=0: failed (out of memory)" in lines
    assert "duplicate: net digits knn n=10 seed=0 has 3 finished runs; the newest counts" in lines
    assert "expected: test accuracy, net: 0.5000, expected 0.75 ± 0.01 (-0.2500): differs" in lines
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"


def test_the_screen_says_what_a_curve_tells_within_80_columns(tmp_path, capsys):
    points = [
        replace(POINT, n=n, seed=seed, test_score=1 - 0.5 * (n / 10) ** -0.4 + seed / 500, fingerprint=f"{n} {seed}")
        for n in (10, 20, 40, 80, 160)
        for seed in (0, 1)
    ]
    found = find(curves_of(points), Nothing(), Settings(targets=(0.9,), labels=(100,), threshold=0.01))
    show(report(*points, findings=found), tmp_path)
    told = capsys.readouterr().out.partition("net digits knn\n  trend: ")[2].partition("report:")[0]
    assert "p = " in told
    assert all(f"\n  {kind}: " in told for kind in ("saturation", "data requirement", "marginal value"))
    assert max(len(line) for line in told.splitlines()) <= 80


class Nothing:
    """Keeps no predictions."""

    def of(self, point, metric):
        return None


# ---- from a store --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The bytes of an empty store, which takes seconds to make."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    assert RunStore(f"sqlite:///{path}").client
    return path.read_bytes()


@pytest.fixture
def empty(place, database):
    """A store without sweeps in the working directory."""
    (place / "mlruns").mkdir()
    (place / "mlruns" / "mlflow.db").write_bytes(database)


def refusal(command, capsys, *arguments):
    """Run the command and return the message with which it stops."""
    assert command("scaling.report", *arguments) == 1
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ")
    assert len(message.splitlines()) <= 3
    return message


def test_a_folder_without_a_store_is_named_and_stays_empty(command, capsys, place):
    message = refusal(command, capsys)
    assert f"There is no sweep in sqlite:///{place}/mlruns/mlflow.db" in message
    assert "python -m scaling.run" in message
    assert list(place.iterdir()) == []


def test_an_experiment_in_a_folder_without_a_store_is_named(command, capsys, place):
    assert "no MLflow experiment mine" in refusal(command, capsys, "experiment=mine")
    assert list(place.iterdir()) == []


def test_a_store_without_sweeps_says_how_to_run_one(empty, command, capsys):
    message = refusal(command, capsys)
    assert "There is no sweep" in message
    assert "python -m scaling.run" in message


def test_an_unknown_experiment_is_named_and_not_made(empty, command, capsys):
    assert "no MLflow experiment mine" in refusal(command, capsys, "experiment=mine")
    assert not RunStore(experiment="mine").exists()


def sweep_of(store, folder, *fingerprints):
    """Open a sweep whose grid has points of these fingerprints."""
    sweep = store.open_sweep("s", "a sweep", {})
    folder.mkdir()
    (folder / "grid.json").write_text(json.dumps([entry(key, seed=seed) for seed, key in enumerate(fingerprints)]))
    (folder / "expected.json").write_text(json.dumps([EXPECTED]))
    store.log_artifacts(sweep.run_id, folder)
    return sweep


def test_an_experiment_without_finished_points_says_what_is_missing(empty, command, capsys, place):
    sweep_of(RunStore(experiment="mine"), place / "files", "f", "g")
    message = refusal(command, capsys)
    assert "experiment mine has no finished grid point" in message
    assert "2 points are missing, the first: net digits knn n=10 seed=0: missing" in message
    assert not (place / "reports").exists()


def test_the_runs_of_an_experiment_are_put_together(empty, place):
    store = RunStore(experiment="mine")
    points = [GridPoint("net", "digits", "knn", 10, "10", seed, {}) for seed in (0, 1, 2)]
    sweep = sweep_of(store, place / "files", *(point.fingerprint for point in points))
    params = {"model": "net", "dataset": "digits", "adaptation": "knn", "n": 10}
    metrics = {"train/accuracy": 1.0, "test/accuracy": 0.75}
    for point in (points[0], points[0], points[1]):
        run_id = store.claim(point, sweep, params | {"seed": point.seed}, {}, force=True).run_id
        data = {"name": "digits", "digest": "0", "source": "here", "profile": "{}"}
        store.log_point(run_id, metrics, {}, {}, data, place / "files")
        store.finish(run_id)
    found = collect(store)
    assert [(gap.seed, gap.state) for gap in found.gaps] == [(2, "missing")]
    assert found.duplicates == {points[0].fingerprint: 2}
    assert [(curve.label, len(curve.points)) for curve in found.curves] == [("net digits knn", 2)]
    assert [item.verdict for item in found.published] == ["agrees"]
    assert found.parent == sweep.run_id


def test_a_failure_that_was_finished_later_with_another_setting_is_no_gap():
    wrong_weights, right_weights = run("f", "FAILED", "don't fit", started=1), run("g", "FINISHED", started=2)
    assert find_gaps([entry("f"), entry("g")], [right_weights, wrong_weights], {}) == []
    earlier = run("g", "FINISHED", started=0)
    assert len(find_gaps([entry("f"), entry("g")], [wrong_weights, earlier], {})) == 1
