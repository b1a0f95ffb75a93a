"""Images as samples: arrays in memory, or files that are decoded when they are read."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.core.duplicates import keys
from scaling.core.errors import DataError
from scaling.modalities.base import Samples
from scaling.modalities.images.decoding import AS_THEY_ARE, Pixels, Seen, Viewing, decode, look

#: The modality, and the one tensor of a batch of images.
IMAGES = "images"


class Images(Samples, Protocol):
    """N images that are read by index as uint8, height × width × channels (1 or 3)."""

    def read(self, indices: NDArray[np.int64]) -> Pixels | list[Pixels]:
        """Return the images: one array (k, H, W, C) where all have one size, else a list of (H, W, C)."""
        ...


@dataclass(frozen=True)
class ArrayImages(Images):
    """Images of one size held in memory, shape (N, H, W, C)."""

    pixels: Pixels

    modality: ClassVar[str] = IMAGES

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: NDArray[np.int64]) -> Pixels:
        """Return the images as one array."""
        return self.pixels[indices]

    def taken(self, indices: NDArray[np.int64]) -> "ArrayImages":
        """Return some of the images."""
        return ArrayImages(self.pixels[indices])

    def content(self) -> str:
        """Return the SHA-256 of shape and pixels."""
        hashed = hashlib.sha256(repr(self.pixels.shape).encode())
        hashed.update(np.ascontiguousarray(self.pixels).data)
        return hashed.hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each image."""
        return keys(self.pixels, len(self))


@dataclass(frozen=True)
class FileImages(Images):
    """Image files of any size, decoded to RGB when they are read."""

    paths: tuple[Path, ...]
    viewing: Viewing = AS_THEY_ARE
    #: Time and size of the files when they were hashed.
    _hashed: dict[Path, Hashable] = field(default_factory=dict, init=False, repr=False, compare=False)
    #: Those that were found to be other ones since.
    _changed: list[Path] = field(default_factory=list, init=False, repr=False, compare=False)

    modality: ClassVar[str] = IMAGES

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: NDArray[np.int64]) -> list[Pixels]:
        """Return the images, each of its own size.

        Raises:
            DataError: a file can't be decoded, or is another one than the content was made of.
        """
        images = [decode(self.paths[index], self.viewing) for index in indices]
        hashed = {path: self._hashed[path] for index in indices if (path := self.paths[index]) in self._hashed}
        if changed := [path for path, state in hashed.items() if _state(path) != state]:
            self._changed.extend(changed)
            raise DataError(
                f"{changed[0]} changed after the data set was read: its content is not the point's any more.\n"
                "Start the same command again, once the files are complete."
            )
        return images

    def taken(self, indices: NDArray[np.int64]) -> "FileImages":
        """Return some of the files, which are not looked at again."""
        found = FileImages(tuple(self.paths[index] for index in indices), self.viewing)
        found.__dict__["seen"] = tuple(self.seen[index] for index in indices)
        found._hashed.update(self._hashed)
        return found

    @property
    def stale(self) -> bool:
        """Whether a file was found changed when it was read."""
        return bool(self._changed)

    def place(self, index: int) -> str:
        """Return the path of an image."""
        return str(self.paths[index])

    @cached_property
    def seen(self) -> tuple[Seen, ...]:
        """What one look at each file tells.

        Raises:
            DataError: a file is no image that can be read.
        """
        # Before they are read: what changes meanwhile counts as changed.
        self._hashed.update((path, _state(path)) for path in self.paths)
        return tuple(look(path, self.viewing) for path in self.paths)

    def content(self) -> str:
        """Return the SHA-256 over what each file holds. File names don't count: only what is seen does."""
        return hashlib.sha256(b"".join(seen.content for seen in self.seen)).hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each file."""
        return keys((seen.content for seen in self.seen), len(self))


def _state(path: Path) -> Hashable:
    """Return what changes when a file is written; nothing of one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
