"""Images at one resolution as uint8: files are decoded and resized once, and kept as long as they fit memory."""

import threading
from collections import deque
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
#: Channels of a decoded image.
CHANNELS = 3


class Decoded:
    """Reads images as uint8 batches of one geometry; those from files are decoded once."""

    def __init__(self, images: Images, preprocessing: Preprocessing, limit: float) -> None:
        self.images, self.preprocessing, self.limit = images, preprocessing, limit
        self.kept: Pixels | None = None  # (N, C, H, W); pages are taken as they are filled
        self.present = np.zeros(len(images), bool)
        self.lock = threading.Lock()

    @property
    def keeps(self) -> bool:
        """Whether images that were read are kept."""
        return self.kept is not None

    def read(self, indices: NDArray[np.int64]) -> "Tensor":
        """Return the images as one uint8 batch (k, C, H, W). Threads may ask at once.

        Raises:
            DataError: a file can't be decoded, or images of several sizes stay so.
        """
        import torch

        if not isinstance(self.images, FileImages):
            return self._made(indices)
        absent = indices[~self.present[indices]]
        if len(absent) and not self._keep(absent, batch := self._made(absent)):
            return batch if len(absent) == len(indices) else self._made(indices)
        assert self.kept is not None
        return torch.from_numpy(self.kept[indices])

    def _made(self, indices: NDArray[np.int64]) -> "Tensor":
        return self.preprocessing.geometry(self.images.read(indices))

    def _keep(self, indices: NDArray[np.int64], batch: "Tensor") -> bool:
        """Keep images, and say whether that could be done."""
        with self.lock:
            if self.kept is None:
                if len(self.images) * batch[0].nbytes > self.limit:
                    return False
                self.kept = np.empty((len(self.images), *batch.shape[1:]), np.uint8)
        if self.kept.shape[1:] != batch.shape[1:]:  # images that nothing resizes may differ from batch to batch
            return False
        self.kept[indices] = batch.numpy()
        self.present[indices] = True
        return True


def kept_bytes(images: int, each: int) -> int:
    """Return the bytes that a split's decoded images are kept in, `each` bytes an image; 0 where they aren't kept."""
    return images * each if images * each <= MEMORY_SHARE * (machine.memory() or 0) else 0


#: The readers used last: those of training and test images.
_readers: deque[Decoded] = deque(maxlen=2)


def decoded(images: Images, preprocessing: Preprocessing) -> Decoded:
    """Return the reader of these images at this geometry; models that share both share it.

    Only the same object counts as the same images: files that changed since it was made are found by reading the
    data set again, under the same paths but in another object.
    """
    if not isinstance(images, FileImages):
        return Decoded(images, preprocessing, 0)
    geometry = preprocessing.geometry_only()
    for reader in _readers:
        if reader.images is images and reader.preprocessing == geometry:
            return reader
    _readers.append(Decoded(images, geometry, MEMORY_SHARE * (machine.memory() or 0)))
    return _readers[-1]
