"""The frozen forward pass: a Lightning prediction over whole uint8 batches, written to the store as it goes."""

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from scaling.data.base import Images
from scaling.data.preprocessing import Preprocessing
from scaling.features.store import FeatureEntry
from scaling.lightning import quiet_trainer
from scaling.models.base import Backbone

#: Rows are made durable about this often: what a killed job loses at most, in seconds of work.
FLUSH_SECONDS = 1.0


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """Whole batches: reads and resizes the images of one batch at a time, still as uint8."""

    def __init__(
        self, images: Images, indices: NDArray[np.int64], batch_size: int, preprocessing: Preprocessing
    ) -> None:
        self.images, self.preprocessing = images, preprocessing
        self.batches = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        indices = self.batches[position]
        return torch.from_numpy(indices), self.preprocessing.geometry(self.images.read(indices))


class FeatureModule(pl.LightningModule):
    """A frozen backbone behind its normalisation."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network, self.preprocessing = network, preprocessing

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> tuple[Tensor, Tensor]:
        """Return the batch's indices and features (k, d)."""
        indices, images = batch
        normalised = self.preprocessing.normalise(images).to(memory_format=torch.channels_last)
        dtype = next((parameter.dtype for parameter in self.network.parameters()), normalised.dtype)
        return indices, self.network(normalised.to(dtype)).flatten(1).float()


class StoreWriter(pl.Callback):
    """Writes predicted rows to the store about once a second, and at the end."""

    def __init__(self, entry: FeatureEntry, advance: Callable[[int], None]) -> None:
        self.entry, self.advance = entry, advance
        self.waiting: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self.flushed = time.monotonic()

    def on_predict_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, *_: Any) -> None:
        """Take a batch's rows."""
        indices, features = outputs
        self.waiting.append((indices.cpu().numpy(), features.cpu().numpy()))
        self.advance(len(indices))
        if time.monotonic() - self.flushed >= FLUSH_SECONDS:
            self.flush()

    def on_predict_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Write what is left."""
        self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self.waiting:
            indices, features = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
            self.entry.write(indices, features)
        self.waiting.clear()
        self.flushed = time.monotonic()


def compute(
    entry: FeatureEntry,
    backbone: Backbone,
    preprocessing: Preprocessing,
    images: Images,
    indices: NDArray[np.int64],
    batch_size: int,
    trainer: dict[str, Any],
    advance: Callable[[int], None],
) -> None:
    """Compute the features of some images and write them to an entry of the store.

    Args:
        indices: which images, ascending, shape (k,).
        trainer: keyword arguments of the Lightning Trainer; its precision is that of the pass.
        advance: called with the number of rows done, batch by batch.
    """
    network = backbone.network
    if trainer.get("precision") not in (None, "32-true"):
        network = copy.deepcopy(network)  # a true half precision rounds the weights in place
    network = network.to(memory_format=torch.channels_last)
    loader = DataLoader(Batches(images, indices, batch_size, preprocessing), batch_size=None)
    writer = StoreWriter(entry, advance)
    runner = quiet_trainer(**trainer, callbacks=[writer])
    runner.predict(FeatureModule(network, preprocessing), loader, return_predictions=False)


@torch.inference_mode()
def width(backbone: Backbone, preprocessing: Preprocessing, images: Images) -> int:
    """Return the number of features of one image, without a pass where the head tells it."""
    if backbone.head is not None:
        return backbone.head.in_features
    batch = preprocessing.normalise(preprocessing.geometry(images.read(np.array([0]))))
    return int(backbone.network(batch).flatten(1).shape[1])
