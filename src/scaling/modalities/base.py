"""What every modality says: samples that are known by content, and a processor that makes batches of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

#: Tensors by name, each with one row a sample.
Batch = dict[str, "Tensor"]
#: Reads samples as one batch on the CPU, by index or by place.
Read = Callable[[NDArray[np.int64]], Batch]


class Samples(Protocol):
    """N samples, known by content; nothing here knows of models. Modalities subclass it."""

    modality: ClassVar[str]

    def __len__(self) -> int: ...

    def content(self) -> str:
        """Return the SHA-256 of all samples, in order."""
        ...

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each sample, (N,), equal for equal samples and no others, on any machine."""
        ...

    def taken(self, indices: NDArray[np.int64]) -> "Samples":
        """Return some of the samples as samples of their own."""
        ...

    @property
    def stale(self) -> bool:
        """Whether samples were found to be others than their content was made of."""
        return False

    def place(self, index: int) -> str:
        """Say where a sample is found; empty where nothing names the place."""
        return ""

    def glimpse(self, index: int) -> str:
        """Say by what a person knows a sample: its place, or how it begins; empty where nothing names it."""
        return self.place(index)

    def described(self) -> str:
        """Say in a few words what is particular about these samples; empty where nothing is."""
        return ""


class Reader(Protocol):
    """Some samples as one model takes them; subclasses say what differs from samples of one length."""

    @property
    def slow(self) -> bool:
        """Whether reading takes a processor long, so that threads read ahead."""
        ...

    @property
    def kept_bytes(self) -> int:
        """Bytes that are held once all samples were read."""
        ...

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """Return samples as one batch on the CPU. Threads may ask at once.

        Raises:
            DataError: a sample can't be read.
        """
        ...

    def held(self, indices: NDArray[np.int64]) -> Read:
        """Return a reader of these samples by their place among `indices`, for many passes over them."""
        return lambda places: self.read(indices[places])

    def order(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return samples in the order in which batches are cut from them: the longest first."""
        return indices

    def lengths(self, indices: NDArray[np.int64]) -> NDArray[np.floating] | None:
        """Return the length of samples, (k,), from 1 up, in units of what one image takes; None where all have 1."""
        return None

    def notes(self) -> list[str]:
        """Say what a user should know of how these samples are read."""
        return []


class Processor(Protocol):
    """From raw samples to what a network takes; belongs to one model."""

    def identity(self) -> dict[str, Any]:
        """Return what changes a batch, JSON-like."""
        ...

    def reader(self, samples: Samples) -> Reader:
        """Return how samples are read; readers of the same samples share what they keep."""
        ...

    def prepare(self, batch: Batch) -> Batch:
        """Finish a batch on the device where it is, just before the network."""
        ...

    def check_augment(self, names: Sequence[str]) -> None:
        """Raise SettingError where samples of this modality can't be augmented so."""
        ...

    def augmented(self, batch: Batch, names: Sequence[str], seeds: NDArray[np.int64]) -> Batch:
        """Augment samples, each by its own seed, shape (k,); the global random state is not moved."""
        ...


def rows(batch: Batch) -> int:
    """Return the number of samples of a batch."""
    return len(next(iter(batch.values())))


def row_bytes(batch: Batch) -> int:
    """Return the bytes of one sample of a batch."""
    return sum(tensor.nbytes for tensor in batch.values()) // max(1, rows(batch))


def to(batch: Batch, device: Any) -> Batch:
    """Move a batch to a device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}
