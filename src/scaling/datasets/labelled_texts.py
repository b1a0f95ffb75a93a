"""Labelled texts as somebody's file holds them: checked row by row, whatever the file's format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.folders import PARTS
from scaling.modalities.texts import Texts

#: What a label may be, in words.
KINDS = {str: "text", int: "a whole number", bool: "true or false"}
GAP = "Leave such rows out, or fill in a value."
THIRD_PART = "\nThere is no third part: leave these rows out, or make them train."


@dataclass(frozen=True)
class Row:
    """One row as it was read; nothing of it is checked.

    Attributes:
        place: where it stands, as a person finds it: "reviews.csv, line 7".
    """

    place: str
    text: Any
    label: Any
    split: Any


def text_dataset(
    name: str, source: object, rows: Iterable[Row], label_space: str | None = None,
    names: Sequence[str] | None = None, notes: Sequence[str] = (),
) -> Dataset:  # fmt: skip
    """Check rows, number their classes, and part them.

    Args:
        names: the classes' names, in order, where labels are text and the order is known; else it is ascending.

    Raises:
        DataError: a value is missing or of another kind, a split is unknown, or a class is missing in a part.
    """
    rows = list(rows)
    checked = [(_text(row), _label(row), _part(row)) for row in rows]
    if not checked:
        raise DataError(f"{source} holds no row.\nEach row needs a text, its label, and train or test.")
    spelled = _names([label for _, label, _ in checked], rows, source)
    classes = names or list(dict.fromkeys(spelled.values()))
    if len(classes) < 2:
        raise DataError(f"{source}: all labels are {classes[0]!r}.\nAt least 2 classes are needed.")
    codes = {label: classes.index(spelled[label]) for label in spelled}

    def split(part: str) -> Split:
        found = [(text, codes[label]) for text, label, which in checked if which == part]
        return Split(Texts(tuple(text for text, _ in found)), np.array([code for _, code in found], np.int64))

    again = len(checked) - len({(text, part) for text, _, part in checked})
    said = [*notes, *([f"{source}: {again} texts repeat an earlier one of their part"] if again else [])]
    train, test = map(split, PARTS)
    return verify(Dataset(name, tuple(classes), train, test, label_space, str(source), tuple(said)))


def _text(row: Row) -> str:
    if not isinstance(row.text, str):
        raise _wrong(row, "text", row.text, "text; one that is a number needs quotes")
    if not row.text.strip():
        raise DataError(f"{row.place}: the text is empty.\nLeave such rows out.")
    try:
        row.text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{row.place}: the text holds half a character ({row.text[error.start]!a}), which is no Unicode.\n"
            "Write the whole character, or leave it out."
        ) from None
    return row.text


def _label(row: Row) -> str | int:
    label = row.label
    if isinstance(label, float) and label.is_integer():  # how pandas writes whole numbers beside a gap
        return int(label)
    if type(label) not in KINDS or (isinstance(label, str) and label.strip().lower() in ("", "nan")):
        raise _wrong(row, "label", label, "a class: text or a whole number")
    return label


def _part(row: Row) -> str:
    part = row.split.strip().lower() if isinstance(row.split, str) else row.split
    if part not in PARTS:
        raise _wrong(row, "split", row.split, "train or test", THIRD_PART)
    return part


def _wrong(row: Row, what: str, value: object, expected: str, remedy: str = "") -> DataError:
    """Return the error for a value that is missing or of another kind."""
    gap = value is None or (isinstance(value, float) and value != value)
    if gap or (isinstance(value, str) and value.strip().lower() in ("", "nan")):
        return DataError(
            f"{row.place}: {what} has no value{'' if gap else f' ({value!r})'}, expected {expected}.\n{GAP}"
        )
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
    return DataError(f"{row.place}: {what} is {shown}, expected {expected}.{remedy}")


def _names(labels: Sequence[str | int], rows: Sequence[Row], source: object) -> dict[Any, str]:
    """Map labels, which have to be of one kind, in ascending order to the names of their classes."""
    kinds = [type(label) for label in labels]
    if other := next((place for place, kind in enumerate(kinds) if kind is not kinds[0]), 0):
        raise DataError(
            f"{rows[other].place}: the label {labels[other]!r} is {KINDS[kinds[other]]}, but {labels[0]!r}"
            f" ({rows[0].place}) is {KINDS[kinds[0]]}.\nWrite all labels as text, or all as whole numbers."
        )
    written: list[Any] = sorted(set(labels))
    return class_names(written, source) if kinds[0] is str else {label: str(label).lower() for label in written}
