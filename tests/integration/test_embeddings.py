"""Whole runs on embeddings: the pixels of digits, given as features, are worth what they are as images."""

import csv
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import DIGITS

import scaling
from scaling.config import compose
from scaling.core.errors import ScalingError
from scaling.datasets import Digits
from scaling.runs.job import Job
from scaling.runs.spec import composed
from scaling.tracking import RunStore
from scaling.tracking.records import KIND

EMBEDDINGS = ("dataset=embeddings", "dataset.path=emb.npz", "adaptation=knn")


@pytest.fixture
def columns(place):
    """The arrays of emb.npz, which lies in the working directory: what `model=pixels` makes of digits."""
    digits = Digits().load()
    parts = (digits.train, digits.test)
    arrays = {
        "features": np.concatenate([part.samples.pixels.reshape(len(part), -1) for part in parts]) / 127.5 - 1,
        "labels": np.concatenate([part.labels for part in parts]),
        "split": np.repeat(["train", "test"], [len(part) for part in parts]),
    }
    np.savez("emb.npz", **arrays)
    return arrays


def points():
    return [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]


def job(*overrides):
    return Job(composed([*EMBEDDINGS, "n=100", *overrides]))


@pytest.mark.parametrize("adaptation", ["knn", "knn_euclidean", "linear_probe"])
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_given_pixels_are_worth_what_pixels_are(columns, suffix, adaptation):
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        table = {"features": list(columns["features"]), "label": columns["labels"], "split": columns["split"]}
        parquet.write_table(pa.table(table), "emb.parquet")
    same = {"adaptation": adaptation, "n": 300, "seed": 1}
    given = scaling.evaluate_point(f"dataset.path=emb{suffix}", dataset="embeddings", **same)
    assert not Path(".features").exists()
    computed = scaling.evaluate_point(model="pixels", dataset="digits", **same)
    assert given.test_accuracy == pytest.approx(computed.test_accuracy, abs=0.002)
    assert given.train_accuracy == pytest.approx(computed.train_accuracy, abs=0.005)


def test_a_sweep_runs_resumes_and_reports_two_files_apart(columns, command, capsys):
    np.savez("half.npz", **{**columns, "features": columns["features"][:, ::2]})
    grid = ("-m", *EMBEDDINGS[:1], "dataset.path=emb.npz,half.npz", "adaptation=knn,linear_probe", "n=50,100")
    assert command("scaling.run", *grid) == 0
    assert len(points()) == 8
    assert {run.data.metrics["features_computed"] for run in points()} == {0}
    assert {run.data.params["dataset.path"] for run in points()} == {"emb.npz", "half.npz"}
    capsys.readouterr()
    assert command("scaling.run", *grid) == 0
    assert "nothing to run" in capsys.readouterr().out
    assert len(points()) == 8
    assert command("scaling.report") == 0
    with Path("reports/scaling/curves.csv").open(newline="") as file:
        found = {(row["label"], row["model"], row["dataset"]) for row in csv.DictReader(file)}
    assert found == {
        (f"given {name} {adaptation}", "given", name)
        for name in ("emb", "half") for adaptation in ("knn", "linear_probe")
    }  # fmt: skip


def test_files_of_one_name_are_told_apart_by_their_path(columns, command):
    for encoder, every in (("clip", 1), ("dino", 2)):
        Path(encoder).mkdir()
        np.savez(f"{encoder}/emb.npz", **{**columns, "features": columns["features"][:, ::every]})
    paths = "dataset.path=clip/emb.npz,dino/emb.npz"
    assert command("scaling.run", "-m", EMBEDDINGS[0], paths, "adaptation=knn", "n=50") == 0
    labels = set(scaling.fetch_runs("scaling").label)
    assert labels == {"given emb knn path:clip/emb.npz", "given emb knn path:dino/emb.npz"}


def test_embeddings_and_images_share_a_grid(columns, command, place):
    (place / "my_conf" / "dataset").mkdir(parents=True)
    text = "defaults:\n  - embeddings\n  - _self_\npath: emb.npz\nname: reviews\n"
    (place / "my_conf" / "dataset" / "reviews.yaml").write_text(text)
    grid = ("-m", "dataset=reviews,digits", "model.id=mine", "adaptation=knn", "n=20", "plan=true")
    assert command("scaling.run", "--config-dir", "my_conf", *grid) == 0
    config = compose(["hydra.searchpath=[file://my_conf]", "dataset=reviews"])
    assert (config.model.id, config.dataset.name) == ("given", "reviews")


def test_an_experiment_takes_embeddings_without_naming_a_model(place):
    (place / "my_conf" / "experiment").mkdir(parents=True)
    text = "# @package _global_\ndefaults:\n  - override /dataset: embeddings\ndataset:\n  path: emb.npz\n"
    (place / "my_conf" / "experiment" / "mine.yaml").write_text(text)
    config = compose([f"hydra.searchpath=[file://{place}/my_conf]", "experiment=mine"])
    assert (config.model.id, config.dataset.path) == ("given", "emb.npz")


# ---- fingerprints --------------------------------------------------------------------------------------------


def test_neither_precision_nor_the_encoders_name_changes_the_fingerprint(columns):
    before = job()
    for override in ("precision=bf16-mixed", "precision=16-true", "model.id=clip"):
        assert job(override).check().fingerprint == before.check().fingerprint
    assert job("precision=bf16-mixed", "trainer=cpu").spec.precision == "32-true"
    assert job("model.id=clip").point.model == "clip"


def test_how_features_are_computed_is_no_part_of_what_is_given(columns, monkeypatch):
    from scaling.runs import job as jobs

    before = job().point.fingerprint
    monkeypatch.setattr(jobs, "FEATURE_VERSION", 99)
    assert job().point.fingerprint == before


def test_a_changed_value_is_another_point(columns):
    before = job().point.fingerprint
    columns["features"][0, 0] += 1
    np.savez("emb.npz", **columns)
    assert job().point.fingerprint != before


# ---- what is refused before anything is written --------------------------------------------------------------

REFUSED = {
    "a model": ([*EMBEDDINGS, "model=efficientnet_lite0"], ["emb holds features", "efficientnet_lite0", "model= out"]),
    "no model": ([*DIGITS[1:], "model=given"], ["model=given has no network", "digits", "dataset=embeddings"]),
    "as_is": ([*EMBEDDINGS, "adaptation=as_is"], ["as_is needs the model's network", "adaptation=linear_probe"]),
    "as_is, raw": ([*EMBEDDINGS, "adaptation=as_is", "adaptation.label_space=raw"], ["as_is needs the model's"]),
    "weights": ([*EMBEDDINGS, "model.pretrained=false"], ["There is no setting model.pretrained", "model.id"]),
    "no path": (["dataset=embeddings"], ["dataset.path=PATH"]),
    "another kind of file": (["dataset=embeddings", "dataset.path=emb.csv"], ["emb.csv"]),
    "an unknown precision": ([*EMBEDDINGS, "precision=fp8"], ["bf16-mixed"]),
    "too small an n": ([*EMBEDDINGS, "n=5"], ["n=5", "10"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused_before_anything_is_written(case, columns, command, capsys, place):
    arguments, words = REFUSED[case]
    assert command("scaling.run", *arguments) == 1
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ")
    assert len(message.splitlines()) <= 3, message
    assert all(word in message for word in words), message
    assert [path.name for path in place.iterdir()] == ["emb.npz"]


def test_an_adaptation_that_asks_for_the_network_is_told(columns, monkeypatch):
    from scaling.adapt import Knn

    monkeypatch.setattr(Knn, "run", lambda self, task, subset: task.backbone)
    with pytest.raises(ScalingError, match="clip: embeddings come without a network"):
        scaling.evaluate_point(*EMBEDDINGS, "model.id=clip", n=50)


def test_the_data_command_says_what_is_in_a_file(columns, command, capsys):
    assert command("scaling.data", "embeddings", "dataset.path=emb.npz") == 0
    head, train, test = capsys.readouterr().out.splitlines()
    assert head == "emb: 1297 training and 500 test samples, 10 classes, in emb.npz"
    assert train.startswith("train: 64 features each, content ")
    assert test.startswith("test: 64 features each, content ")
