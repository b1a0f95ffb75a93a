"""What a data set is: two splits of labelled samples, verified when they are loaded."""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.data.decoding import AS_THEY_ARE, Pixels, Seen, Viewing, decode, look
from scaling.data.duplicates import Duplicates, keys
from scaling.data.duplicates import find as duplicates
from scaling.data.preprocessing import IMAGES
from scaling.modalities.base import Samples
from scaling.tasks import Classification, Task
from scaling.tasks.base import Targets

#: The modality of samples that are features already.
VECTORS = "vectors"


class Images(Samples, Protocol):
    """N images that are read by index as uint8, height × width × channels (1 or 3)."""

    def read(self, indices: NDArray[np.int64]) -> Pixels | list[Pixels]:
        """Return the images: one array (k, H, W, C) where all have one size, else a list of (H, W, C)."""
        ...


@dataclass(frozen=True)
class ArrayImages:
    """Images of one size held in memory, shape (N, H, W, C)."""

    pixels: Pixels

    modality: ClassVar[str] = IMAGES

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: NDArray[np.int64]) -> Pixels:
        """Return the images as one array."""
        return self.pixels[indices]

    def content(self) -> str:
        """Return the SHA-256 of shape and pixels."""
        hashed = hashlib.sha256(repr(self.pixels.shape).encode())
        hashed.update(np.ascontiguousarray(self.pixels).data)
        return hashed.hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each image."""
        return keys(self.pixels, len(self))


@dataclass(frozen=True)
class FileImages:
    """Image files of any size, decoded to RGB when they are read."""

    paths: tuple[Path, ...]
    viewing: Viewing = AS_THEY_ARE
    #: Time and size of the files when they were hashed.
    _hashed: dict[Path, Hashable] = field(default_factory=dict, init=False, repr=False, compare=False)

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
            _load.cache_clear()  # so that whoever asks next sees what is there now
            raise DataError(
                f"{changed[0]} changed after the data set was read: its content is not the point's any more.\n"
                "Start the same command again, once the files are complete."
            )
        return images

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


@dataclass(frozen=True, eq=False)
class Vectors:
    """Samples that are features already, one row each, shape (N, d).

    Attributes:
        shifted: columns that are known up to a constant alone.
    """

    rows: NDArray[np.float32]
    shifted: tuple[str, ...] = ()

    modality: ClassVar[str] = VECTORS

    def __len__(self) -> int:
        return len(self.rows)

    def content(self) -> str:
        """Return the SHA-256 of shape and values."""
        hashed = hashlib.sha256(repr(self.rows.shape).encode())
        hashed.update(np.ascontiguousarray(self.rows, dtype="<f4").data)
        return hashed.hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each row; 0 and -0 are equal."""
        return keys((row + 0 for row in self.rows), len(self))


def _state(path: Path) -> Hashable:
    """Return what changes when a file is written; nothing of one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@dataclass(frozen=True)
class Split:
    """Samples with what is true of them.

    Attributes:
        targets: one row a sample, whole numbers; the data set's task says what they mean.
    """

    samples: Samples
    targets: Targets

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def labels(self) -> Targets:
        """The targets, by the name that they have where they are classes."""
        return self.targets

    @cached_property
    def sample_content(self) -> str:
        """SHA-256 of the samples: what features are a function of."""
        return self.samples.content()

    @cached_property
    def content(self) -> str:
        """SHA-256 of samples and targets: what scores are a function of."""
        targets = np.ascontiguousarray(self.targets, dtype="<i8")
        return hashlib.sha256(self.sample_content.encode() + targets.tobytes()).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A loaded data set.

    Attributes:
        class_names: of what a head has an output for.
        label_space: name of what the labels mean; a model's own head fits where it names the same.
        source: where it was read from, for the record.
        notes: sentences that the user should read, each naming what it speaks of.
        kind: makes the task, of the names of the classes.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    label_space: str | None
    source: str
    notes: tuple[str, ...] = ()
    kind: Callable[[tuple[str, ...]], Task] = Classification

    @cached_property
    def task(self) -> Task:
        """What is to be predicted of the samples."""
        return self.kind(self.class_names)

    def split(self, name: str) -> Split:
        """Return the split called "train" or "test"."""
        return {"train": self.train, "test": self.test}[name]

    @cached_property
    def duplicates(self) -> Duplicates:
        """Test samples that are training samples too, and samples under several labels."""
        train, test = self.train, self.test
        codes = self.task.codes(np.concatenate([train.targets, test.targets]))
        return duplicates(train.samples.keys(), codes[: len(train)], test.samples.keys(), codes[len(train) :])

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """All that the user should know: the notes, and what exact copies mean for scores. Told once a sweep."""
        found = self.duplicates
        own = self.task.notes(self.train.targets, self.test.targets)
        said = [*self.notes, *(f"{self.name}: {note}" for note in own)]
        if found.leakage:
            first = _first_copy(self.train.samples, self.test.samples, found)
            said.append(f"{self.name}: {found.leakage}{first}. A model fitted to the originals has seen them.")
        if found.contradictions:
            said.append(f"{self.name}: {found.contradictions}. Nothing can be right about all of them.")
        return tuple(said)

    def identity(self) -> dict[str, str]:
        """Return what changes a score: the content of both splits."""
        return {"name": self.name, "train": self.train.content, "test": self.test.content}


def _first_copy(train: Samples, test: Samples, found: Duplicates) -> str:
    """Name the files of the first copy, where samples are files."""
    if found.example is None or not isinstance(train, FileImages) or not isinstance(test, FileImages):
        return ""
    copy, original = found.example
    return f"; the first: {test.paths[copy]}, of {train.paths[original]}"


class DataSource(Hashable, Protocol):
    """Settings of a data set: hashable, and able to load it. One class a format."""

    @property
    def name(self) -> str:
        """The name shown to people."""
        ...

    def load(self) -> Dataset:
        """Read and verify the data set."""
        ...


def load(source: DataSource) -> Dataset:
    """Load a data set once a process: the grid points of a sweep share it.

    A source with a method `state` (the time and size of its file) is loaded again when that changes: in a notebook
    the same file is written again and again.
    """
    state = getattr(source, "state", None)
    return _load(source, state() if state is not None else None)


@lru_cache(maxsize=2)
def _load(source: DataSource, state: Hashable) -> Dataset:
    return source.load()


def verify(
    dataset: Dataset,
    sizes: tuple[int, int] | None = None,
    shape: tuple[int, int, int] | None = None,
) -> Dataset:
    """Check counts, classes and shapes, and return the data set.

    Args:
        dataset: what was read.
        sizes: published numbers of training and test samples, where there are such.
        shape: published height, width and channels.

    Raises:
        DataError: a count, a label, a class or a shape is not as expected.
    """
    for which, split in (("training", dataset.train), ("test", dataset.test)):
        if len(split.samples) != len(split):
            raise DataError(
                f"{dataset.name}: the {which} part has {len(split.samples)} samples but {len(split)} labels"
                f" in {dataset.source}.\nFetch the data set again."
            )
        if len(split) == 0:
            raise DataError(f"{dataset.name}: the {which} part in {dataset.source} holds no sample.")
        dataset.task.check(split.targets, which, dataset.name, dataset.source)
    got = (len(dataset.train), len(dataset.test))
    if sizes is not None and got != sizes:
        raise DataError(
            f"{dataset.name}: got {got[0]} training and {got[1]} test samples in {dataset.source},"
            f" expected {sizes[0]} and {sizes[1]}.\nThe files are damaged or of another data set: fetch them again."
        )
    if shape is not None:
        for split in (dataset.train, dataset.test):
            if isinstance(split.samples, ArrayImages) and split.samples.pixels.shape[1:] != shape:
                raise DataError(
                    f"{dataset.name}: got images of shape {split.samples.pixels.shape[1:]} in {dataset.source},"
                    f" expected {shape}.\nThe files are damaged or of another data set: fetch them again."
                )
    return dataset
