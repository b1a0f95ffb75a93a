"""One training as a LightningModule: loss, optimiser, schedule, validation, and the test of what came of it."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from scaling.core.reporter import Advance
from scaling.metrics.base import Predictions
from scaling.modalities.base import Batch, Processor
from scaling.tasks.base import Task
from scaling.training.batches import PlainBatches, TrainingBatches
from scaling.training.budget import network_seed, rate_factor
from scaling.training.network import Tuned, check_updates, parameter_groups
from scaling.training.recipe import Recipe


class TuningModule(pl.LightningModule):
    """A network in training. Where it is, is its `step`: all that is random follows from that and the seed.

    A Lightning epoch is a round: the steps from where it is to the end of the round.

    Attributes:
        step: optimiser steps done.
        loss_sum, loss_parts: of the losses since the round began, and their number.
        validation: summed loss, hits and number of the held-out rows seen in the running validation.
    """

    def __init__(
        self, network: Tuned, processor: Processor, task: Task, recipe: Recipe, rate: float, steps: int,
        rounds: tuple[int, ...], batches: TrainingBatches, validation: PlainBatches | None, workers: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.processor, self.task, self.recipe = network, processor, task, recipe
        self.rate, self.steps, self.rounds = rate, steps, rounds
        self.batches, self.validation_batches, self.workers = batches, validation, workers
        self.step = 0
        self.loss_sum, self.loss_parts = torch.zeros(()), 0
        self.validation = torch.zeros(3, dtype=torch.float64)
        self.updates_checked = False

    @property
    def parts(self) -> int:
        """Parts of each batch."""
        return len(self.batches.slices)

    def training_step(self, batch: tuple[Batch, Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a part of a batch."""
        samples, targets, factor = batch
        logits = self.network(self.processor.prepare(samples))
        loss = self.task.loss(logits, self.task.of_rows(targets), self.recipe.label_smoothing) * factor
        self.loss_sum = self.loss_sum.to(loss.device) + loss.detach()
        self.loss_parts += 1
        return loss

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the step's learning rate, and what the network draws."""
        factor = self.rate * rate_factor(self.step, self.steps, self.recipe.warmup)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = factor * group["scale"]
        torch.manual_seed(network_seed(self.step * self.parts + batch_idx % self.parts, self.global_rank, self.seed))

    def on_after_backward(self) -> None:
        """Refuse LoRA's layers that take no part, once: a network may read their weights past their updates."""
        if not self.updates_checked:
            check_updates(self.network)
            self.updates_checked = True

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count the step once all its parts are done."""
        self.step += (batch_idx + 1) % self.parts == 0

    def on_validation_epoch_start(self) -> None:
        """Begin a validation."""
        self.validation = torch.zeros(3, dtype=torch.float64)

    def validation_step(self, batch: tuple[Batch, Tensor], batch_idx: int) -> None:
        """Add up loss and hits of held-out samples."""
        samples, targets = batch[0], self.task.of_rows(batch[1])
        logits = self.network(self.processor.prepare(samples))
        loss, hits = self.task.loss(logits, targets, reduction="sum"), self.task.hits(logits, targets)
        self.validation += torch.tensor([loss.item(), hits.item(), len(targets)], dtype=torch.float64)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW over the groups of parameters."""
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.AdamW(parameter_groups(self.network, self.recipe), lr=self.rate, fused=fused)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of the round that is under way."""
        end = next(end for end in self.rounds if end > self.step)
        return self._loader(self.batches, range(self.step * self.parts, end * self.parts))

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the held-out samples."""
        assert self.validation_batches is not None
        return self._loader(self.validation_batches, range(len(self.validation_batches)))

    @property
    def seed(self) -> int:
        """The seed of the grid point."""
        return self.batches.seed

    def _loader(self, batches: Any, numbers: range) -> DataLoader[Any]:
        # Workers are forked: they see the samples that are held already, and use no accelerator.
        context = "fork" if self.workers else None
        return DataLoader(
            batches, batch_size=None, sampler=numbers, num_workers=self.workers, multiprocessing_context=context
        )


class PredictingModule(pl.LightningModule):
    """Collects a fitted network's predictions, reduced batch by batch to what scores need."""

    def __init__(self, tuned: Tuned, processor: Processor, task: Task, advance: Advance) -> None:
        super().__init__()
        self.tuned, self.processor, self.task, self.advance = tuned, processor, task, advance
        self.parts: list[Predictions] = []

    def test_step(self, batch: tuple[Batch, Tensor], batch_idx: int) -> None:
        """Predict one batch."""
        samples, targets = batch
        logits = self.tuned(self.processor.prepare(samples))
        self.parts.append(self.task.decode(self.task.log_probabilities(logits), targets))
        self.advance(len(targets))
