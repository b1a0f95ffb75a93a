"""Whole runs on real small data in a temporary store."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import DIGITS

from scaling.adapt import Knn
from scaling.core.curves import curves_of
from scaling.core.errors import AdaptationError
from scaling.findings import find
from scaling.metrics.columns import COLUMNS
from scaling.report.files import FILES
from scaling.tracking import RunStore
from scaling.tracking.predictions import StoredSamples
from scaling.tracking.records import CURVE, FINGERPRINT, KIND, PARENT, REASON, SWEEP

GRID = ("-m", *DIGITS, "n=50,100", "seed=0,1")


def points(store):
    return [run for run in store.runs() if run.data.tags[KIND] == "point"]


def sweeps(store):
    return [run for run in store.runs() if run.data.tags[KIND] == "sweep"]


def artifact(store, run, name, tmp_path):
    return Path(store.client.download_artifacts(run.info.run_id, name, str(tmp_path)))


def test_a_sweep_logs_every_point_under_one_parent_and_can_be_recounted(command, tmp_path):
    assert command("scaling.run", *GRID) == 0
    store = RunStore()
    (parent,) = sweeps(store)
    assert parent.info.status == "FINISHED"
    runs = points(store)
    assert sorted((run.data.params["n"], run.data.params["seed"]) for run in runs) == [
        ("100", "0"), ("100", "1"), ("50", "0"), ("50", "1"),
    ]  # fmt: skip
    for run in runs:
        tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
        assert run.info.status == "FINISHED"
        assert tags[PARENT] == parent.info.run_id
        assert tags[SWEEP] == parent.data.tags[SWEEP]
        assert {FINGERPRINT, CURVE, "scaling.precision_used", "scaling.subset"} <= set(tags)
        assert (params["model"], params["dataset"], params["adaptation"]) == ("pixels", "digits", "knn")
        assert metrics["n"] == float(params["n"])
        assert metrics["model/parameters"] == metrics["model/flops"] == 0  # pixels
        assert metrics["upgradeability"] == pytest.approx(metrics["test/accuracy"] - metrics["train/accuracy"])
        assert metrics["test/accuracy_low"] < metrics["test/accuracy"] < metrics["test/accuracy_high"]
        assert run.inputs.dataset_inputs[0].dataset.name == "digits"
        with np.load(artifact(store, run, "predictions.npz", tmp_path), allow_pickle=False) as kept:
            assert np.mean(kept["test_predicted"] == kept["test_labels"]) == metrics["test/accuracy"]
            assert len(kept["train_indices"]) == int(params["n"])
        assert "dataset:" in artifact(store, run, "config.yaml", tmp_path).read_text()


def test_findings_rest_on_the_predictions_that_runs_kept(command):
    assert command("scaling.run", *GRID) == 0
    store = RunStore()
    found = find(curves_of(store.finished_points()), StoredSamples(store))
    assert found.notes == ()
    for row in found.curves[0].variance:
        assert (row.seeds, row.tested) == (2, 500)
        assert row.test == pytest.approx((row.mean * (1 - row.mean) / 500) ** 0.5, rel=0.05)
    assert [cost.fit_seconds > 0 and cost.seconds > cost.fit_seconds for cost in found.costs] == [True, True]
    assert (found.complexity.rows[0].parameters, found.complexity.rows[0].flops) == (0, 0)


def test_the_parent_draws_the_curves_with_n_as_step(command):
    assert command("scaling.run", *GRID) == 0
    store = RunStore()
    (parent,) = sweeps(store)
    means = {50: [], 100: []}
    for run in points(store):
        means[int(run.data.params["n"])].append(run.data.metrics["test/accuracy"])
    history = store.client.get_metric_history(parent.info.run_id, "test/accuracy/pixels digits knn")
    assert {entry.step: entry.value for entry in history} == pytest.approx(
        {n: float(np.mean(values)) for n, values in means.items()}
    )


def test_a_finished_sweep_runs_nothing_again_and_reopens_its_parent(command, capsys):
    assert command("scaling.run", *GRID) == 0
    before = {run.info.run_id for run in RunStore().runs()}
    capsys.readouterr()
    assert command("scaling.run", *GRID) == 0
    assert "nothing to run" in capsys.readouterr().out
    assert {run.info.run_id for run in RunStore().runs()} == before


@pytest.fixture
def digits_with_notes(monkeypatch):
    """The digits, with notes of which one is markup to a careless terminal."""
    from dataclasses import replace

    from scaling.datasets import Digits, base

    load = Digits.load
    monkeypatch.setattr(Digits, "load", lambda self: replace(load(self), notes=("digits: [bold] 3 of 9", "second")))
    base._load.cache_clear()
    yield
    base._load.cache_clear()


@pytest.mark.parametrize("more", [(), ("plan=true",)])
def test_what_a_data_set_has_to_say_is_told_once_a_sweep(more, command, capsys, digits_with_notes):
    assert command("scaling.run", *GRID, *more) == 0
    out = capsys.readouterr().out
    assert out.startswith("note: digits: [bold] 3 of 9\nnote: second\n4 points:")
    assert out.count("note:") == 2


def test_what_a_data_set_has_to_say_is_told_by_its_own_command(command, capsys, digits_with_notes):
    assert command("scaling.data", "digits") == 0
    assert capsys.readouterr().out.splitlines()[3:] == ["note: digits: [bold] 3 of 9", "note: second"]


def test_a_larger_sweep_runs_only_what_is_new(command, capsys):
    assert command("scaling.run", *DIGITS, "n=50") == 0
    capsys.readouterr()
    assert command("scaling.run", "-m", *DIGITS, "n=50,100") == 0
    out = capsys.readouterr().out
    assert "2 points: 1 done, 1 pending" in out
    assert "[1/1] n=100" in out
    assert len(points(RunStore())) == 2


def test_n_beyond_the_data_and_full_are_one_point(command, capsys):
    assert command("scaling.run", "-m", *DIGITS, "n=5000,full,1297") == 0
    (run,) = points(RunStore())
    assert (run.data.params["n"], run.data.params["n_requested"]) == ("1297", "5000")


def test_force_runs_again_and_the_report_names_the_duplicate(command, capsys):
    assert command("scaling.run", *DIGITS, "n=50") == 0
    assert command("scaling.run", *DIGITS, "n=50", "force=true") == 0
    newest = points(RunStore())[0].info.run_id
    capsys.readouterr()
    assert command("scaling.report") == 0
    assert "duplicate: pixels digits knn n=50 seed=0 has 2 finished runs" in capsys.readouterr().out
    with Path("reports/scaling/curves.csv").open(newline="") as file:
        assert [row["run_id"] for row in csv.DictReader(file)] == [newest]


def test_a_failing_point_is_marked_listed_and_run_again_while_the_others_run(command, capsys, monkeypatch, tmp_path):
    real = Knn.run

    def failing(self, task, subset):
        if len(subset) == 100:
            raise AdaptationError("this one breaks\non purpose")
        return real(self, task, subset)

    monkeypatch.setattr(Knn, "run", failing)
    assert command("scaling.run", "-m", *DIGITS, "n=50,100,200") == 1
    captured = capsys.readouterr()
    assert "1 of 3 points failed" in captured.err
    assert "n=100" in captured.err
    store = RunStore()
    by_n = {run.data.params["n"]: run for run in points(store)}
    assert {n: run.info.status for n, run in by_n.items()} == {"50": "FINISHED", "100": "FAILED", "200": "FINISHED"}
    assert by_n["100"].data.tags[REASON].startswith("this one breaks")
    assert "Traceback" in artifact(store, by_n["100"], "log.txt", tmp_path).read_text()
    assert sweeps(store)[0].info.status == "FAILED"

    monkeypatch.setattr(Knn, "run", real)
    assert command("scaling.run", "-m", *DIGITS, "n=50,100,200") == 0
    out = capsys.readouterr().out
    assert "3 points: 2 done, 1 failed" in out
    assert "[1/1] n=100" in out
    assert sweeps(RunStore())[0].info.status == "FINISHED"


def test_an_unexpected_error_of_a_library_is_a_failed_point_too(command, capsys, monkeypatch):
    def failing(self, task, subset):
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr(Knn, "run", failing)
    assert command("scaling.run", *DIGITS, "n=50") == 1
    assert "ZeroDivisionError: deep inside" in capsys.readouterr().err
    assert [run.info.status for run in points(RunStore())] == ["FAILED"]


def test_an_interrupted_point_is_killed_not_left_running(command, monkeypatch):
    def interrupted(self, task, subset):
        raise KeyboardInterrupt

    monkeypatch.setattr(Knn, "run", interrupted)
    assert command("scaling.run", *DIGITS, "n=50") == 130
    assert {run.info.status for run in RunStore().runs()} == {"KILLED"}


def test_a_plan_prints_and_writes_nothing(command, capsys, place):
    assert command("scaling.run", *GRID, "plan=true") == 0
    assert capsys.readouterr().out.count("pending") == 5  # the count and four rows
    assert list(place.iterdir()) == []


def test_a_plan_without_a_probe_imports_neither_torch_nor_lightning(place):
    script = (
        "import sys; sys.argv = ['run', '-m', 'n=100,200', 'model=pixels', 'dataset=digits', 'adaptation=knn',"
        " 'plan=true']\n"
        "from scaling.run import main\nmain()\n"
        "heavy = {'torch', 'pytorch_lightning', 'timm'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_report_equals_the_store(command, capsys):
    assert command("scaling.run", *GRID) == 0
    assert command("scaling.report") == 0
    folder = Path("reports/scaling")
    written = sorted(path.name for path in folder.iterdir())
    assert {*FILES, "findings.json", "numbers.csv", "numbers.md", "numbers.tex", "scaling.pdf"} <= set(written)
    with (folder / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    store = RunStore()
    logged = {run.info.run_id: run.data.metrics["test/accuracy"] for run in points(store)}
    assert {row["run_id"]: float(row["test_accuracy"]) for row in rows} == pytest.approx(logged)
    page = (folder / "report.html").read_text()
    assert "pixels digits knn" in page
    names = [entry.path for entry in store.client.list_artifacts(sweeps(store)[0].info.run_id, "report")]
    assert sorted(names) == [f"report/{name}" for name in written]


def test_any_logged_metric_can_be_reported_and_others_are_refused_by_those_there_are(command, capsys):
    assert command("scaling.run", *GRID) == 0
    assert command("scaling.report", "metric=test/macro_f1", "targets=[0.9]") == 0
    with Path("reports/scaling/numbers.csv").open(newline="") as file:
        shown = {int(row["n"]): float(row["test_macro_f1"]) for row in csv.DictReader(file)}
    logged: dict[int, list[float]] = {50: [], 100: []}
    for run in points(RunStore()):
        logged[int(run.data.params["n"])].append(run.data.metrics["test/macro_f1"])
    assert shown == pytest.approx({n: sum(values) / len(values) for n, values in logged.items()})
    capsys.readouterr()
    assert command("scaling.report", "metric=test/top5_accurac") == 1
    assert "test/macro_f1" in capsys.readouterr().err
    assert command("scaling.report", "metric=test/class_accuracy/none") == 1
    assert "They have: test/accuracy, test/auroc" in capsys.readouterr().err
    assert command("scaling.report", "threshold=much") == 1
    assert "threshold=much: expected a number" in capsys.readouterr().err


def test_the_report_names_missing_points(command, capsys, monkeypatch):
    assert command("scaling.run", *DIGITS, "n=50") == 0

    def failing(self, task, subset):
        raise AdaptationError("no")

    monkeypatch.setattr(Knn, "run", failing)
    assert command("scaling.run", *DIGITS, "n=60") == 1
    capsys.readouterr()
    assert command("scaling.report") == 0
    assert "missing: pixels digits knn n=60 seed=0: failed (no)" in capsys.readouterr().out


def test_features_are_computed_once_for_all_adaptations_and_n(command):
    grid = ("model=pixels", "dataset=digits", "adaptation=knn,linear_probe", "n=50,100", "seed=0")
    assert command("scaling.run", "-m", *grid) == 0
    computed = [run.data.metrics["features_computed"] for run in points(RunStore())]
    assert sum(computed) == 500 + 100


def test_the_api_gives_what_a_run_logs(command):
    import scaling

    assert command("scaling.run", *DIGITS, "n=80", "seed=3") == 0
    score = scaling.evaluate_point(model="pixels", dataset="digits", adaptation="knn", n=80, seed=3)
    frame = scaling.fetch_runs("scaling")
    assert list(frame.columns) == list(COLUMNS)
    assert frame.test_accuracy.tolist() == [score.test_accuracy]
    assert frame.upgradeability.tolist() == pytest.approx([score.upgradeability])


def test_the_public_names_are_these():
    import scaling

    assert scaling.__all__ == ["ScalingError", "Score", "__version__", "evaluate_point", "fetch_runs"]
    assert all(getattr(scaling, name) is not None for name in scaling.__all__)


def test_credentials_never_reach_runs_or_messages(command, place, capsys):
    assert command("scaling.run", *DIGITS, "n=50", "tracking.uri=http://me:secret@127.0.0.1:9") == 1
    assert "secret" not in "".join(capsys.readouterr())


def test_the_grid_is_kept_with_the_parent(command, tmp_path):
    assert command("scaling.run", *GRID) == 0
    store = RunStore()
    grid = json.loads(artifact(store, sweeps(store)[0], "grid.json", tmp_path).read_text())
    assert sorted((entry["n"], entry["seed"]) for entry in grid) == [(50, 0), (50, 1), (100, 0), (100, 1)]


def test_the_report_takes_the_sweep_that_was_started_last_though_its_parent_is_older(command):
    assert command("scaling.run", *DIGITS, "n=50", "tracking.experiment=one") == 0
    assert command("scaling.run", *DIGITS, "n=60", "tracking.experiment=two") == 0
    assert command("scaling.run", *DIGITS, "n=50", "tracking.experiment=one") == 0
    assert command("scaling.report") == 0
    assert [path.name for path in Path("reports").iterdir()] == ["one"]


def test_a_report_leaves_the_parents_curves_to_its_own_grid(command):
    assert command("scaling.run", *DIGITS, "n=50", "adaptation.k=1") == 0
    assert command("scaling.run", *DIGITS, "n=50", "adaptation.k=3") == 0
    assert command("scaling.report") == 0
    for parent in sweeps(RunStore()):
        assert [key for key in parent.data.metrics if key.startswith("test/")] == ["test/accuracy/pixels digits knn"]


def test_a_report_that_cannot_be_written_says_what_to_set(command, place, capsys):
    assert command("scaling.run", *DIGITS, "n=50") == 0
    (place / "reports").touch()
    assert command("scaling.report") == 1
    *_, why, what = capsys.readouterr().err.splitlines()
    assert why == "error: The report can't be written to reports/scaling: Not a directory."
    assert what == "Set output= to another place."
