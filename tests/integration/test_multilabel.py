"""Whole runs on samples with several labels: embeddings and pictures, from the command to the report."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score
from tests.networks import SHORT

from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed
from scaling.tracking import RunStore
from scaling.tracking.records import KIND

NAMES = ("cat", "dog", "owl", "fox")
EMBEDDINGS = ("dataset=embeddings", "dataset.path=zoo.npz", "trainer=cpu")


@pytest.fixture
def zoo(place):
    """zoo.npz in the working directory: of four labels one is rare, and some samples have none."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 8))
    logits = 1.5 * features @ rng.normal(size=(8, 4)) / np.sqrt(8) + [-3.5, -1.5, 0, -1]
    has = rng.random((500, 4)) < 1 / (1 + np.exp(-logits))
    split = np.where(np.arange(500) < 300, "train", "test")
    np.savez("zoo.npz", features=features, labels=has.astype(int), split=split, class_names=np.array(NAMES))
    return has[300:]


@pytest.fixture
def pictures(place):
    """A manifest of small pictures: one channel is bright for each label."""
    rng = np.random.default_rng(1)
    lines = ["path,label,split"]
    for number in range(90):
        has = rng.random(3) < [0.5, 0.3, 0.4]
        pixels = rng.integers(0, 90, (8, 8, 3)) + 150 * has
        Image.fromarray(pixels.astype(np.uint8)).save(f"{number}.png")
        label = "|".join(name for name, there in zip(("red", "green", "blue"), has, strict=True) if there)
        lines.append(f"{number}.png,{label},{'train' if number < 60 else 'test'}")
    Path("table.csv").write_text("\n".join(lines) + "\n")
    return ("dataset=manifest", f"dataset.path={place}/table.csv", "dataset.task=multilabel", "trainer=cpu")


def points():
    return [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]


def job(*overrides):
    return Job(composed(list(overrides)))


def table(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_of_embeddings_is_run_reported_and_compared(zoo, command, capsys):
    grid = ("-m", *EMBEDDINGS, "adaptation=knn,linear_probe", "n=10,60,full", "seed=0,1")
    assert command("scaling.run", *grid) == 0
    assert "training and" in (out := capsys.readouterr().out)
    assert "test samples have no label: they count as samples that have none of the 4" in out
    run = next(
        run for run in points() if run.data.params["adaptation"] == "linear_probe" and run.data.params["n"] == "300"
    )
    assert run.data.tags["scaling.metric"] == "average_precision"
    assert {"test/average_precision", "test/average_precision_low", "train/micro_f1", "test/auroc/owl"} <= set(
        run.data.metrics
    )
    kept = np.load(Path(run.info.artifact_uri.removeprefix("file://")) / "predictions.npz")
    np.testing.assert_array_equal(kept["test_labels"], zoo)
    again = average_precision_score(kept["test_labels"], kept["test_log_probs"], average="macro")
    assert run.data.metrics["test/average_precision"] == pytest.approx(again)
    assert kept["train_predicted"].shape == (300, 4)

    assert command("scaling.report") == 0
    rows = table("reports/scaling/curves.csv")
    assert {row["metric"] for row in rows} == {"average_precision"}
    assert {row["train_accuracy"] + row["test_accuracy"] for row in rows} == {""}
    assert all(0 < float(row["test_score"]) < 1 for row in rows)
    findings = json.loads(Path("reports/scaling/findings.json").read_text())
    assert "macro average precision" in json.dumps(findings)
    out = capsys.readouterr().out
    assert "pairs can be told apart" in out
    assert command("scaling.report", "metric=test/auroc/owl") == 0
    assert command("scaling.run", *grid) == 0
    assert "nothing to run" in capsys.readouterr().out


def test_a_metric_of_another_kind_of_task_is_refused_with_those_there_are(zoo, command, capsys):
    assert command("scaling.run", *EMBEDDINGS, "adaptation=knn", "n=50") == 0
    assert command("scaling.report", "metric=accuracy") == 1
    error = capsys.readouterr().err
    assert "metric=test/accuracy: not a metric" in error or "metric=accuracy: not a metric" in error
    assert "There are: test/average_precision, test/auroc, test/micro_f1, test/macro_f1" in error
    assert command("scaling.report", "metric=micro_f1") == 0


def test_labels_without_a_sample_in_the_subset_are_named(zoo, command, capsys):
    arrays = dict(np.load("zoo.npz"))
    arrays["labels"][:300, 0] = np.arange(300) == 7
    np.savez("zoo.npz", **arrays)
    assert command("scaling.run", "-m", *EMBEDDINGS, "adaptation=linear_probe,knn", "n=20,full") == 0
    assert "no sample of the subset has cat" in capsys.readouterr().out
    told = {(run.data.params["n"], run.data.tags.get("scaling.absent")) for run in points()}
    assert told == {("20", "cat"), ("300", None)}
    assert all(("cat" in run.data.tags.get("scaling.flag", "")) == (run.data.params["n"] == "20") for run in points())


@pytest.mark.parametrize("adaptation", ["linear_probe", "knn"])
def test_a_single_sample_without_labels_has_no_train_score_and_the_report_says_so(zoo, command, capsys, adaptation):
    arrays = dict(np.load("zoo.npz"))
    arrays["labels"][:299] = 0
    arrays["labels"][299] = [0, 1, 1, 0]
    np.savez("zoo.npz", **arrays)
    assert command("scaling.run", "-m", *EMBEDDINGS, f"adaptation={adaptation}", "n=1,full") == 0
    assert command("scaling.report") == 0
    first, second = table("reports/scaling/curves.csv")
    assert (first["n"], first["train_score"], first["upgradeability"]) == ("1", "", "")
    assert float(first["test_score"]) > 0
    assert float(second["train_score"]) > 0


def test_subsets_are_nested_and_part_of_the_fingerprint_are_the_labels(zoo):
    small, large = (job(*EMBEDDINGS, "adaptation=knn", f"n={n}").subset.indices for n in (30, 100))
    assert set(small) <= set(large)
    before = job(*EMBEDDINGS, "adaptation=knn", "n=30").point.fingerprint
    arrays = dict(np.load("zoo.npz"))
    arrays["labels"][0, 0] = 1 - arrays["labels"][0, 0]
    np.savez("zoo2.npz", **arrays)
    other = ("dataset=embeddings", "dataset.path=zoo2.npz", "dataset.name=zoo", "trainer=cpu")
    assert before != job(*other, "adaptation=knn", "n=30").point.fingerprint


def test_what_it_will_cost_is_told(zoo, command, capsys):
    assert command("scaling.run", "-m", *EMBEDDINGS, "adaptation=linear_probe,knn", "n=100,full", "plan=true") == 0
    assert "4 points" in capsys.readouterr().out


@pytest.mark.parametrize("adaptation", ["knn", "linear_probe"])
def test_pictures_with_labels_in_a_manifest_are_told(pictures, adaptation):
    evaluation = evaluate_job(job(*pictures, "model=pixels", f"adaptation={adaptation}", "n=full"))
    assert evaluation.score.metric == "average_precision"
    assert evaluation.score.test_score > 0.95
    assert evaluation.flag == ""


@pytest.mark.parametrize(("adaptation", "name"), [("finetune", "small"), ("lora", "wide")])
def test_networks_are_trained_on_several_labels(pictures, hub, adaptation, name):
    network = ("model=torch_hub", f"model.repo={hub}", f"model.name={name}", "model.input_size=8")
    trained = (*pictures, *network, f"adaptation={adaptation}", *SHORT, "adaptation.label_smoothing=0.05", "n=50")
    evaluation = evaluate_job(job(*trained, "adaptation.augment=[]"))
    assert evaluation.score.test_score > 0.6
    rounds = evaluation.outcome.tables["learning_rates"]
    assert all(0 < row["validation_label_accuracy"] <= 1 for row in rounds)
    assert min(row["validation_log_loss"] for row in rounds) < np.log(2)


def test_a_models_own_outputs_are_taken_one_by_one(pictures, hub):
    network = ("model=torch_hub", f"model.repo={hub}", "model.name=small", "model.input_size=8")
    mapped = "adaptation.label_map={red: 0, green: [1, 2], blue: 3}"
    evaluation = evaluate_job(job(*pictures, *network, "adaptation=as_is", mapped, "n=20"))
    assert evaluation.outcome.test.log_probs.shape == (30, 3)
    assert 0 < evaluation.score.test_score < 1
