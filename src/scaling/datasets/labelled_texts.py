"""Labelled texts as somebody's file holds them: checked row by row, whatever the file's format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.folders import PARTS
from scaling.datasets.manifest import SEVERAL
from scaling.modalities.texts import Texts
from scaling.tasks import KINDS, Multilabel
from scaling.tasks.base import Targets
from scaling.tasks.multilabel import SEPARATOR

#: What a label may be, in words.
TYPES = {str: "text", int: "a whole number", bool: "true or false"}
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
    names: Sequence[str] | None = None, notes: Sequence[str] = (), task: str = "classification",
) -> Dataset:  # fmt: skip
    """Check rows, number their classes, and part them.

    Args:
        names: the classes' names, in order, where labels are text and the order is known; else it is ascending.
        task: a kind of task; of several labels a row, a list of them or a text with | between them.

    Raises:
        DataError: a value is missing or of another kind, a split is unknown, or a class is missing in a part.
    """
    rows, kind = list(rows), KINDS[task]
    label = _labels if kind.may_be_empty else _label
    checked = [(_text(row), label(row), _part(row)) for row in rows]
    if not checked:
        raise DataError(f"{source} holds no row.\nEach row needs a text, its label, and train or test.")
    written = [found for _, found, _ in checked]
    classes, targets = (
        kind.read(list(map(str, written)), source) if kind.may_be_empty else _numbered(written, rows, source, names)
    )
    if len(classes) < 2:
        wrong = f"all labels are {classes[0]!r}" if classes else "no row has a label"
        raise DataError(f"{source}: {wrong}.\nAt least 2 classes are needed.")

    def split(part: str) -> Split:
        places = [place for place, (_, _, which) in enumerate(checked) if which == part]
        return Split(Texts(tuple(checked[place][0] for place in places)), targets[np.array(places, np.int64)])

    again = len(checked) - len({(text, part) for text, _, part in checked})
    joined = sum(SEPARATOR in name for name in classes)
    said = [
        *notes,
        *([f"{source}: {again} texts repeat an earlier one of their part"] if again else []),
        *([f"{source}: {joined} classes have {SEPARATOR} in their names; {SEVERAL}"] if joined else []),
    ]
    train, test = map(split, PARTS)
    return verify(Dataset(name, tuple(classes), train, test, label_space, str(source), tuple(said), kind))


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
    if isinstance(label, list):
        raise _wrong(
            row, "label", label, "one class", f"\nIf that is several labels, set dataset.task={Multilabel.kind}."
        )
    if type(label) not in TYPES or (isinstance(label, str) and label.strip().lower() in ("", "nan")):
        raise _wrong(row, "label", label, "a class: text or a whole number")
    return label


def _labels(row: Row) -> str:
    """Return the labels of a row that may have several, or none, as one text."""
    label = row.label
    if label is None or label != label or (isinstance(label, str) and not label.strip()):
        return ""
    return SEPARATOR.join(
        str(_label(replace(row, label=one))) for one in (label if isinstance(label, list) else [label])
    )


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


def _numbered(
    labels: Sequence[str | int], rows: Sequence[Row], source: object, names: Sequence[str] | None
) -> tuple[Sequence[str], Targets]:
    """Return the names of classes, by default in ascending order, and each row's; labels have to be of one kind."""
    kinds = [type(label) for label in labels]
    if other := next((place for place, kind in enumerate(kinds) if kind is not kinds[0]), 0):
        raise DataError(
            f"{rows[other].place}: the label {labels[other]!r} is {TYPES[kinds[other]]}, but {labels[0]!r}"
            f" ({rows[0].place}) is {TYPES[kinds[0]]}.\nWrite all labels as text, or all as whole numbers."
        )
    written: list[Any] = sorted(set(labels))
    spelled = class_names(written, source) if kinds[0] is str else {label: str(label).lower() for label in written}
    classes = names or list(dict.fromkeys(spelled.values()))
    codes = {label: classes.index(name) for label, name in spelled.items()}
    return classes, np.array([codes[label] for label in labels], np.int64)
