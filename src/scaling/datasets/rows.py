"""Features, labels and splits as somebody's file holds them: checked row by row, whatever the file's format.

Rows are counted from 0 in messages, as in the arrays.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError, reason_of

#: Elements that are checked and converted at a time; bounds the memory that this takes beside the array.
BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Rows:
    """Features of one part, finite, shape (N, d), with their labels: (N,) as int64 or text, or (N, K) of 0 and 1."""

    features: NDArray[np.float32]
    labels: NDArray[Any]
    groups: NDArray[np.str_] | None = None


@dataclass(frozen=True)
class FileContent:
    """What a file holds.

    Attributes:
        test: None where nothing says which rows are of it.
        class_names: those of the classes 0 … K-1, where it names them.
        shifted: columns whose smallest number was subtracted, so that rounding left what they say.
    """

    train: Rows
    test: Rows | None
    class_names: tuple[str, ...] | None = None
    shifted: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Rows, ...]:
        """The parts that there are."""
        return (self.train,) if self.test is None else (self.train, self.test)


def checked_features(array: NDArray[Any], name: str, path: Path) -> NDArray[np.float32]:
    """Return features (N, d) as float32, the array itself where it is that already.

    Raises:
        DataError: they are no numbers, no matrix, or not all finite.
    """
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: {name} is an array of {array.dtype}, expected numbers.")
    if array.ndim != 2 or array.shape[1] == 0:
        remedy = (
            f"Flatten each sample: {name}.reshape(len({name}), -1)." if array.ndim > 2 else "Stack one row a sample."
        )
        raise DataError(f"{path}: {name} has the shape {array.shape}, expected (samples, features).\n{remedy}")
    as_it_is = array.dtype == np.float32 and array.dtype.isnative and array.flags.c_contiguous
    features = array if as_it_is else np.empty(array.shape, np.float32)
    step = max(1, BLOCK_ELEMENTS // array.shape[1])
    for start in range(0, len(array), step):
        small = narrowed(array[start : start + step], start, name, path)
        if not as_it_is:
            features[start : start + step] = small
    return features


def narrowed(block: NDArray[Any], start: int, name: str, path: Path) -> NDArray[np.float32]:
    """Return some rows as float32, or raise DataError at the first that isn't finite then.

    Args:
        start: number of the first of these rows.
    """
    with np.errstate(over="ignore"):
        small = block.astype(np.float32, copy=False)
        finite = np.isfinite(small + small)  # differences have to be finite too
    if not finite.all():
        row = int((~finite.all(axis=1)).argmax())
        column = int((~finite[row]).argmax())
        where, value = (
            f"{path}: row {start + row} of {name} holds {block[row, column]} in column {column}",
            block[row, column],
        )
        if np.isfinite(value):
            raise DataError(
                f"{where}, which is beyond 32-bit floats (differences too: ±1.7e38).\nScale the features down."
            )
        raise DataError(f"{where}, expected finite numbers.\nLeave such samples out, or fill in a number.")
    return small


def checked_labels(array: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    """Return labels (N,) as int64 or text; whole floats and booleans are numbers too. Labels (N, K) become 0 and 1.

    Raises:
        DataError: they have another shape or kind, or one is missing.
    """
    if array.ndim == 2 and array.shape[1] > 1:
        return _matrix(array, name, path)
    one_dimensional(array, name, path)
    if array.dtype.kind in "US":
        texts = as_text(array, name, path)
        if len(empty := np.flatnonzero(texts == "")):
            raise DataError(f"{path}: row {empty[0]} of {name} is empty text.\nLeave such samples out, or label them.")
        return texts
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.isfinite(array) & (np.rint(array) == array)
        if not whole.all():
            row = int((~whole).argmax())
            raise DataError(
                f"{path}: row {row} of {name} is {array[row]}, expected a class: a whole number or text.\n"
                "Regression is not covered; for classes save whole numbers."
            )
    elif array.dtype.kind not in "iub":
        raise DataError(f"{path}: {name} is an array of {array.dtype}, expected whole numbers or text.")
    # From here on a type rounds whole numbers, or 64 bits cut them off.
    limit = min(2 / float(np.finfo(array.dtype).eps), 2.0**63) if array.dtype.kind == "f" else 2**63
    if array.dtype.kind in "fu" and len(beyond := np.flatnonzero(abs(array) >= limit)):
        raise DataError(
            f"{path}: row {beyond[0]} of {name} is {array[beyond[0]]}, too large for a whole number of {array.dtype}.\n"
            "Number the classes from 0, or save the labels as text."
        )
    return array.astype(np.int64, copy=False)


def _matrix(array: NDArray[Any], name: str, path: Path) -> NDArray[np.uint8]:
    """Return which sample has which label, or raise DataError at the first entry that is neither 0 nor 1."""
    known = np.isin(array, (0, 1)) if array.dtype.kind in "fiub" else np.zeros(array.shape, bool)
    if not known.all():
        row, column = (int(place[0]) for place in np.nonzero(~known))
        raise DataError(
            f"{path}: row {row} of {name} holds {array[row, column]!r} in column {column}, expected 0 or 1: which of"
            f" {array.shape[1]} labels a sample has.\nFor one class a sample save one number or name a row."
        )
    return array.astype(np.uint8)


def train_rows(array: NDArray[Any], name: str, path: Path, held_out: bool = False) -> NDArray[np.bool_] | None:
    """Return which rows are training samples, (N,); the others are test samples.

    Args:
        held_out: whether a test part is held out: then there may be none, and None is returned.

    Raises:
        DataError: an entry is neither train nor test, or one of the two doesn't occur.
    """
    one_dimensional(array, name, path)
    if array.dtype.kind not in "US":
        raise DataError(
            f"{path}: {name} is an array of {array.dtype}, expected the words train and test.\n"
            "Save numpy.where(IN_TRAINING, 'train', 'test')."
        )
    texts = as_text(array, name, path)
    train, test = texts == "train", texts == "test"
    if not (known := train | test).all():
        row = int((~known).argmax())
        value = str(texts[row])
        remedy = "Write train or test in lower case, one a row."
        if value.lower() in ("val", "valid", "validation", "dev"):
            remedy = (
                "There is no third part: leave these samples out, or make them train (penalties are chosen inside it)."
            )
        raise DataError(f"{path}: row {row} of {name} is {value!r}, expected 'train' or 'test'.\n{remedy}")
    if held_out and train.all():
        return None
    for part, rows in (("train", train), ("test", test)):
        if not rows.any():
            raise DataError(f"{path}: none of the {len(texts)} rows of {name} is {part!r}.\nBoth parts are needed.")
    return train


def in_parts(
    features: NDArray[np.float32], labels: NDArray[Any], train: NDArray[np.bool_] | None,
    groups: NDArray[np.str_] | None = None,
) -> tuple[Rows, Rows | None]:  # fmt: skip
    """Part the rows, where something says how; a part that lies in one piece is a view, not a copy."""
    if train is None:
        return Rows(features, labels, groups), None

    def part(mask: NDArray[np.bool_]) -> Rows:
        where = np.flatnonzero(mask)
        in_one_piece = where[-1] - where[0] + 1 == len(where)
        rows = slice(where[0], where[-1] + 1) if in_one_piece else where
        return Rows(features[rows], labels[rows], None if groups is None else groups[rows])

    return part(train), part(~train)


def checked_groups(array: NDArray[Any], name: str, path: Path) -> NDArray[np.str_]:
    """Return the name of each row's group as text, (N,), or raise DataError where one has none."""
    one_dimensional(array, name, path)
    if array.dtype.kind not in "USiub":
        raise DataError(f"{path}: {name} is an array of {array.dtype}, expected text or whole numbers.")
    texts = as_text(array, name, path).astype(str)
    if len(empty := np.flatnonzero(np.char.strip(texts) == "")):
        raise DataError(f"{path}: row {empty[0]} of {name} is empty text.\nName its group, or leave {name} out.")
    return texts


def same_length(lengths: dict[str, int], path: Path) -> None:
    """Raise DataError where arrays that belong together have unequal lengths."""
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise DataError(f"{path}: {found} rows.\nAll need one row a sample, in the same order.")


def one_dimensional(array: NDArray[Any], name: str, path: Path) -> None:
    """Raise DataError where an array has not one entry a row."""
    if array.ndim != 1:
        remedy = f"\nSave {name}.ravel() of a column." if array.ndim == 2 else ""
        raise DataError(f"{path}: {name} has the shape {array.shape}, expected (samples,).{remedy}")


def as_text(array: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    """Return text as text, and bytes decoded."""
    try:
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {name} holds bytes that are no UTF-8 text ({error}).\nSave it as text.") from error


def lacks(path: Path, absent: Sequence[str], there: Sequence[str], expected: str) -> DataError:
    """Return the error for parts that a file lacks."""
    shown = ", ".join(there[:12]) + (" …" if len(there) > 12 else "")
    return DataError(f"{path} lacks {', '.join(absent)}: it has {shown or 'nothing'}.\nExpected {expected}.")


@contextmanager
def reading(path: Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what readers raise on damaged files into a DataError."""
    try:
        yield
    except errors as error:
        reason = reason_of(error).rstrip(".")[:200]
        raise DataError(
            f"{path} can't be read as {kind}: {reason}.\nIt is damaged or of another kind: save it again."
        ) from error
