import numpy as np
import pytest

from scaling.core.curves import Point
from scaling.metrics import metric_of
from scaling.metrics.classification import macro_f1
from scaling.metrics.stored import of_predictions, packed
from scaling.tracking import artifacts
from scaling.tracking.artifacts import local_folder
from scaling.tracking.predictions import PREDICTIONS, VALUES, StoredSamples, read

ARRAYS = {
    "test_labels": np.array([0, 1, 2], np.int32),
    "test_predicted": np.array([0, 2, 2], np.int32),
    "test_log_prob": np.log(np.array([0.5, 0.1, 0.9], np.float32)),
}


def point(artifacts):
    names = dict.fromkeys(("curve_id", "model", "dataset", "adaptation", "n_requested", "fingerprint"), "x")
    return Point(
        **names, n=1, seed=0, metric="accuracy", train_score=1, test_score=1, run_id="run", artifacts=artifacts
    )


class Client:
    """A client of a store whose artifacts lie elsewhere."""

    def __init__(self, folder):
        self.folder = folder

    def download_artifacts(self, run_id, name, target):
        path = self.folder / run_id / name
        if not path.exists():
            raise RuntimeError("not there")
        return str(path)


class Store:
    def __init__(self, folder):
        self.client = Client(folder)

    def read(self, run_id, uri, name):
        return artifacts.read(self.client, run_id, uri, name)


ACCURACY, NLL = metric_of("accuracy"), metric_of("nll")


def legacy(content):
    return read(content, lambda kept: of_predictions(kept, "accuracy", 2 / 3))


def test_values_are_read_from_the_runs_folder(tmp_path):
    folder = tmp_path / "with space"
    folder.mkdir()
    values = {"accuracy": np.array([1.0, 0.0, 1.0]), "nll": np.array([0.5, 3.25, 1e-4])}
    np.savez_compressed(folder / VALUES, **packed(values, ARRAYS["test_labels"]))
    for uri in (folder.as_uri(), str(folder)):
        store = StoredSamples(Store(tmp_path))
        assert store.of(point(uri), ACCURACY).values == pytest.approx([1, 0, 1], abs=1e-6)
        assert store.of(point(uri), NLL).values == pytest.approx(values["nll"], abs=1e-4)
        assert store.of(point(uri), metric_of("brier")) is None


def test_predictions_of_an_earlier_version_tell_the_same_values_and_test_set(tmp_path):
    np.savez_compressed(tmp_path / PREDICTIONS, **ARRAYS)
    old = StoredSamples(Store(tmp_path)).of(point(str(tmp_path)), ACCURACY)
    assert old.values.tolist() == [1, 0, 1]
    np.savez_compressed(tmp_path / VALUES, **packed({"accuracy": np.array([1.0, 0.0, 0.0])}, ARRAYS["test_labels"]))
    new = StoredSamples(Store(tmp_path)).of(point(str(tmp_path)), ACCURACY)
    assert new.values == pytest.approx([1, 0, 0], abs=1e-6)
    assert new.test_set == old.test_set


def test_macro_f1_of_an_earlier_version_counts_classes_that_the_test_set_lacks():
    arrays = {**ARRAYS, "test_labels": np.array([0, 0, 1, 1]), "test_predicted": np.array([0, 1, 1, 1])}
    logged = macro_f1(arrays["test_labels"], arrays["test_predicted"], 4)
    arrays["test_log_prob"] = np.zeros(4, np.float32)
    assert of_predictions(arrays, "macro_f1", logged).values.mean() == pytest.approx(logged)


def test_they_are_fetched_where_they_lie_elsewhere(tmp_path):
    (tmp_path / "run").mkdir()
    np.savez_compressed(tmp_path / "run" / PREDICTIONS, **ARRAYS)
    found = StoredSamples(Store(tmp_path)).of(point("mlflow-artifacts:/1/run/artifacts"), ACCURACY)
    assert found.values.tolist() == [1, 0, 1]
    assert StoredSamples(Store(tmp_path / "none")).of(point("s3://bucket/run"), ACCURACY) is None


def test_what_is_missing_damaged_or_of_another_kind_is_none(tmp_path):
    path = tmp_path / PREDICTIONS
    assert StoredSamples(Store(tmp_path)).of(point(str(tmp_path)), ACCURACY) is None
    np.savez_compressed(path, **{**ARRAYS, "test_predicted": np.array([object()] * 3)})
    assert legacy(path.read_bytes()) is None  # would have to be unpickled
    np.savez_compressed(path, test_labels=ARRAYS["test_labels"])
    assert legacy(path.read_bytes()) is None
    path.write_bytes(b"PK no zip file")
    assert legacy(path.read_bytes()) is None
    np.savez_compressed(path, **ARRAYS)
    path.write_bytes(path.read_bytes()[:-60])
    assert legacy(path.read_bytes()) is None
    np.savez_compressed(path, **{name: np.tile(values, 500) for name, values in ARRAYS.items()})
    for place in range(0, path.stat().st_size, 7):  # damaged streams raise zlib's own error
        whole = bytearray(path.read_bytes())
        whole[place] ^= 255
        legacy(bytes(whole))


def test_folders_of_this_machine():
    assert str(local_folder("file:///a/b%20c")) == "/a/b c"
    assert str(local_folder("/a/b")) == "/a/b"
    assert local_folder("file://elsewhere/a") is None
    assert local_folder("mlflow-artifacts:/a") is None
    assert local_folder("") is None
