"""Batches of training and of plain samples, each a pure function of its number."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from scaling.modalities.base import Batch, Read
from scaling.tasks.base import Targets
from scaling.training.budget import batch_positions, parts, sample_seeds

#: Augments samples, each by its own seed.
Augment = Callable[[Batch, NDArray[np.int64]], Batch]


@dataclass(frozen=True)
class Share:
    """The part of each batch that one of several processes takes: every `processes`-th sample, from `rank` on."""

    rank: int = 0
    processes: int = 1

    def of(self, count: int) -> NDArray[np.int64]:
        """Return this process's places among `count`."""
        return np.arange(self.rank, count, self.processes)


class TrainingBatches(Dataset[tuple[Batch, Tensor, Tensor]]):
    """Augmented parts of batches by number: part p of step s is number s · parts + p.

    Each comes as samples, targets, and the factor that makes the mean over parts and processes that of the batch.

    Attributes:
        sizes: rows of features that each sample has, (n,), for losses are means over rows.
    """

    def __init__(
        self, read: Read, targets: Targets, batch: int, micro_batch: int | None, seed: int,
        augment: Augment, share: Share, sizes: NDArray[np.int64] | None = None,
    ) -> None:  # fmt: skip
        self.read, self.targets, self.batch, self.seed = read, targets, batch, seed
        self.sizes = np.ones(len(targets), np.int64) if sizes is None else sizes
        self.augment, self.share = augment, share
        self.slices = parts(batch, micro_batch)

    def __getitem__(self, number: int) -> tuple[Batch, Tensor, Tensor]:
        step, part = divmod(number, len(self.slices))
        taken = self.slices[part]
        positions = batch_positions(len(self.targets), self.batch, step, self.seed)
        places = positions[taken]
        mine = self.share.of(len(places))
        rows, of_all = (int(self.sizes[found].sum()) for found in (places[mine], positions))
        factor = rows * len(self.slices) * self.share.processes / of_all
        if len(mine) == 0:  # more processes than samples: this one's counts for nothing
            mine = np.array([0])
        seeds = sample_seeds(step, self.batch, self.seed)[taken][mine]
        samples = self.augment(self.read(places[mine]), seeds)
        return samples, torch.from_numpy(self.targets[places[mine]]), torch.tensor(factor)


class PlainBatches(Dataset[tuple[Batch, Tensor]]):
    """Consecutive blocks of a process's share of samples, not augmented, with their targets."""

    def __init__(self, read: Read, targets: Targets, size: int, share: Share) -> None:
        self.read, self.targets, self.size = read, targets, size
        self.places = share.of(len(targets))

    def __len__(self) -> int:
        return -(-len(self.places) // self.size)

    def __getitem__(self, number: int) -> tuple[Batch, Tensor]:
        if number >= len(self):
            raise IndexError(number)
        places = self.places[number * self.size : (number + 1) * self.size]
        return self.read(places), torch.from_numpy(self.targets[places])
