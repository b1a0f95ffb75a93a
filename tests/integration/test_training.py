"""Trainings as whole runs: killed for real, shared by two processes, flagged."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import spawn
from tests.networks import small

from scaling.tracking import FLAG, KIND, PRECISION_USED, REASON, RunStore

#: Long enough to be hit in the middle, with a checkpoint after each step.
LONG = (
    "adaptation.min_steps=400", "adaptation.max_steps=400", "adaptation.rounds=8", "adaptation.patience=null",
    "checkpoints.seconds=0.05",
)  # fmt: skip


def points():
    return [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]


def predictions(run, folder):
    path = RunStore().client.download_artifacts(run.info.run_id, "predictions.npz", str(folder))
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


@pytest.fixture(scope="module")
def undisturbed(hub, tmp_path_factory):
    """The scores of the long training, never interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = spawn(folder, *small(hub), *LONG)
    out = process.communicate()[0]
    assert process.returncode == 0, out
    (run,) = [run for run in RunStore(f"sqlite:///{folder}/mlruns/mlflow.db").runs() if run.data.tags[KIND] == "point"]
    return scores(run)


def scores(run):
    return {name: value for name, value in run.data.metrics.items() if name.startswith(("test/", "train/"))}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_goes_on_with_the_same_command(place, hub, undisturbed, number):
    process = spawn(place, *small(hub), *LONG)
    deadline = time.monotonic() + 120
    while not list(Path(".checkpoints").glob("*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate()
    assert process.returncode != 0
    assert len(list(Path(".checkpoints").glob("*.pt"))) == 1
    again = spawn(place, *small(hub), *LONG)
    out = again.communicate()[0]
    assert again.returncode == 0, out
    statuses = {run.info.status: run for run in points()}
    assert set(statuses) == {"KILLED", "FINISHED"}
    assert statuses["KILLED"].data.tags[REASON] in ("interrupted", "its process was gone before it finished")
    assert scores(statuses["FINISHED"]) == undisturbed
    assert list(Path(".checkpoints").iterdir()) == []


def test_two_processes_predict_as_one_and_count_every_sample_once_in_one_run(command, hub, tmp_path):
    wide = (*small(hub, "wide"), "adaptation.patience=null")
    assert command("scaling.run", *wide, "tracking.experiment=one") == 0
    shared = (*wide, "trainer=ddp", "trainer.accelerator=cpu", "tracking.experiment=two")
    assert command("scaling.run", *shared) == 0
    runs = {}
    for name in ("one", "two"):
        (runs[name],) = [run for run in RunStore(experiment=name).runs() if run.data.tags[KIND] == "point"]
    one, two = (predictions(runs[name], tmp_path / name) for name in ("one", "two") if not (tmp_path / name).mkdir())
    assert len(two["test_labels"]) == 500
    assert np.array_equal(two["test_labels"], one["test_labels"])
    assert np.mean(two["test_predicted"] == one["test_predicted"]) > 0.99
    assert two["test_log_prob"] == pytest.approx(one["test_log_prob"], abs=0.02)
    names = {"fit/loss", "fit/images_per_s", "try rate 0.002/validation_accuracy", "model/trained_parameters"}
    assert names <= set(runs["two"].data.metrics)
    history = RunStore(experiment="two").client.get_metric_history(
        runs["two"].info.run_id, "try rate 0.02/validation_loss"
    )
    assert [entry.step for entry in history] == [2, 4, 6, 8]


def test_an_error_in_a_process_fails_the_point_with_its_message(command, hub, capsys):
    lora = ("adaptation=lora", "trainer=ddp", "trainer.accelerator=cpu")
    assert command("scaling.run", *small(hub), *lora) == 1
    assert "no linear or attention layer below its head" in capsys.readouterr().err
    assert [run.info.status for run in points()] == ["FAILED"]


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
    assert "60 images" in out  # the head's start needs the features of the subset, not of the test set
    assert not Path("mlruns").exists()
