"""Exact copies from the data set to the report: said by each command, kept with each run."""

import json

import numpy as np
import pytest

from scaling.core.curves import curves_of
from scaling.tracking import RunStore
from scaling.tracking.records import CONTRADICTIONS, KIND, LEAKAGE

LEAKED = "exact copies of training samples among the test samples: 40 of 40 (100.00%)"
DOUBTFUL = "samples with an exact copy under another label: 2 of 160"


@pytest.fixture
def noise(place):
    """Pure noise whose test rows are copies of training rows; one of these has a second copy under another label."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(160, 8)), rng.integers(0, 2, 160)
    features[120:], labels[120:] = features[:40], labels[:40]
    features[100], labels[100] = features[101], 1 - labels[101]
    split = np.where(np.arange(160) < 120, "train", "test")
    np.savez(place / "noise.npz", features=features, labels=labels, split=split)
    return "dataset=embeddings", "dataset.path=noise.npz", "adaptation=knn", "adaptation.k=1"


def test_memory_is_told_by_the_sweep_the_runs_and_the_report(command, capsys, noise, place):
    assert command("scaling.run", "-m", *noise, "n=40,full", "seed=0,1") == 0
    out = capsys.readouterr().out
    assert out.count(f"note: noise: {LEAKED}.") == out.count(f"note: noise: {DOUBTFUL}.") == 1
    runs = [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]
    assert {(run.data.tags[LEAKAGE], run.data.tags[CONTRADICTIONS]) for run in runs} == {(LEAKED, DOUBTFUL)}

    assert command("scaling.report") == 0
    out = capsys.readouterr().out
    assert out.count(f"data: noise: {LEAKED}\n") == out.count(f"data: noise: {DOUBTFUL}\n") == 1
    folder = place / "reports" / "scaling"
    page = (folder / "report.html").read_text()
    assert page.count(LEAKED) == page.count(DOUBTFUL) == 1
    assert page.index(LEAKED) < page.index("<h2>")
    assert json.loads((folder / "findings.json").read_text())["caveats"] == [f"noise: {LEAKED}", f"noise: {DOUBTFUL}"]


def test_memory_is_told_before_anything_runs(command, capsys, noise):
    assert command("scaling.run", *noise, "plan=true") == 0
    assert f"note: noise: {LEAKED}." in capsys.readouterr().out
    assert command("scaling.data", "embeddings", noise[1]) == 0
    assert f"note: noise: {LEAKED}." in capsys.readouterr().out


def test_a_clean_data_set_and_a_run_without_the_tags_say_nothing(command, capsys):
    assert command("scaling.run", "model=pixels", "dataset=digits", "adaptation=knn", "n=50") == 0
    assert "note:" not in capsys.readouterr().out
    (run,) = [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]
    assert not {LEAKAGE, CONTRADICTIONS} & set(run.data.tags)
    (curve,) = curves_of(RunStore().finished_points())
    assert curve.points[0].caveats == ()
    assert command("scaling.report") == 0
    assert "data:" not in capsys.readouterr().out


def test_columns_that_were_shifted_are_named_by_the_sweep(command, capsys, place):
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    features = 4 * np.eye(3)[labels] + rng.normal(size=(120, 3)) + [0, 1e9, 0]
    split = np.where(np.arange(120) < 80, "train", "test")
    np.savez(place / "far.npz", features=features, labels=labels, split=split)
    data = ("dataset=embeddings", "dataset.path=far.npz")
    assert command("scaling.run", *data, "adaptation=linear_probe", "n=full") == 0
    assert "note: far.npz: in column 1 of the features, 32-bit floats" in capsys.readouterr().out
    assert curves_of(RunStore().finished_points())[0].points[0].test_score > 0.9
    assert command("scaling.run", *data, "adaptation=knn", "n=full") == 1
    assert "adaptation.metric=euclidean" in capsys.readouterr().err
