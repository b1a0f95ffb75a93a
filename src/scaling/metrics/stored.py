"""One value a test sample and metric, as runs keep them: what errors, pairs and crossovers of any metric are told by.

Runs of version 0.1.0 kept none: theirs are made of their predictions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.metrics.base import Floats
from scaling.metrics.classification import SAMPLES, Predictions

LEVELS = 32_000  # of a 16-bit integer, on either side of the centre


@dataclass(frozen=True)
class Samples:
    """The values of a run's test samples, shape (m,), and the hash of what they are of: runs with one pair up."""

    values: NDArray[np.float32]
    test_set: str


def hash_of(targets: NDArray[Any]) -> str:
    """Return the hash by which the test sets of two runs are told apart."""
    return sha256(np.ascontiguousarray(targets, dtype="<i4").data).hexdigest()[:32]


def packed(samples: Mapping[str, Floats], targets: NDArray[Any], groups: NDArray[Any] | None = None) -> dict[str, Any]:
    """Return arrays to keep: values as 16-bit integers between the lowest and the highest, but for single classes'.

    Args:
        groups: name of each sample's group where values are over groups; most are their mean then, and kept exactly.
    """
    kept = {name: of for name, of in samples.items() if "/" not in name and np.isfinite(of).all()}
    low, high, mean = (np.array([float(pick(of)) for of in kept.values()]) for pick in (np.min, np.max, np.mean))
    centre = (low + high) / 2 if groups is None else mean
    step = np.maximum(np.maximum(high - centre, centre - low), np.finfo(float).tiny) / LEVELS
    if groups is not None:
        targets = np.column_stack([targets, np.unique(groups, return_inverse=True)[1]])
    levels = {f"values{i}": np.rint((of - centre[i]) / step[i]).astype(np.int16) for i, of in enumerate(kept.values())}
    names = np.array(list(kept), dtype=str)
    return {"names": names, "centre": centre, "step": step, "test_set": np.array(hash_of(targets)), **levels}


def unpacked(kept: Mapping[str, NDArray[Any]], name: str) -> Samples | None:
    """Return the values of one metric; None where they are not kept."""
    names = kept["names"].tolist()
    if name not in names:
        return None
    i = names.index(name)
    values = (kept["centre"][i] + kept["step"][i] * kept[f"values{i}"]).astype(np.float32)
    return Samples(values, str(kept["test_set"]))


def of_predictions(kept: Mapping[str, NDArray[Any]], name: str, logged: float) -> Samples | None:
    """Return the values of one metric from the labels and predictions of a run; None where they don't tell it.

    Args:
        logged: the metric's value.
    """
    labels, predicted = (kept[key].astype(np.int64) for key in ("test_labels", "test_predicted"))
    if labels.shape != predicted.shape or name not in SAMPLES:
        return None
    found = Predictions(labels, predicted, kept["test_log_prob"])
    values = SAMPLES[name](found, int(labels.max()) + 1).astype(np.float32)
    if name == "macro_f1" and (mean := values.mean(dtype=np.float64)) > 0:
        # Classes that the test set lacks count 0 in the mean; how many there are, the logged value tells.
        values *= np.float32(logged / mean)
    return Samples(values, hash_of(labels))
