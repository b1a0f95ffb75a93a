"""A kept head scores new samples as it scored the test set."""

import json

import numpy as np
import pytest
from tests.conftest import DIGITS

from scaling.adapt import kept
from scaling.config import compose, plain
from scaling.core.errors import DataError, SettingError
from scaling.runs.job import Job
from scaling.runs.spec import composed
from scaling.tasks import Classification, Multilabel

PROBE = [*DIGITS[:2], "trainer=cpu"]
PIXELS = plain(compose(["model=pixels", "dataset=digits"]))["model"]
#: The second class is taken where x₀ > 1.
HEAD = {
    "weight": np.array([[0, 0], [1, 0]], np.float32), "bias": np.zeros(2, np.float32),
    "mean": np.array([1, 0], np.float32), "scale": np.ones(2, np.float32),
}  # fmt: skip


def head_of(folder, task, model=PIXELS):
    kept.keep(folder / "head", HEAD, task, model, "32-true")
    return kept.FittedHead(folder / "head")


def test_a_run_keeps_a_model_that_mlflow_loads_and_a_card(command, place):
    import mlflow

    point = [*PROBE, "n=100", "keep_model=true", "tracking.system_metrics=true"]
    assert command("scaling.run", *point) == 0
    (folder,) = place.glob("mlruns/artifacts/scaling/*/artifacts/model")
    scorer = mlflow.pyfunc.load_model(str(folder))
    job = Job(composed(PROBE))
    scored = scorer.predict(job.dataset.test.samples.pixels)
    with np.load(folder.parent / "predictions.npz") as logged:
        np.testing.assert_array_equal(scored.to_numpy().argmax(1), logged["test_predicted"])
    np.testing.assert_allclose(scored.sum(axis=1), 1, atol=1e-5)
    assert list(scored) == list(job.dataset.class_names)
    assert "pixels, linear_probe on digits" in (folder / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt")] == []


def test_features_are_standardised_and_scored_by_the_kind_of_task(tmp_path):
    one = head_of(tmp_path / "one", Classification(("no", "yes"))).predict([[1, 5], [3, 5]])
    np.testing.assert_allclose(one["yes"], [0.5, 1 / (1 + np.exp(-2))], rtol=1e-6)
    many = head_of(tmp_path / "many", Multilabel(("a", "b"))).predict(np.array([[3.0, 5.0]]))
    np.testing.assert_allclose(many.to_numpy(), [[0.5, 1 / (1 + np.exp(-2))]], rtol=1e-6)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([[1, 2, 3]], r"shape \(1, 3\).*features \(k, 2\)"),
        ([["a", "b"]], "type <U1: expected features"),
        (["a text"], "are texts: pixels takes images"),
    ],
)
def test_samples_of_another_kind_are_refused(tmp_path, samples, said):
    with pytest.raises(DataError, match=said):
        head_of(tmp_path, Classification(("no", "yes"))).predict(samples)


def test_what_is_kept_can_be_read_by_people(tmp_path):
    head_of(tmp_path, Classification(("no", "yes")))
    about = json.loads((tmp_path / "head" / "head.json").read_text(encoding="utf-8"))
    assert about["task"]["class_names"] == ["no", "yes"]
    assert about["model"]["_target_"] == PIXELS["_target_"]


def test_an_adaptation_without_a_head_says_so_when_a_point_is_planned():
    job = Job(composed([*DIGITS, "adaptation=knn", "n=100", "keep_model=true"]))
    with pytest.raises(SettingError, match="adaptation=knn has no head to keep; linear_probe has"):
        job.check()
