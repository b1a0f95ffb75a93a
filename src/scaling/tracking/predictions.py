"""The predictions that runs kept, read back."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        content = self.store.read(point.run_id, point.artifacts, NAME)
        return None if content is None else read(content, self.log_prob)


def read(content: bytes, log_prob: bool = True) -> Predictions | None:
    """Read the bytes of predictions.npz; None where they are damaged. Nothing in them is unpickled."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            labels, predicted = (kept[name].astype(np.int64) for name in ("test_labels", "test_predicted"))
            if labels.shape != predicted.shape:
                return None
            unread = np.full(len(labels), np.nan, np.float32)
            return Predictions(labels, predicted, kept["test_log_prob"] if log_prob else unread)
    except Exception:  # a flipped byte can end in zipfile's, zlib's, numpy's or the tokenizer's own errors
        return None
