"""Images at one resolution as uint8: files are decoded and resized once, and kept as long as they fit memory."""

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling import machine
from scaling.data.base import FileImages, Images, Pixels
from scaling.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

#: Share of the machine's memory that decoded images may take.
MEMORY_SHARE = 0.25


class Decoded:
    """Reads images as uint8 batches of one geometry; those from files are decoded once."""

    def __init__(self, images: Images, preprocessing: Preprocessing, limit: float) -> None:
        self.images, self.preprocessing, self.limit = images, preprocessing, limit
        self.kept: Pixels | None = None  # (N, C, H, W); pages are taken as they are filled
        self.present = np.zeros(len(images), bool)
        self.lock = threading.Lock()

    def read(self, indices: NDArray[np.int64]) -> "Tensor":
        """Return the images as one uint8 batch (k, C, H, W). Threads may ask at once.

        Raises:
            DataError: a file can't be decoded, or images of several sizes stay so.
        """
        import torch

        if self.kept is not None and self.present[indices].all():
            return torch.from_numpy(self.kept[indices])
        batch = self.preprocessing.geometry(self.images.read(indices))
        if isinstance(self.images, FileImages):
            self._keep(indices, batch.numpy())
        return batch

    def _keep(self, indices: NDArray[np.int64], batch: Pixels) -> None:
        with self.lock:
            if self.kept is None:
                if len(self.images) * batch[0].nbytes > self.limit:
                    return
                self.kept = np.empty((len(self.images), *batch.shape[1:]), np.uint8)
        if self.kept.shape[1:] == batch.shape[1:]:  # images that nothing resizes may differ from batch to batch
            self.kept[indices] = batch
            self.present[indices] = True


@lru_cache(maxsize=2)
def _decoded(images: Images, geometry: Preprocessing) -> Decoded:
    return Decoded(images, geometry, MEMORY_SHARE * (machine.memory() or 0))


def decoded(images: Images, preprocessing: Preprocessing) -> Decoded:
    """Return the reader of these images at this geometry; models that share both share it."""
    if not isinstance(images, FileImages):
        return Decoded(images, preprocessing, 0)
    return _decoded(images, preprocessing.geometry_only())
