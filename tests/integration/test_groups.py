"""Groups from the data set to the report: whole ones are drawn, and intervals are over them."""

import csv
import json

import numpy as np
import pytest

from scaling.tracking import RunStore
from scaling.tracking.records import GROUPS, KIND

BY_GROUP = "120 test samples in 12 groups: intervals are over groups"
RUN = ("dataset=embeddings", "dataset.path=ill.npz", "subset.draw=groups")


@pytest.fixture
def patients(place):
    """42 patients of 10 samples each; all samples of a patient lie around a point of their own."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(42), 10)
    labels = patient % 2
    features = rng.normal(size=(42, 6))[patient] + 0.3 * rng.normal(size=(420, 6))
    features[:, 0] += 1.5 * labels
    split = np.where(patient < 30, "train", "test")
    np.savez("ill.npz", features=features, labels=labels, split=split, group=patient)
    np.savez("well.npz", features=features, labels=labels, split=split)
    return place


def points():
    return [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]


def width(run):
    return run.data.metrics["test/accuracy_high"] - run.data.metrics["test/accuracy_low"]


def test_groups_are_drawn_whole_and_widen_intervals(command, capsys, patients):
    assert command("scaling.run", "-m", *RUN, "adaptation=knn,linear_probe", "n=55,full") == 0
    out = capsys.readouterr().out
    assert out.count(f"note: ill: {BY_GROUP}") == 1
    runs = points()
    assert {run.data.params["n"] for run in runs} == {"50", "300"}
    assert {run.data.params["n_requested"] for run in runs} == {"55", "full"}
    assert {run.data.tags[GROUPS] for run in runs} == {BY_GROUP}
    assert command("scaling.run", *RUN[:1], "dataset.path=well.npz", "adaptation=knn", "n=full") == 0
    (plain,) = [run for run in points() if GROUPS not in run.data.tags]
    (over,) = [run for run in runs if run.data.params["n"] == "300" and run.data.params["adaptation"] == "knn"]
    assert over.data.metrics["test/accuracy"] == plain.data.metrics["test/accuracy"]
    assert width(over) > 1.5 * width(plain)

    capsys.readouterr()
    assert command("scaling.report") == 0
    assert f"data: ill: {BY_GROUP}\n" in capsys.readouterr().out
    found = json.loads((patients / "reports/scaling/findings.json").read_text())
    compared = [item for item in found["comparisons"] if item["dataset"] == "ill"]
    assert {item["tested"] for item in compared} == {120}
    assert all(item["mcnemar"] == [] for item in compared)  # counts of samples are no counts of groups
    with (patients / "reports/scaling/curves.csv").open() as file:
        assert {row["n"] for row in csv.DictReader(file)} == {"50", "300"}


def test_two_n_that_hold_the_same_groups_are_one_point(command, capsys, patients):
    assert command("scaling.run", "-m", *RUN, "adaptation=knn", "n=51,53", "plan=true") == 0
    assert "1 point: 1 pending" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((*RUN, "n=7"), "n=7 is smaller than the group that is drawn first (10 samples of"),
        ((*RUN, "n=auto", "target=0.9"), "whole groups have no n that can be chosen"),
        ((RUN[0], "dataset.path=well.npz", RUN[2], "n=50"), "the data set names no groups"),
    ],
)
def test_what_can_not_be_drawn_is_said(command, capsys, patients, settings, words):
    assert command("scaling.run", *settings, "adaptation=knn") == 1
    assert words in capsys.readouterr().err
