"""Images at one resolution as uint8: files are decoded and resized once, and kept as long as they fit memory."""

import threading
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling import machine
from scaling.modalities.base import Reader
from scaling.modalities.images.decoding import Pixels
from scaling.modalities.images.preprocessing import Preprocessing
from scaling.modalities.images.samples import IMAGES, ArrayImages, FileImages, Images

if TYPE_CHECKING:
    from torch import Tensor

    from scaling.modalities.base import Batch, Read

#: Share of the machine's memory that decoded images may take.
MEMORY_SHARE = 0.25
#: Channels of a decoded image.
CHANNELS = 3
#: Images that are read and resized at once.
BLOCK = 256


class Decoded(Reader):
    """Reads images as uint8 batches of one geometry; those from files are decoded once."""

    def __init__(self, images: Images, preprocessing: Preprocessing, limit: float) -> None:
        self.images, self.preprocessing, self.limit = images, preprocessing, limit
        self.kept: Pixels | None = None  # (N, C, H, W); pages are taken as they are filled
        self.present = np.zeros(len(images), bool)
        self.lock = threading.Lock()

    @property
    def slow(self) -> bool:
        """Whether files are decoded."""
        return isinstance(self.images, FileImages)

    @property
    def kept_bytes(self) -> int:
        """Bytes that are held once all images were read; 0 where they aren't kept."""
        if not self.slow:
            return self.images.pixels.nbytes if isinstance(self.images, ArrayImages) else 0
        side = self.preprocessing.crop or self.preprocessing.resize
        size = len(self.images) * CHANNELS * side * side if side else 0
        return size if size <= self.limit else 0

    def read(self, indices: NDArray[np.int64]) -> "Batch":
        """Return images as one uint8 batch (k, C, H, W). Threads may ask at once."""
        return {IMAGES: self.pixels(indices)}

    def held(self, indices: NDArray[np.int64]) -> "Read":
        """Return a reader by place: images are decoded and resized once, unless they would take too much memory."""
        import torch

        first = self.pixels(indices[:BLOCK])
        if self.kept is None and len(indices) * first[0].nbytes > MEMORY_SHARE * (machine.memory() or 0):
            return lambda places: self.read(indices[places])
        blocks = (self.pixels(indices[start : start + BLOCK]) for start in range(BLOCK, len(indices), BLOCK))
        if self.kept is not None:  # they are read all the same, before the loader's workers each begin to
            deque(blocks, maxlen=0)
            return lambda places: self.read(indices[places])
        pixels = torch.cat([first, *blocks])
        return lambda places: {IMAGES: pixels[torch.from_numpy(places)]}

    def pixels(self, indices: NDArray[np.int64]) -> "Tensor":
        """Return images as a uint8 tensor (k, C, H, W).

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
