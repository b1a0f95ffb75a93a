"""Trainings as whole runs: killed for real, shared by two processes, flagged."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import DIGITS, spawn
from tests.networks import small

from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed
from scaling.tracking import RunStore
from scaling.tracking.records import FLAG, KIND, PRECISION_USED, REASON
from scaling.training.module import TuningModule

#: Long enough to be hit in the middle on however fast a machine, with a checkpoint after each step.
LONG = (
    "adaptation.min_steps=400", "adaptation.max_steps=400", "adaptation.learning_rates=[0.002]",
    "adaptation.patience=null", "checkpoints.seconds=0",
)  # fmt: skip


def points():
    return [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]


def predictions(run, folder):
    path = RunStore().client.download_artifacts(run.info.run_id, "predictions.npz", str(folder))
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


@pytest.fixture
def _one_thread():
    """As the spawned processes have it: sums are split among threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def changed(path, before):
    """Wait until there is another file than before, and return its time."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        found = {file: file.stat().st_mtime_ns for file in path.glob("*.pt")}
        if found and found != before:
            return found
        time.sleep(0.01)
    raise AssertionError("no checkpoint was written")


@pytest.mark.usefixtures("_one_thread")
def test_a_training_that_is_killed_twice_ends_as_one_that_was_not(command, place, hub, monkeypatch):
    checkpoints, seen = Path(".checkpoints"), {}
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = spawn(place, *small(hub), *LONG)
        seen = changed(checkpoints, seen)
        process.send_signal(number)
        process.communicate()
        assert process.returncode != 0
    started = []
    real = TuningModule.on_train_batch_start

    def counting(self, batch, batch_idx):
        started.append(self.step)
        real(self, batch, batch_idx)

    monkeypatch.setattr(TuningModule, "on_train_batch_start", counting)
    assert command("scaling.run", *small(hub), *LONG) == 0
    assert started[0] > 0
    runs = points()
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED", "KILLED"]
    reasons = {run.data.tags[REASON] for run in runs if run.info.status == "KILLED"}
    assert reasons == {"interrupted", "its process was gone before it finished"}
    assert list(checkpoints.iterdir()) == []
    whole = evaluate_job(Job(composed([*small(hub), *LONG]))).score.metrics()
    (finished,) = [run for run in runs if run.info.status == "FINISHED"]
    assert {name: finished.data.metrics[name] for name in whole if "class" not in name} == {
        name: value for name, value in whole.items() if "class" not in name
    }


def test_two_processes_predict_as_one_and_count_every_sample_once_in_one_run(command, hub, tmp_path, capfd):
    wide = (*small(hub, "wide"), "adaptation.patience=null")
    assert command("scaling.run", *wide, "tracking.experiment=one") == 0
    shared = (*wide, "trainer=ddp", "trainer.accelerator=cpu", "tracking.experiment=two")
    assert command("scaling.run", *shared) == 0
    assert "find_unused_parameters" not in capfd.readouterr().err
    runs = {}
    for name in ("one", "two"):
        (runs[name],) = [run for run in RunStore(experiment=name).runs() if run.data.tags[KIND] == "point"]
    one, two = (predictions(runs[name], tmp_path / name) for name in ("one", "two") if not (tmp_path / name).mkdir())
    assert len(two["test_labels"]) == 500
    assert np.array_equal(two["test_labels"], one["test_labels"])
    assert np.mean(two["test_predicted"] == one["test_predicted"]) > 0.99
    assert two["test_log_prob"] == pytest.approx(one["test_log_prob"], abs=0.02)
    names = {"fit/loss", "fit/samples_per_s", "try rate 0.002/validation_accuracy", "model/trained_parameters"}
    assert names <= set(runs["two"].data.metrics)
    history = RunStore(experiment="two").client.get_metric_history(
        runs["two"].info.run_id, "try rate 0.02/validation_loss"
    )
    assert [entry.step for entry in history] == [2, 4, 6, 8]


def test_a_finished_point_stays_so_where_no_checkpoint_can_be_deleted(command, place):
    (place / "taken").write_text("a file")
    assert command("scaling.run", *DIGITS, "adaptation=knn", "n=50", "checkpoints.dir=taken") == 0
    assert [run.info.status for run in points()] == ["FINISHED"]


def test_a_score_at_chance_is_flagged_on_the_run_and_in_the_report(command, hub, capsys):
    still = ("model.pretrained=false", "adaptation.learning_rates=[1e-9]", "adaptation.patience=null")
    assert command("scaling.run", *small(hub), *still, "precision=bf16-mixed") == 0
    (run,) = points()
    assert run.data.tags[FLAG].startswith("test accuracy ")
    assert (run.data.tags[PRECISION_USED], run.data.tags["scaling.precision_asked"]) == ("bf16-mixed", "bf16-mixed")
    assert "flagged: test accuracy" in capsys.readouterr().out
    assert command("scaling.report") == 0
    assert "seed=0: test accuracy" in capsys.readouterr().out
    assert "is at chance" in Path("reports/scaling/report.html").read_text()


def test_a_plan_counts_a_training_in_passes_and_runs_nothing(command, hub, capsys):
    assert command("scaling.run", *small(hub), "plan=true") == 0
    out = capsys.readouterr().out
    assert "from a short probe" in out
    assert "60 samples" in out  # the head's start needs the features of the subset, not of the test set
    assert not Path("mlruns").exists()
