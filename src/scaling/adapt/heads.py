"""Test a fitted head over stored features with Lightning: what every frozen adaptation ends in."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scaling.core.reporter import Advance, Reporter
from scaling.lightning import quiet_trainer, reduce
from scaling.metrics.classification import Predictions

#: Elements of a batch's features; bounds the memory of a pass.
BATCH_ELEMENTS = 1 << 23

#: A fitted predictor: features (k, d) to log-probabilities (k, outputs).
Head = Callable[[Tensor], Tensor]


class FeatureBatches(Dataset[tuple[Tensor, Tensor]]):
    """Consecutive blocks of features and labels, already in memory."""

    def __init__(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self.features, self.labels = features, labels
        self.size = max(1, BATCH_ELEMENTS // max(1, features.shape[1]))

    def __len__(self) -> int:
        return -(-len(self.features) // self.size)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        rows = slice(position * self.size, (position + 1) * self.size)
        return torch.from_numpy(self.features[rows]), torch.from_numpy(self.labels[rows])


class HeadModule(pl.LightningModule):
    """Collects a head's predictions, reduced batch by batch to what scores need."""

    def __init__(self, head: Head, advance: Advance) -> None:
        super().__init__()
        self.head, self.advance = head, advance
        self.parts: list[Predictions] = []

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Predict one batch."""
        features, labels = batch
        self.parts.append(reduce(self.head(features), labels))
        self.advance(len(labels))


def predict(
    head: Head,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    trainer: dict[str, Any],
    reporter: Reporter,
    stage: str,
) -> Predictions:
    """Run a head over features in a Lightning test loop.

    Args:
        head: maps features (k, d) to log-probabilities (k, outputs), on the device of its input.
        features, labels: shapes (m, d) and (m,).
        trainer: keyword arguments of the Lightning Trainer.
        stage: what the reporter calls it.
    """
    with reporter.stage(stage, total=len(labels)) as advance:
        module = HeadModule(head, advance)
        loader = DataLoader(FeatureBatches(features, labels), batch_size=None, generator=torch.Generator())
        quiet_trainer(**trainer).test(module, loader, verbose=False)
    return Predictions.concatenate(module.parts)


def linear_head(weight: Tensor, bias: Tensor, mean: Tensor | None = None, scale: Tensor | None = None) -> Head:
    """Return the head softmax(x Wᵀ + b), in log-probabilities; shapes (outputs, d) and (outputs,).

    Args:
        mean, scale: (d,), by which features are standardised first; rounding then depends on neither.
    """

    def head(features: Tensor) -> Tensor:
        if mean is not None and scale is not None:
            features = (features - mean.to(features.device)).div_(scale.to(features.device))
        logits = torch.nn.functional.linear(features, weight.to(features.device), bias.to(features.device))
        return torch.log_softmax(logits, dim=1)

    return head
