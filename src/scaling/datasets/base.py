"""What a data set is: two splits of labelled samples, verified when they are loaded."""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.core.duplicates import Duplicates
from scaling.core.duplicates import find as duplicates
from scaling.core.errors import DataError
from scaling.core.identity import digest
from scaling.modalities.base import Samples
from scaling.tasks import Classification, Task
from scaling.tasks.base import Targets


@dataclass(frozen=True)
class Split:
    """Samples with what is true of them.

    Attributes:
        targets: one row a sample, whole numbers; the data set's task says what they mean.
        groups: name of each sample's group, of which nothing else is independent: a patient, a document, a speaker.
    """

    samples: Samples
    targets: Targets
    groups: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def labels(self) -> Targets:
        """The targets, by the name that they have where they are classes."""
        return self.targets

    def taken(self, which: NDArray[np.bool_]) -> "Split":
        """Return some of the samples, in their order, by a mask of shape (N,)."""
        groups = None if self.groups is None else self.groups[which]
        return Split(self.samples.taken(np.flatnonzero(which)), self.targets[which], groups)

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
        said = [*self.notes, *(f"{self.name}: {note}" for note in (*own, *filter(None, [self.grouped])))]
        if found.leakage:
            first = _first_copy(self.train.samples, self.test.samples, found)
            said.append(f"{self.name}: {found.leakage}{first}. A model fitted to the originals has seen them.")
        if found.contradictions:
            said.append(f"{self.name}: {found.contradictions}. Nothing can be right about all of them.")
        return tuple(said)

    def identity(self) -> dict[str, Any]:
        """Return what changes a score or its interval: content and groups of both parts, settings of the task."""
        groups = [part.groups.tolist() for part in (self.train, self.test) if part.groups is not None]
        named = {"groups": digest(groups)} if groups else {}
        parts = {"name": self.name, "train": self.train.content, "test": self.test.content}
        return {**parts, **named, **self.task.identity()}

    @cached_property
    def grouped(self) -> str:
        """What groups of test samples mean for intervals, in words; empty where there are none."""
        groups = self.test.groups
        several = f"{len(self.test)} test samples in {0 if groups is None else len(np.unique(groups))} groups"
        return "" if groups is None else f"{several}: intervals are over groups"


def _first_copy(train: Samples, test: Samples, found: Duplicates) -> str:
    """Name the places of the first copy, where samples have such."""
    if found.example is None:
        return ""
    copy, original = test.place(found.example[0]), train.place(found.example[1])
    return f"; the first: {copy}, of {original}" if copy and original else ""


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
    version = state() if state is not None else None
    found = _load(source, version)
    if found.train.samples.stale or found.test.samples.stale:
        _load.cache_clear()
        found = _load(source, version)
    return found


@lru_cache(maxsize=2)
def _load(source: DataSource, state: Hashable) -> Dataset:
    return source.load()


def verify(
    dataset: Dataset,
    sizes: tuple[int, int] | None = None,
) -> Dataset:
    """Check counts and classes, and return the data set.

    Args:
        dataset: what was read.
        sizes: published numbers of training and test samples, where there are such.

    Raises:
        DataError: a count, a label or a class is not as expected.
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
    return dataset
