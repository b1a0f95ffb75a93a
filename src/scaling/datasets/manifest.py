"""A user's own images by a CSV that names files, labels and splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np

from scaling.core.errors import DataError
from scaling.core.tables import HEADER, CsvTable, read_table
from scaling.datasets.base import Dataset
from scaling.datasets.folders import PARTS, file_split, picture_dataset, required_path, unfetched
from scaling.datasets.parting import GROUP, HOLD_OUT, Parting
from scaling.modalities.images.decoding import Viewing
from scaling.tasks import KINDS, Multilabel
from scaling.tasks.multilabel import SEPARATOR

COLUMNS = ("path", "label", "split")
SEVERAL = f"if that stands between labels, set dataset.task={Multilabel.kind}"


@dataclass(frozen=True)
class Manifest(Viewing, Parting):
    """A CSV with the columns path, label and split (train or test), and group if there are; paths are relative to it.

    Attributes:
        task: "multilabel" takes what stands between | for a label of its own, and an empty cell for none at all.
    """

    path: str | None
    name: str = "manifest"
    label_space: str | None = None
    task: Literal["classification", "multilabel"] = "classification"

    def load(self) -> Dataset:
        """Read the table, then check and label the files.

        Raises:
            DataError: a column, file or class is missing, a split is unknown, or a file is not an image.
        """
        path = required_path(self.path, "dataset.path")
        table = read_table(path, (*COLUMNS, GROUP))
        kind = KINDS[self.task]
        wanted = columns_of(table.columns, COLUMNS, GROUP, self.test is not None)
        rows = manifest_rows(table, wanted, may_be_empty=("label",) if kind.may_be_empty else ())
        found = [(line, dict(zip(wanted, cells, strict=True))) for line, cells in rows]
        names, targets = kind.read([cells["label"] for _, cells in found], path)
        if len(names) < 2:
            raise DataError(f"{path} names {len(names)} classes, at least 2 are needed.")
        parts: dict[str, list[tuple[Path, Any]]] = {part: [] for part in PARTS}
        groups: dict[str, list[str]] = {part: [] for part in PARTS}
        for (line, cells), target in zip(found, targets, strict=True):
            if (part := cells.get("split", "train").strip().lower()) not in parts:
                raise DataError(
                    f"{path}, line {line}: split is {cells['split']!r}, expected train or test.\n"
                    "There is no third part: leave these rows out, or make them train."
                )
            parts[part].append((_file(path, line, cells["path"]), target))
            groups[part].append(cells.get(GROUP, "").strip())
        train, test = (
            file_split(parts[part], self, np.array(groups[part], str) if GROUP in wanted else None) for part in PARTS
        )
        others = [column for column in table.columns if column not in ("", *COLUMNS, GROUP)]
        joined = sum(SEPARATOR in name for name in names)
        again = len(rows) - sum(len({(file, target.tobytes()) for file, target in files}) for files in parts.values())
        notes = [
            *([table.note] if table.note else []),
            *([f"{path}: not used: the columns {', '.join(map(repr, others))}"] if others else []),
            *([f"{path}: {again} rows repeat an earlier one"] if again else []),
            *([f"{path}: {joined} classes have {SEPARATOR} in their names; {SEVERAL}"] if joined else []),
        ]
        train, test, said = self.parts(train, test, kind(names), path)
        return picture_dataset(self.name, names, train, test, self.label_space, path, [*notes, *said], kind)


def columns_of(there: Sequence[str], wanted: Sequence[str], group: str, held_out: bool) -> tuple[str, ...]:
    """Return the columns to read: all that are wanted, the last of them (the split) and the group's where they may be.

    Args:
        held_out: whether a test part is held out, so that the split may be wanting.
    """
    *always, split = wanted
    return (*always, *((split,) if split in there or not held_out else ()), *((group,) if group in there else ()))


def manifest_rows(
    table: CsvTable, wanted: Sequence[str] = COLUMNS, may_be_empty: Sequence[str] = ()
) -> list[tuple[int, list[str]]]:
    """Return each row's line, and its cells in some columns.

    Args:
        wanted: the columns.
        may_be_empty: those whose cells need not hold anything.

    Raises:
        DataError: a column or a value is missing, or a row has more cells than the header.
    """
    columns = table.columns
    if absent := [column for column in wanted if column not in columns]:
        raise DataError(
            f"{table.path} lacks the column {', '.join(absent)}: it has {', '.join(columns) or 'none'},"
            f" expected {', '.join(wanted)}.\n{HOLD_OUT if absent == list(wanted)[2:3] else HEADER}"
        )
    if twice := [column for column in wanted if columns.count(column) > 1]:
        raise DataError(f"{table.path} has the column {twice[0]} {columns.count(twice[0])} times.\nKeep one of them.")
    places = [columns.index(column) for column in wanted]
    rows = []
    for line, cells in table.rows:
        if any(map(str.strip, cells[len(columns) :])):
            raise DataError(
                f"{table.path}, line {line}: got {len(cells)} cells, expected the header's {len(columns)}.\n"
                "Put cells that hold a comma in quotes."
            )
        found = [cells[place] if place < len(cells) else "" for place in places]
        named = zip(wanted, found, strict=True)
        if empty := [name for name, cell in named if not cell.strip() and name not in may_be_empty]:
            raise DataError(
                f"{table.path}, line {line}: a value is missing ({', '.join(empty)}); {', '.join(wanted)} are needed."
            )
        rows.append((line, found))
    return rows


def _file(table: Path, line: int, written: str) -> Path:
    """Return the file that a row names, as it is written or as another system writes the same path."""
    plain = written.strip().replace("\\", "/")
    spellings = dict.fromkeys((written, plain, normalize("NFC", plain), normalize("NFD", plain)))
    files = [table.parent / spelling for spelling in spellings]
    for file in files:
        if file.is_file():
            return file
    if links := [file for file in files if file.is_symlink()]:
        raise DataError(f"{table}, line {line}: {unfetched(links[0])}")
    raise DataError(f"{table}, line {line}: {files[0]} does not exist. Paths are relative to the CSV.")
