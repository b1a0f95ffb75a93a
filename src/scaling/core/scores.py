"""From predictions to scores. Arrays in, named numbers out; nothing here knows where they are logged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.core.words import about, samples

TOP_K = 5
Z_95 = 1.959963984540054  # 97.5 % point of the standard normal distribution


@dataclass(frozen=True)
class Predictions:
    """What a predictor says of m samples, reduced to what every score needs.

    Attributes:
        labels: true classes, shape (m,).
        predicted: predicted outputs, shape (m,); may lie outside the classes where label spaces differ.
        log_prob: natural logarithm of the probability given to the true class, shape (m,).
        in_top_k: whether the true class is among the TOP_K most probable outputs, shape (m,); None where
            there are not more outputs than that.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    log_prob: NDArray[np.float32]
    in_top_k: NDArray[np.bool_] | None = None

    @classmethod
    def concatenate(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Join predictions of consecutive batches."""
        top = [part.in_top_k for part in parts if part.in_top_k is not None]
        return cls(
            labels=np.concatenate([part.labels for part in parts]),
            predicted=np.concatenate([part.predicted for part in parts]),
            log_prob=np.concatenate([part.log_prob for part in parts]),
            in_top_k=np.concatenate(top) if len(top) == len(parts) else None,
        )

    @property
    def accuracy(self) -> float:
        """Share of samples whose predicted class is the true one."""
        return float(np.mean(self.predicted == self.labels))


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


def class_recalls(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.float64]:
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


@dataclass(frozen=True)
class Score:
    """The scores of one grid point, train and test from the same fitted predictor."""

    train_accuracy: float
    test_accuracy: float
    test_accuracy_low: float
    test_accuracy_high: float
    n: int
    details: dict[str, float] = field(default_factory=dict)

    @property
    def upgradeability(self) -> float:
        """U(f) = P(f, D_test) − P(f, D_train), with accuracy as P."""
        return self.test_accuracy - self.train_accuracy

    def metrics(self) -> dict[str, float]:
        """Return every score under the name it is logged by."""
        return {
            "train/accuracy": self.train_accuracy,
            "test/accuracy": self.test_accuracy,
            "test/accuracy_low": self.test_accuracy_low,
            "test/accuracy_high": self.test_accuracy_high,
            "upgradeability": self.upgradeability,
            "n": float(self.n),
            **self.details,
        }


def score(train: Predictions, test: Predictions, class_names: Sequence[str]) -> Score:
    """Turn the predictions on the subset and on the test set into scores.

    Args:
        train: predictions on the n training samples (plain resubstitution).
        test: predictions on the whole test set.
        class_names: names of the data set's classes; their number bounds the labels.
    """
    classes = len(class_names)
    correct, total = int(np.sum(test.predicted == test.labels)), len(test.labels)
    low, high = wilson_interval(correct, total)
    recalls = class_recalls(test.labels, test.predicted, classes)
    details = {
        "test/balanced_accuracy": float(np.nanmean(recalls)),
        "test/macro_f1": macro_f1(test.labels, test.predicted, classes),
        "train/balanced_accuracy": float(np.nanmean(class_recalls(train.labels, train.predicted, classes))),
        "train/macro_f1": macro_f1(train.labels, train.predicted, classes),
        "test/nll": -float(np.mean(test.log_prob, dtype=np.float64)),
        "train/nll": -float(np.mean(train.log_prob, dtype=np.float64)),
    }
    if test.in_top_k is not None:
        details["test/top5_accuracy"] = float(np.mean(test.in_top_k))
    details |= {
        f"test/class_accuracy/{name}": float(recall)
        for name, recall in zip(class_names, recalls, strict=True)
        if np.isfinite(recall)
    }
    return Score(
        train_accuracy=train.accuracy,
        test_accuracy=correct / total,
        test_accuracy_low=low,
        test_accuracy_high=high,
        n=len(train.labels),
        details=details,
    )


def at_chance(score: Score, labels: ArrayLike) -> str:
    """Say in words that a test accuracy is at chance or can't be told from it; nothing where it can.

    Chance is what always naming the test set's largest class comes to. It is not ruled out where the lower end of
    the 95 % interval does not lie above it; that of a share p lies above c from z² c (1 − c) / (p − c)² samples on.

    Args:
        labels: true classes of the test set, shape (m,).
    """
    tested, p = len(np.asarray(labels)), score.test_accuracy
    chance = float(np.bincount(np.asarray(labels)).max() / tested)
    if score.test_accuracy_low > chance:
        return ""
    largest = f"always the largest class gives {chance:.4f}"
    if p <= chance:
        return f"test accuracy {p:.4f} is at chance: {largest}"
    told = f"test accuracy {p:.4f} can't be told from chance by {samples(tested)} test samples: {largest}"
    needed = ceil(Z_95**2 * chance * (1 - chance) / (p - chance) ** 2)
    return f"{told}; about {about(needed)} would do"
