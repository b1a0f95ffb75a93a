"""What is to be trained and what comes of it: plain values, so that both can be sent to other processes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.datasets.base import Dataset
from scaling.metrics.base import Predictions
from scaling.models.base import ModelSource
from scaling.tasks.base import Targets
from scaling.training.budget import best_round
from scaling.training.recipe import LoraSettings, Recipe, TrainingSettings

#: A linear head: weight (classes, d) and bias (classes,).
HeadArrays = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Work:
    """A network to be trained on a subset.

    Attributes:
        indices, targets: the n samples, (n,), and what is true of them.
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
    targets: Targets
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
