"""A user's own features: a .npz or .parquet file of features, labels and split takes the place of images."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.folders import required_path
from scaling.datasets.npz import read_npz
from scaling.datasets.offsets import listed
from scaling.datasets.parquet import read_parquet
from scaling.datasets.parting import Parting
from scaling.datasets.rows import FileContent
from scaling.modalities.vectors import Vectors
from scaling.tasks import Classification, Multilabel
from scaling.tasks.base import Targets

SHIFTED = (
    "{path}: in {columns} of the features, 32-bit floats can't tell values so far from 0 apart: the smallest value"
    " was subtracted."
)
READERS: dict[str, Callable[[Path, bool], FileContent]] = {".npz": read_npz, ".parquet": read_parquet}


@dataclass(frozen=True)
class Embeddings(Parting):
    """Features from any framework and of any modality, with their labels.

    A .npz holds the arrays features (N, d), labels (N,) and split (N,), or train_features, train_labels,
    test_features and test_labels; and class_names (K,) where labels are numbers 0 … K-1 that have names. A .parquet
    holds the columns label and split, and a column of lists called features, or one column a feature. Labels (N, K)
    of 0 and 1, or lists of K in a .parquet, say which of K labels each sample has. An array or column group (or
    train_group and test_group) names the samples that belong together.

    Attributes:
        name: the name shown to people; None takes the file's name without its suffix.
    """

    path: str | None
    name: str | None = None

    def load(self) -> Dataset:
        """Read and check the file.

        Raises:
            DataError: the file can't be read, lacks something, or holds what can't be used.
        """
        path = self._file()
        content = READERS[path.suffix.lower()](path, self.test is not None)
        several = has_several(content, path)
        names, labels = label_names(content, path) if several else classes(content, path)
        train, *rest = (
            Split(Vectors(rows.features, content.shifted), codes, rows.groups)
            for rows, codes in zip(content.parts, labels, strict=True)
        )
        notes = (SHIFTED.format(path=path, columns=listed(content.shifted)),) if content.shifted else ()
        kind = Multilabel if several else Classification
        train, test, said = self.parts(train, rest[0] if rest else None, kind(names), path)
        notes = (*notes, *said)
        return verify(Dataset(self.name or path.stem, names, train, test, None, str(path), notes, kind))

    def state(self) -> Hashable:
        """Return the file's time and size: a file that was written again is loaded again."""
        status = self._file().stat()
        return status.st_mtime_ns, status.st_size

    def _file(self) -> Path:
        path = required_path(self.path, "dataset.path")
        if path.suffix.lower() not in READERS or not path.is_file():
            what = "a folder" if path.is_dir() else f"a file that ends in {path.suffix or 'nothing'}"
            raise DataError(
                f"dataset.path={self.path} is {what}, expected a file that ends in {' or '.join(READERS)}.\n"
                "Save the embeddings with numpy.savez(FILE, features=…, labels=…, split=…)."
            )
        return path


def has_several(content: FileContent, path: Path) -> bool:
    """Say whether samples have several labels; DataError where the parts have labels of two kinds."""
    parts = [part.labels for part in content.parts]
    kinds = ["a matrix" if part.ndim == 2 else "text" if part.dtype.kind == "U" else "numbers" for part in parts]
    if kinds[0] != kinds[-1]:
        raise DataError(
            f"{path}: train_labels are {kinds[0]}, test_labels are {kinds[-1]}.\nSave both as text, both as numbers, or"
            " both as a matrix of 0 and 1."
        )
    return parts[0].ndim == 2


def label_names(content: FileContent, path: Path) -> tuple[tuple[str, ...], Sequence[Targets]]:
    """Return the names of K labels, their numbers where the file has none, and which label each sample has.

    Raises:
        DataError: the parts or class_names have other numbers of labels, or labels are classes written one-hot.
    """
    parts = [part.labels for part in content.parts]
    counts = {part.shape[1] for part in parts} | ({len(content.class_names)} if content.class_names else set())
    if len(counts) > 1:
        raise DataError(
            f"{path}: labels have {' and '.join(map(str, sorted(counts)))} columns or names.\n"
            "Both parts, and class_names, need the same labels in the same order."
        )
    if all((part.sum(1) == 1).all() for part in parts):
        raise DataError(
            f"{path}: every row of labels (N, {counts.pop()}) has exactly one 1: that is one class a sample.\n"
            "Save labels.argmax(1), with class_names where the classes have names."
        )
    return content.class_names or tuple(map(str, range(counts.pop()))), parts


def classes(content: FileContent, path: Path) -> tuple[tuple[str, ...], Sequence[NDArray[np.int64]]]:
    """Number the classes: as class_names has them, else the distinct labels in ascending order.

    Returns:
        The classes' names, and the labels 0 … K-1 of each part.

    Raises:
        DataError: there is one class only, or labels don't fit class_names.
    """
    parts = [part.labels for part in content.parts]
    labels = np.concatenate(parts)
    if content.class_names is None:
        values, codes = np.unique(labels, return_inverse=True)
        written = values.tolist()
        spelled = class_names(written, path) if labels.dtype.kind == "U" else {value: str(value) for value in written}
        numbers = {name: number for number, name in enumerate(dict.fromkeys(spelled.values()))}
        names, codes = tuple(numbers), np.array([numbers[spelled[value]] for value in written])[codes]
    else:
        names, codes = content.class_names, named(labels, content.class_names, path)
    if len(names) < 2:
        raise DataError(f"{path}: all labels are {names[0]!r}.\nAt least 2 classes are needed.")
    codes = codes.reshape(-1).astype(np.int64, copy=False)
    return names, [codes[: len(parts[0])], codes[len(parts[0]) :]][: len(parts)]


def named(labels: NDArray[np.generic], names: tuple[str, ...], path: Path) -> NDArray[np.int64]:
    """Return the labels where they are numbers that class_names has names for, or raise DataError."""
    if labels.dtype.kind == "U":
        raise DataError(
            f"{path}: class_names is for labels 0 … {len(names) - 1}, but the labels are text.\n"
            "Leave class_names out: the labels are the names."
        )
    numbers = labels.astype(np.int64, copy=False)
    if numbers.min() < 0 or numbers.max() >= len(names):
        raise DataError(
            f"{path}: labels run from {numbers.min()} to {numbers.max()}, but class_names has {len(names)} names,"
            f" for 0 to {len(names) - 1}.\nNumber the labels from 0, or name every class."
        )
    return numbers
