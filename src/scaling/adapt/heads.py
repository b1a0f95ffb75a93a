"""Test a fitted head over stored features with Lightning: what every frozen adaptation ends in."""

from collections.abc import Callable

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scaling.adapt.base import Context, Subset
from scaling.core.reporter import Advance
from scaling.metrics.base import Predictions
from scaling.tasks.base import Targets, Task

#: Elements of a batch's features; bounds the memory of a pass.
BATCH_ELEMENTS = 1 << 23

#: A fitted predictor: features (k, d) to log-probabilities (k, outputs).
Head = Callable[[Tensor], Tensor]


class FeatureBatches(Dataset[tuple[Tensor, Tensor]]):
    """Consecutive blocks of features and targets, already in memory."""

    def __init__(self, features: NDArray[np.float32], targets: Targets) -> None:
        self.features, self.targets = features, targets
        self.size = max(1, BATCH_ELEMENTS // max(1, features.shape[1]))

    def __len__(self) -> int:
        return -(-len(self.features) // self.size)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        rows = slice(position * self.size, (position + 1) * self.size)
        return torch.from_numpy(self.features[rows]), torch.from_numpy(self.targets[rows])


class HeadModule(pl.LightningModule):
    """Collects a head's predictions, reduced batch by batch to what scores need."""

    def __init__(self, head: Head, task: Task, advance: Advance) -> None:
        super().__init__()
        self.head, self.task, self.advance = head, task, advance
        self.parts: list[Predictions] = []

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Predict one batch."""
        features, targets = batch
        self.parts.append(self.task.decode(self.head(features), targets))
        self.advance(len(targets))


def predict(head: Head, features: NDArray[np.float32], targets: Targets, context: Context, stage: str) -> Predictions:
    """Run a head over features in a Lightning test loop.

    Args:
        head: maps features (k, d) to log-probabilities (k, outputs), on the device of its input.
        features, targets: of m samples, (m, d) and one row each.
        stage: what the reporter calls it.
    """
    with context.reporter.stage(stage, total=len(targets)) as advance:
        module = HeadModule(head, context.task, advance)
        batches = FeatureBatches(features, targets)
        loader = DataLoader(batches, batch_size=None, generator=torch.Generator())
        context.tester.test(module, loader, verbose=False)
        del batches.features  # the Trainer holds its last loader
    return Predictions.concatenate(module.parts)


def predict_both(head: Head, context: Context, subset: Subset) -> tuple[Predictions, Predictions]:
    """Return what a head says of the subset and of the test set, by their frozen features."""
    return (
        predict(head, context.train_features(subset), subset.targets, context, "predict train"),
        predict(head, context.test_features(), context.dataset.test.targets, context, "predict test"),
    )


def linear_head(
    task: Task, weight: Tensor, bias: Tensor, mean: Tensor | None = None, scale: Tensor | None = None
) -> Head:
    """Return the head with the logits x Wᵀ + b, in log-probabilities; shapes (outputs, d) and (outputs,).

    Args:
        mean, scale: (d,), by which features are standardised first; rounding then depends on neither.
    """

    def head(features: Tensor) -> Tensor:
        if mean is not None and scale is not None:
            features = (features - mean.to(features.device)).div_(scale.to(features.device))
        logits = torch.nn.functional.linear(features, weight.to(features.device), bias.to(features.device))
        return task.log_probabilities(logits)

    return head
