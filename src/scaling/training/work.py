"""What is to be trained and what comes of it: plain values, so that both can be sent to other processes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.base import Dataset
from scaling.metrics.classification import Predictions
from scaling.models.base import ModelSource
from scaling.training.budget import best_round
from scaling.training.recipe import LoraSettings, Recipe, TrainingSettings

#: A linear head: weight (classes, d) and bias (classes,).
HeadArrays = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Work:
    """A network to be trained on a subset.

    Attributes:
        indices, labels: the n samples, shapes (n,).
        held_out: which of them are held out while rate and steps are chosen, shape (n,); None chooses nothing.
        heads: heads to start from, fitted on the samples not held out, and on all; None for fresh ones.
        precision: resolved.
        trainer: keyword arguments of the Lightning Trainer, for one process.
    """

    recipe: Recipe
    lora: LoraSettings | None
    dataset: Dataset
    model: ModelSource
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    seed: int
    held_out: NDArray[np.bool_] | None
    heads: tuple[HeadArrays | None, HeadArrays | None]
    precision: str
    trainer: dict[str, Any]
    settings: TrainingSettings

    @property
    def batches(self) -> tuple[int, ...]:
        """Samples of a step, in the final fit and, where rates are tried, without the samples that are held out."""
        n = len(self.indices)
        batch = self.recipe.budget(n).batch
        return (batch,) if self.held_out is None else (batch, min(batch, n - int(self.held_out.sum())))


@dataclass(frozen=True)
class Round:
    """What was seen at the end of a round; validation figures are None where nothing is held out."""

    step: int
    loss: float
    validation_loss: float | None = None
    validation_hits: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A learning rate and the rounds trained with it, up to where it stopped."""

    rate: float
    rounds: tuple[Round, ...]

    @property
    def losses(self) -> list[float]:
        """Validation log-loss after each round."""
        return [float("nan") if end.validation_loss is None else end.validation_loss for end in self.rounds]

    @property
    def best(self) -> Round:
        """The round with the lowest validation loss."""
        return self.rounds[best_round(self.losses)]

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being a number."""
        return not np.isfinite(self.rounds[-1].loss)


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        train, test: predictions of the fitted network on the subset and the test set, or a process's share of them.
        rate, steps: the learning rate taken, and the steps of the final fit.
        candidates: the rates that were tried.
        metrics: throughput, parameters, memory.
    """

    train: Predictions
    test: Predictions
    rate: float
    steps: int
    candidates: tuple[Candidate, ...]
    metrics: dict[str, float] = field(default_factory=dict)


def rearranged(found: Predictions, places: NDArray[np.int64]) -> Predictions:
    """Return predictions in another order."""
    arrays: dict[str, Any] = {field.name: getattr(found, field.name) for field in fields(found)}
    return replace(found, **{name: values[places] for name, values in arrays.items() if values is not None})


def interleaved(shares: Sequence[Predictions]) -> Predictions:
    """Join the shares of W processes, of which process r predicted the samples r, r + W, r + 2W, …"""
    tops, every = [share.in_top_k for share in shares], [share.log_probs for share in shares]
    return Predictions(
        labels=_woven([share.labels for share in shares]),
        predicted=_woven([share.predicted for share in shares]),
        log_prob=_woven([share.log_prob for share in shares]),
        in_top_k=None if tops[0] is None else _woven([top for top in tops if top is not None]),
        log_probs=None if every[0] is None else _woven([found for found in every if found is not None]),
    )


def _woven(shares: Sequence[NDArray[Any]]) -> NDArray[Any]:
    joined = np.empty((sum(map(len, shares)), *shares[0].shape[1:]), shares[0].dtype)
    for first, share in enumerate(shares):
        joined[first :: len(shares)] = share
    return joined
