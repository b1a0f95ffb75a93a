"""Metrics of one class a sample. Arrays in, named numbers out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.metrics import base
from scaling.metrics.base import MOST_CLASSES, Z_95, Measures, Metric, Score, score
from scaling.metrics.ranking import by_class

TOP_K = 5
#: Bins of equal width in which confidence is held against hits.
BINS = 15

PRIMARY = Metric("accuracy", "accuracy", counts=True, complement="error")
METRICS = (
    PRIMARY,
    Metric("balanced_accuracy", "balanced accuracy", complement="balanced error"),
    Metric("macro_f1", "macro-F1"),
    Metric("top5_accuracy", "top-5 accuracy", counts=True, complement="top-5 error"),
    Metric("auroc", "AUROC"),
    Metric("average_precision", "average precision"),
    Metric("nll", "negative log-likelihood", higher_is_better=False, bounds=(0.0, float("inf"))),
    Metric("brier", "Brier score", higher_is_better=False, bounds=(0.0, 2.0)),
    Metric("ece", "expected calibration error", higher_is_better=False),
    Metric("class_accuracy/", "accuracy on class", complement="error on class", share=True),
    Metric("auroc/", "AUROC of class"),
)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions(base.Predictions):
    """What a predictor says of m samples, reduced to what every score needs.

    Attributes:
        labels: true classes, shape (m,).
        predicted: predicted outputs, shape (m,); may lie outside the classes where label spaces differ.
        log_prob: natural logarithm of the probability given to the true class, shape (m,).
        in_top_k: whether the true class is among the TOP_K most probable outputs, shape (m,); None where
            there are not more outputs than that.
        log_probs: natural logarithm of the probability of every output, shape (m, outputs); None where it is not kept.
    """

    predicted: NDArray[np.int64]
    log_prob: NDArray[np.float32]
    in_top_k: NDArray[np.bool_] | None = None
    log_probs: NDArray[np.float32] | None = None

    @property
    def primary(self) -> float:
        """Share of samples whose predicted class is the true one."""
        return float(np.mean(self.predicted == self.labels))

    @property
    def log_loss(self) -> float:
        """Mean negative logarithm of the probability given to the true class."""
        return -float(self.log_prob.mean())

    @property
    def finite(self) -> bool:
        """Whether the probability of each true class is a number."""
        return bool(np.isfinite(self.log_prob).all())

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return true and predicted classes, and what was given to the true ones."""
        return {
            "labels": self.labels.astype(np.int32),
            "predicted": self.predicted.astype(np.int32),
            "log_prob": self.log_prob.astype(np.float32),
        }


def measure(found: Predictions, class_names: Sequence[str]) -> Measures:
    """Return every metric that predictions tell; class_names are those of the data set and bound the labels."""
    classes, labels, predicted = len(class_names), found.labels, found.predicted
    right = predicted == labels
    correct, total = int(right.sum()), len(labels)
    recalls = class_recalls(labels, predicted, classes)
    samples: dict[str, NDArray[np.floating]] = {
        "accuracy": right.astype(np.float32),
        "balanced_accuracy": _balanced_accuracy(labels, right.astype(float)),
        "macro_f1": _macro_f1(labels, predicted, right.astype(float), classes),
        "nll": -found.log_prob,
    }
    values = {
        "accuracy": correct / total,
        "balanced_accuracy": float(np.nanmean(recalls)),
        "macro_f1": macro_f1(labels, predicted, classes),
        "nll": -float(np.mean(found.log_prob, dtype=np.float64)),
    }
    if found.in_top_k is not None:
        samples["top5_accuracy"] = found.in_top_k.astype(np.float32)
    if found.log_probs is not None:
        samples |= _of_probabilities(labels, found.log_probs, class_names)
    values |= {name: float(np.mean(of, dtype=np.float64)) for name, of in samples.items() if name not in values}
    values |= {
        f"class_accuracy/{class_names[c]}": float(recalls[c]) for c in np.flatnonzero(np.isfinite(recalls)).tolist()
    }
    kept = {name: of for name, of in samples.items() if "/" not in name or classes <= MOST_CLASSES}
    return Measures(values, kept, {"accuracy": wilson_interval(correct, total)})


def scored(train: Predictions, test: Predictions, class_names: Sequence[str]) -> Score:
    """Turn the predictions on the subset (plain resubstitution) and on the whole test set into scores."""
    return score(measure(train, class_names), measure(test, class_names), len(train.labels), METRICS)


def wilson_interval(correct: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22(158).
    """
    share, squared = correct / total, z * z
    centre = (share + squared / (2 * total)) / (1 + squared / total)
    half = z / (1 + squared / total) * sqrt(share * (1 - share) / total + squared / (4 * total * total))
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == total else min(1.0, centre + half)
    return low, high


def class_recalls(labels: ArrayLike, predicted: ArrayLike, classes: int) -> Floats:
    """Return each class's accuracy (recall), shape (classes,); NaN for a class without samples."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    support = np.bincount(labels, minlength=classes).astype(float)
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    return np.divide(hits, support, out=np.full(classes, np.nan), where=support > 0)


def macro_f1(labels: ArrayLike, predicted: ArrayLike, classes: int) -> float:
    """Return the unweighted mean over classes of F1 = 2 TP / (2 TP + FP + FN); an absent class counts 0."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    support = np.bincount(labels, minlength=classes)
    claimed = np.bincount(predicted[predicted < classes], minlength=classes)
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    return float(np.mean(2 * hits / np.maximum(support + claimed, 1)))


def _of_probabilities(
    labels: NDArray[np.integer], log_probs: NDArray[np.float32], class_names: Sequence[str]
) -> dict[str, NDArray[np.floating]]:
    """Return one value a sample of the metrics that need the probability of every output."""
    probabilities = np.exp(log_probs, dtype=np.float64)
    rows = np.arange(len(labels))
    confidence, top = probabilities.max(1), probabilities.argmax(1)
    gap = (top == labels) - confidence
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    samples: dict[str, NDArray[np.floating]] = {
        # Sum over bins of |Σ (hit − confidence)| / m: the mean of gaps, each with the sign of its bin's.
        "ece": gap * np.sign(np.bincount(bins, weights=gap, minlength=BINS))[bins],
        "brier": (probabilities**2).sum(1) - 2 * probabilities[rows, labels] + 1,
    }
    ranked = by_class((labels == c for c in range(len(class_names))), log_probs, class_names)
    return samples | {name: of for name, of in ranked.items() if not name.startswith("average_precision/")}


def _balanced_accuracy(labels: NDArray[np.integer], right: Floats) -> Floats:
    support = np.bincount(labels)
    recall = np.bincount(labels, weights=right) / np.maximum(support, 1)
    present = support > 0
    weight = len(labels) / (np.maximum(support, 1) * present.sum())
    return recall[present].mean() + weight[labels] * (right - recall[labels])


def _macro_f1(labels: NDArray[np.integer], predicted: NDArray[np.integer], right: Floats, classes: int) -> Floats:
    known = (predicted >= 0) & (predicted < classes)
    claimed = np.where(known, predicted, 0)
    size = np.bincount(labels, minlength=classes) + np.bincount(claimed, weights=known, minlength=classes)
    found = 2 * np.bincount(labels, weights=right, minlength=classes) / np.maximum(size, 1)
    weight = len(labels) / (classes * np.maximum(size, 1))
    loss = found * weight
    return found.mean() + 2 * right * weight[labels] - loss[labels] - known * loss[claimed]


def at_chance(found: Score, labels: ArrayLike) -> str:
    """Say in words that a test accuracy is at chance or can't be told from it; nothing where it can.

    Chance is what always naming the test set's largest class comes to.

    Args:
        labels: true classes of the test set, shape (m,).
    """
    tested = len(np.asarray(labels))
    chance = float(np.bincount(np.asarray(labels)).max() / tested)
    return base.at_chance(found, PRIMARY, chance, "always the largest class gives", tested, chance * (1 - chance))
