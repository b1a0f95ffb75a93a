"""Metrics of spans within a sample, such as names in a sentence: a span counts where type and both ends are right.

Tags are numbers: 0 outside, 1 + 2t the first word of a span of type t, 2 + 2t a further one, −1 beyond a sample's end.
A further word that doesn't continue a span of its type belongs to none, as in the strict mode of seqeval with IOB2.

Source: Tjong Kim Sang and De Meulder (2003), Introduction to the CoNLL-2003 shared task, CoNLL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaling.metrics import base
from scaling.metrics.base import MOST_CLASSES, Floats, Measures, Metric, Score, ratio, score

OUTSIDE, BEYOND = 0, -1
PRIMARY = Metric("span_f1", "span F1")
HITS = Metric("token_accuracy", "tag accuracy", complement="tag error")
METRICS = (
    PRIMARY,
    Metric("span_precision", "span precision"),
    Metric("span_recall", "span recall"),
    HITS,
    Metric("nll", "negative log-likelihood", higher_is_better=False, bounds=(0.0, float("inf"))),
    Metric("span_f1/", "span F1 of type"),
)


class Spans(NamedTuple):
    """Where spans begin: type and length of the one that begins at a word, −1 and 0 where none does, (m, L) each."""

    types: NDArray[np.int64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class Predictions(base.Predictions):
    """What a predictor says of the words of m samples, none longer than L.

    Attributes:
        labels, predicted: tags, shape (m, L).
        log_prob: natural logarithm of the probability given to each true tag, 0 beyond the end, shape (m, L).
    """

    predicted: NDArray[np.int64]
    log_prob: NDArray[np.float32]

    @property
    def primary(self) -> float:
        """F1 over the spans of all samples; 0 where there are none."""
        return _f1(*(float(of.sum()) for of in counted(self)))[0]

    @property
    def log_loss(self) -> float:
        """Mean negative logarithm of the probability given to a word's true tag."""
        return -float(self.log_prob.sum(dtype=np.float64)) / max(1, int((self.labels != BEYOND).sum()))

    @property
    def finite(self) -> bool:
        """Whether the probability of each true tag is a number."""
        return bool(np.isfinite(self.log_prob).all())

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return true and predicted tags, and what was given to the true ones."""
        return {
            "labels": self.labels.astype(np.int16),
            "predicted": self.predicted.astype(np.int16),
            "log_prob": self.log_prob.astype(np.float32),
        }


def spans(tags: NDArray[np.integer[Any]]) -> Spans:
    """Return the spans of tags (m, L).

    >>> spans(np.array([[1, 2, 4, 3]])).lengths.tolist()
    [[2, 0, 0, 1]]
    """
    tags = np.asarray(tags, np.int64)
    begins, goes_on = (tags > 0) & (tags % 2 == 1), (tags > 0) & (tags % 2 == 0)
    run, same = np.zeros(tags.shape, np.int64), tags + begins
    for place in range(tags.shape[1] - 2, -1, -1):  # words after this one that continue its span
        follows = goes_on[:, place + 1] & (same[:, place] == tags[:, place + 1])
        run[:, place] = np.where(follows, 1 + run[:, place + 1], 0)
    return Spans(np.where(begins, (tags - 1) // 2, -1), np.where(begins, 1 + run, 0))


def counted(found: Predictions, type_: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Return each sample's spans that are found right, that are predicted, and that are true, (m,) each.

    Args:
        type_: of one type alone.
    """
    true, said = spans(found.labels), spans(found.predicted)
    right = (true.lengths > 0) & (true.types == said.types) & (true.lengths == said.lengths)
    counts = [right & (true.types == type_) if type_ is not None else right]
    counts += [of.lengths > 0 if type_ is None else of.types == type_ for of in (said, true)]
    hit, claimed, there = (count.sum(1).astype(float) for count in counts)
    return hit, claimed, there


def _f1(hit: float, claimed: float, there: float) -> tuple[float, float, float]:
    """Return F1, precision and recall, each 0 where it is 0/0; rounded as seqeval does."""
    precision, recall = hit / (claimed or 1.0), hit / (there or 1.0)
    return 2.0 * precision * recall / ((precision + recall) or 1.0), precision, recall


def measure(found: Predictions, types: Sequence[str]) -> Measures:
    """Return every metric that predictions tell; a type that is neither there nor predicted has none."""
    words = (found.labels != BEYOND).astype(float)
    hit, claimed, there = counted(found)
    hits = ((found.labels == found.predicted) * words).sum(1)
    samples: dict[str, Floats] = {
        PRIMARY.name: ratio(2 * hit, claimed + there),
        "span_precision": ratio(hit, claimed),
        "span_recall": ratio(hit, there),
        HITS.name: ratio(hits, words.sum(1)),
        "nll": ratio(-found.log_prob.sum(1, dtype=np.float64), words.sum(1)),
    }
    values = {name: float(np.mean(of, dtype=np.float64)) for name, of in samples.items()}
    totals = _f1(*(float(of.sum()) for of in (hit, claimed, there)))
    values |= dict(zip((PRIMARY.name, "span_precision", "span_recall"), totals, strict=True))
    for number, name in enumerate(types):
        hit, claimed, there = counted(found, number)
        if (claimed + there).any():
            values[f"span_f1/{name}"] = _f1(*(float(of.sum()) for of in (hit, claimed, there)))[0]
            if len(types) <= MOST_CLASSES:
                samples[f"span_f1/{name}"] = ratio(2 * hit, claimed + there)
    return Measures(values, samples)


def scored(train: Predictions, test: Predictions, types: Sequence[str]) -> Score:
    """Turn the predictions on the subset (plain resubstitution) and on the whole test set into scores."""
    return score(measure(train, types), measure(test, types), len(train), METRICS)


def at_chance(found: Score) -> str:
    """Say in words that a test score can't be told from that of naming no span, which is 0."""
    values = found.samples.get(PRIMARY.name, np.zeros(1))
    return base.at_chance(found, PRIMARY, 0.0, "naming nothing gives", len(values), float(values.var()))
