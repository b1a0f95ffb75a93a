"""What runs kept of each test sample, read back. Nothing in it is unpickled."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.core.curves import Point
from scaling.metrics import Metric
from scaling.metrics.stored import Samples, of_predictions, unpacked

if TYPE_CHECKING:
    from scaling.tracking.store import RunStore

VALUES, PREDICTIONS = "values.npz", "predictions.npz"


@dataclass(frozen=True)
class StoredSamples:
    """The values of test samples that the runs of a store kept."""

    store: "RunStore"

    def of(self, point: Point, metric: Metric) -> Samples | None:
        """Return a run's values of a metric; None where it kept none, or none that can be read."""
        return self._read(point, VALUES, lambda kept: unpacked(kept, metric.name)) or self._read(
            point, PREDICTIONS, lambda kept: of_predictions(kept, metric.name, point.logged(metric.key))
        )

    def _read(self, point: Point, name: str, take: Callable[[Mapping[str, Any]], Samples | None]) -> Samples | None:
        content = self.store.read(point.run_id, point.artifacts, name)
        return None if content is None else read(content, take)


def read(content: bytes, take: Callable[[Mapping[str, Any]], Samples | None]) -> Samples | None:
    """Take what is wanted from the bytes of an .npz file; None where they are damaged."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            return take(kept)
    except Exception:  # a flipped byte can end in zipfile's, zlib's, numpy's or the tokenizer's own errors
        return None
