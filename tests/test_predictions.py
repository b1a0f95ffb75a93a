import numpy as np
import pytest

from scaling.core.curves import Point
from scaling.tracking import artifacts
from scaling.tracking.artifacts import local_folder
from scaling.tracking.predictions import NAME, StoredPredictions, read

ARRAYS = {
    "test_labels": np.array([0, 1, 2], np.int32),
    "test_predicted": np.array([0, 2, 2], np.int32),
    "test_log_prob": np.log(np.array([0.5, 0.1, 0.9], np.float32)),
}


def point(artifacts):
    names = dict.fromkeys(("curve_id", "model", "dataset", "adaptation", "n_requested", "fingerprint"), "x")
    return Point(**names, n=1, seed=0, train_accuracy=1, test_accuracy=1, run_id="run", artifacts=artifacts)


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


def test_predictions_are_read_from_the_runs_folder(tmp_path):
    folder = tmp_path / "with space"
    folder.mkdir()
    np.savez_compressed(folder / NAME, **ARRAYS)
    for uri in (folder.as_uri(), str(folder)):
        kept = StoredPredictions(Store(tmp_path)).of(point(uri))
        assert kept.labels.tolist() == [0, 1, 2]
        assert kept.predicted.tolist() == [0, 2, 2]
        assert kept.log_prob == pytest.approx(ARRAYS["test_log_prob"])


def test_probabilities_are_nan_where_they_are_not_wanted(tmp_path):
    np.savez_compressed(tmp_path / NAME, **ARRAYS)
    kept = StoredPredictions(Store(tmp_path), log_prob=False).of(point(str(tmp_path)))
    assert np.isnan(kept.log_prob).all()
    assert kept.accuracy == 2 / 3


def test_they_are_fetched_where_they_lie_elsewhere(tmp_path):
    (tmp_path / "run").mkdir()
    np.savez_compressed(tmp_path / "run" / NAME, **ARRAYS)
    assert StoredPredictions(Store(tmp_path)).of(point("mlflow-artifacts:/1/run/artifacts")).accuracy == 2 / 3
    assert StoredPredictions(Store(tmp_path / "none")).of(point("s3://bucket/run")) is None


def test_what_is_missing_damaged_or_of_another_kind_is_none(tmp_path):
    path = tmp_path / NAME
    assert StoredPredictions(Store(tmp_path)).of(point(str(tmp_path))) is None
    np.savez_compressed(path, **{**ARRAYS, "test_predicted": np.array([object()] * 3)})
    assert read(path.read_bytes()) is None  # would have to be unpickled
    np.savez_compressed(path, test_labels=ARRAYS["test_labels"])
    assert read(path.read_bytes()) is None
    path.write_bytes(b"PK no zip file")
    assert read(path.read_bytes()) is None
    np.savez_compressed(path, **ARRAYS)
    path.write_bytes(path.read_bytes()[:-60])
    assert read(path.read_bytes()) is None
    np.savez_compressed(path, **{name: np.tile(values, 500) for name, values in ARRAYS.items()})
    for place in range(0, path.stat().st_size, 7):  # damaged streams raise zlib's own error
        whole = bytearray(path.read_bytes())
        whole[place] ^= 255
        read(bytes(whole))


def test_folders_of_this_machine():
    assert str(local_folder("file:///a/b%20c")) == "/a/b c"
    assert str(local_folder("/a/b")) == "/a/b"
    assert local_folder("file://elsewhere/a") is None
    assert local_folder("mlflow-artifacts:/a") is None
    assert local_folder("") is None
