"""What runs keep as files, read from the disk where they lie there, else through MLflow."""

import io
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import numpy as np

from scaling.core.curves import Point
from scaling.findings import TestPredictions

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

#: Where `make ui` serves the store.
LOCAL_UI = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class RunLinks:
    """Where the MLflow UI shows runs.

    Attributes:
        base: address of a run without its id.
        served: whether a server is known to answer there; else it is where `make ui` would.
    """

    base: str = f"{LOCAL_UI}/#/experiments/0/runs/"
    served: bool = False

    def to(self, run_id: str) -> str:
        """Return the address of a run."""
        return self.base + run_id


def links(uri: str, experiment_id: str) -> RunLinks:
    """Return where a store's runs are shown; credentials are left out.

    >>> links("https://me:secret@mlflow.example.org/x/", "3").to("abc")
    'https://mlflow.example.org/x/#/experiments/3/runs/abc'
    """
    parts = urlsplit(uri)
    served = parts.scheme in ("http", "https")
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}" if served else LOCAL_UI
    return RunLinks(f"{host}/#/experiments/{experiment_id}/runs/", served)


def local_folder(uri: str) -> Path | None:
    """Return the folder of an artifact URI on this machine's disk, or None for one elsewhere."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    return Path(uri) if uri.startswith("/") else None


def read(client: "MlflowClient", run_id: str, uri: str, name: str) -> bytes | None:
    """Return the bytes of an artifact, or None where the run has none of that name."""
    folder = local_folder(uri)
    if folder is not None:
        try:
            return (folder / name).read_bytes()
        except OSError:
            return None
    with tempfile.TemporaryDirectory() as place:
        try:
            return Path(client.download_artifacts(run_id, name, place)).read_bytes()
        except Exception:  # each kind of artifact store has an exception of its own for "not there"
            return None


class _Readable(Protocol):
    """A store that reads a run's artifacts."""

    def read(self, run_id: str, uri: str, name: str) -> bytes | None:
        """Return the bytes of an artifact."""
        ...


@dataclass(frozen=True)
class StoredPredictions:
    """The predictions that runs kept, read when they are asked for."""

    store: _Readable

    def of(self, point: Point) -> TestPredictions | None:
        """Return a point's predictions on the test set, or None where they are missing or can't be read."""
        content = self.store.read(point.run_id, point.artifacts, "predictions.npz")
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return _test_predictions(arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def _test_predictions(arrays: Mapping[str, Any]) -> TestPredictions:
    return TestPredictions(arrays["test_labels"], arrays["test_predicted"], arrays["test_log_prob"])
