"""Metrics of several labels a sample. Arrays in, named numbers out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.metrics import base
from scaling.metrics.base import MOST_CLASSES, Measures, Metric, Score, ratio, score
from scaling.metrics.ranking import average_precision, by_class

PRIMARY = Metric("average_precision", "macro average precision")
HITS = Metric("label_accuracy", "label accuracy", complement="label error")
METRICS = (
    PRIMARY,
    Metric("auroc", "macro AUROC"),
    Metric("micro_f1", "micro-F1"),
    Metric("macro_f1", "macro-F1"),
    HITS,
    Metric("nll", "negative log-likelihood", higher_is_better=False, bounds=(0.0, float("inf"))),
    Metric("brier", "Brier score", higher_is_better=False),
    Metric("average_precision/", "average precision of label"),
    Metric("auroc/", "AUROC of label"),
)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions(base.Predictions):
    """What a predictor says of m samples and k labels.

    Attributes:
        labels: which sample has which label, 0 or 1, shape (m, k).
        log_probs: natural logarithm of the probability that a sample has a label, shape (m, k).
    """

    log_probs: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Labels that are more probable than not."""
        return self.log_probs > log(0.5)

    @property
    def primary(self) -> float:
        """Mean average precision of the labels that some sample has; NaN where none has any."""
        columns = zip(self.labels.astype(bool).T, self.log_probs.T, strict=True)
        found = [average_precision(has, scores).mean() for has, scores in columns if has.any()]
        return float(np.mean(found)) if found else float("nan")

    @property
    def log_loss(self) -> float:
        """Mean negative log-likelihood of a label."""
        return float(_losses(self).mean())

    @property
    def finite(self) -> bool:
        """Whether every probability is a number."""
        return bool(np.isfinite(self.log_probs).all())

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return which labels samples have, which are predicted, and how probable they were held."""
        return {
            "labels": self.labels.astype(np.uint8),
            "predicted": self.predicted.astype(np.uint8),
            "log_probs": self.log_probs.astype(np.float32),
        }


def measure(found: Predictions, names: Sequence[str]) -> Measures:
    """Return every metric that predictions tell; a label that no sample has counts in no mean over labels."""
    has, predicted = found.labels.astype(bool), found.predicted
    hits, size = 2.0 * (has & predicted), has.astype(float) + predicted
    told = has.any(0)
    of_labels = ratio(hits, size)[:, told]
    samples: dict[str, NDArray[np.floating]] = {
        **by_class(has.T, found.log_probs, names),
        "micro_f1": ratio(hits.sum(1), size.sum(1)),
        **({"macro_f1": of_labels.mean(1)} if told.any() else {}),
        HITS.name: (has == predicted).mean(1),
        "nll": _losses(found).mean(1),
        "brier": ((np.exp(found.log_probs, dtype=float) - has) ** 2).mean(1),
    }
    values = {name: float(np.mean(of, dtype=np.float64)) for name, of in samples.items()}
    kept = {name: of for name, of in samples.items() if "/" not in name or len(names) <= MOST_CLASSES}
    return Measures({PRIMARY.name: float("nan"), **values}, kept)


def scored(train: Predictions, test: Predictions, names: Sequence[str]) -> Score:
    """Turn the predictions on the subset (plain resubstitution) and on the whole test set into scores."""
    return score(measure(train, names), measure(test, names), len(train), METRICS)


def at_chance(found: Score, labels: NDArray[Any]) -> str:
    """Say in words that a test score is at chance or can't be told from it; nothing where it can.

    Chance is the average precision of scores that say nothing: the share of samples that have a label.

    Args:
        labels: which test sample has which label, shape (m, k).
    """
    shares = labels.mean(0)
    chance, values = float(shares[shares > 0].mean()), found.samples.get(PRIMARY.name, np.zeros(1))
    how = "the base rates of the labels give"
    return base.at_chance(found, PRIMARY, chance, how, len(labels), float(values.var()))


def _losses(found: Predictions) -> Floats:
    """Return the negative log-likelihood of each sample and label, (m, k)."""
    # A probability that was rounded to 1 is as far from it as 32-bit floats can say.
    logs = np.minimum(found.log_probs.astype(float), -np.finfo(np.float32).smallest_subnormal)
    return -np.where(found.labels.astype(bool), logs, np.log(-np.expm1(logs)))
