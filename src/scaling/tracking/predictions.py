"""The predictions that runs kept, read back."""

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse
from zipfile import BadZipFile

import numpy as np

from scaling.core.curves import Point
from scaling.core.scores import Predictions

if TYPE_CHECKING:
    from scaling.tracking.store import RunStore

NAME = "predictions.npz"


@dataclass(frozen=True)
class StoredPredictions:
    """Predictions of the runs of a store.

    Attributes:
        log_prob: whether the probabilities of the true classes are wanted; they take as long to read as the rest, and
            are NaN where they are not read.
    """

    store: "RunStore"
    log_prob: bool = True

    def of(self, point: Point) -> Predictions | None:
        """Return a run's predictions on the test set; None where it kept none, or none that can be read."""
        folder = local_folder(point.artifacts)
        if folder is not None:
            return read(folder / NAME, self.log_prob)
        with tempfile.TemporaryDirectory() as fetched:
            try:
                return read(Path(self.store.client.download_artifacts(point.run_id, NAME, fetched)), self.log_prob)
            except Exception:  # each kind of artifact store has an exception of its own for "not there"
                return None


def local_folder(uri: str) -> Path | None:
    """Return the folder that a URI of artifacts names on this machine, or None."""
    parsed = urlparse(uri)
    if parsed.scheme == "file" and parsed.netloc in ("", "localhost"):
        return Path(unquote(parsed.path))
    return Path(uri) if uri.startswith("/") else None


def read(path: Path, log_prob: bool = True) -> Predictions | None:
    """Read predictions.npz; None where it isn't there or is damaged. Nothing in it is unpickled."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            labels, predicted = (kept[name].astype(np.int64) for name in ("test_labels", "test_predicted"))
            if labels.shape != predicted.shape:
                return None
            unread = np.full(len(labels), np.nan, np.float32)
            return Predictions(labels, predicted, kept["test_log_prob"] if log_prob else unread)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        return None
