"""A user's own images by a CSV that names files, labels and splits."""

from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from scaling.core.errors import DataError
from scaling.core.tables import HEADER, Table, read_table
from scaling.core.words import class_names
from scaling.data.base import Dataset
from scaling.data.decoding import Viewing
from scaling.data.folders import PARTS, file_split, picture_dataset, required_path, unfetched

COLUMNS = ("path", "label", "split")


@dataclass(frozen=True)
class Manifest(Viewing):
    """A CSV with the columns path, label and split (train or test); paths are relative to the CSV."""

    path: str | None
    name: str = "manifest"
    label_space: str | None = None

    def load(self) -> Dataset:
        """Read the table, then check and label the files.

        Raises:
            DataError: a column, file or class is missing, a split is unknown, or a file is not an image.
        """
        path = required_path(self.path, "dataset.path")
        table = read_table(path, COLUMNS)
        rows = manifest_rows(table)
        names = class_names((label for _, _, label, _ in rows), path)
        codes = {name: code for code, name in enumerate(dict.fromkeys(names.values()))}
        if len(codes) < 2:
            raise DataError(f"{path} names {len(codes)} classes, at least 2 are needed.")
        parts: dict[str, list[tuple[Path, int]]] = {part: [] for part in PARTS}
        for line, file, label, split in rows:
            if (part := split.strip().lower()) not in parts:
                raise DataError(
                    f"{path}, line {line}: split is {split!r}, expected train or test.\n"
                    "There is no third part: leave these rows out, or make them train."
                )
            parts[part].append((_file(path, line, file), codes[names[label]]))
        train, test = (file_split(parts[part], self) for part in PARTS)
        others = [column for column in table.columns if column not in ("", *COLUMNS)]
        again = len(rows) - sum(len(set(files)) for files in parts.values())
        notes = [
            *([table.note] if table.note else []),
            *([f"{path}: not used: the columns {', '.join(map(repr, others))}"] if others else []),
            *([f"{path}: {again} rows repeat an earlier one"] if again else []),
        ]
        return picture_dataset(self.name, tuple(codes), train, test, self.label_space, path, notes)


def manifest_rows(table: Table) -> list[tuple[int, str, str, str]]:
    """Return line, path, label and split of each row.

    Raises:
        DataError: a column or a value is missing, or a row has more cells than the header.
    """
    columns = table.columns
    if absent := [column for column in COLUMNS if column not in columns]:
        raise DataError(
            f"{table.path} lacks the column {', '.join(absent)}: it has {', '.join(columns) or 'none'},"
            f" expected {', '.join(COLUMNS)}.\n{HEADER}"
        )
    if twice := [column for column in COLUMNS if columns.count(column) > 1]:
        raise DataError(f"{table.path} has the column {twice[0]} {columns.count(twice[0])} times.\nKeep one of them.")
    places = [columns.index(column) for column in COLUMNS]
    rows = []
    for line, cells in table.rows:
        if any(map(str.strip, cells[len(columns) :])):
            raise DataError(
                f"{table.path}, line {line}: got {len(cells)} cells, expected the header's {len(columns)}.\n"
                "Put cells that hold a comma in quotes."
            )
        path, label, split = (cells[place] if place < len(cells) else "" for place in places)
        if not (path.strip() and label.strip() and split.strip()):
            raise DataError(f"{table.path}, line {line}: a value is missing; {', '.join(COLUMNS)} are needed.")
        rows.append((line, path, label, split))
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
