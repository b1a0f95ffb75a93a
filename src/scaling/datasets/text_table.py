"""A user's own texts by a table: CSV, TSV, JSON Lines or Parquet."""

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scaling.core.errors import DataError
from scaling.core.tables import as_known, read_table, read_text
from scaling.datasets.base import Dataset
from scaling.datasets.folders import required_path
from scaling.datasets.labelled_texts import Row, text_dataset
from scaling.datasets.manifest import manifest_rows
from scaling.datasets.rows import lacks, reading

JSON_LINES = "Write one object a line: frame.to_json(FILE, orient='records', lines=True, force_ascii=False)."


@dataclass(frozen=True)
class Content:
    """What a file holds: the columns that it has besides those asked for, its rows, and how it was read."""

    others: Sequence[str]
    rows: Sequence[Row]
    note: str = ""


@dataclass(frozen=True)
class TextTable:
    """Texts with their labels and splits (train or test), a row each.

    Attributes:
        name: the name shown to people; None takes the file's name without its suffix.
        label_space: what the labels mean, where a model's own head should be evaluated on them.
        task: "multilabel" takes what stands between |, or in a list, for labels, and nothing for none at all.
    """

    path: str | None
    name: str | None = None
    text_column: str = "text"
    label_column: str = "label"
    split_column: str = "split"
    label_space: str | None = None
    task: Literal["classification", "multilabel"] = "classification"

    def load(self) -> Dataset:
        """Read and check the table.

        Raises:
            DataError: the file can't be read, or a column, value, class or part is missing or of another kind.
        """
        path = self._file()
        content = READERS[_suffix(path)](path, (self.text_column, self.label_column, self.split_column))
        others = [name for name in content.others if name]
        notes = [
            *([content.note] if content.note else []),
            *([f"{path}: not used: the columns {', '.join(map(repr, others))}"] if others else []),
        ]
        name = self.name or path.name.removesuffix(".gz").rpartition(".")[0]
        return text_dataset(name, path, content.rows, self.label_space, notes=notes, task=self.task)

    def state(self) -> Hashable:
        """Return the file's time and size: a file that was written again is loaded again."""
        status = self._file().stat()
        return status.st_mtime_ns, status.st_size

    def _file(self) -> Path:
        path = required_path(self.path, "dataset.path")
        if _suffix(path) not in READERS or not path.is_file():
            what = "a folder" if path.is_dir() else f"a file that ends in {path.suffix or 'nothing'}"
            raise DataError(
                f"dataset.path={self.path} is {what}, expected a file that ends in {', '.join(READERS)}.\n"
                "Save the table as one of these, with the columns text, label and split."
            )
        return path


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _csv(path: Path, columns: tuple[str, str, str]) -> Content:
    table = read_table(path, columns)
    rows = [Row(f"{path}, line {line}", *cells) for line, *cells in manifest_rows(table, columns, may_be_empty=columns)]
    return Content([name for name in table.columns if name not in columns], rows, table.note)


def _json_lines(path: Path, columns: tuple[str, str, str]) -> Content:
    """Read one object a line."""
    found = list(_objects(path))
    names = dict.fromkeys(name for _, row in found for name in row)
    spelled = dict(zip(names, as_known(list(names), columns), strict=True))
    if (absent := [name for name in columns if name not in spelled.values()]) and found:
        raise lacks(path, absent, list(names), f"{', '.join(columns)} in each object, a line each")
    placed = [(place, {spelled[name]: value for name, value in row.items()}) for place, row in found]
    rows = [Row(place, *(row.get(column) for column in columns)) for place, row in placed]
    return Content([name for name in spelled.values() if name not in columns], rows)


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of a file of JSON Lines, and where it stands."""
    text, _ = read_text(path, "JSON Lines")
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{path}, line {number}"
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{place}: not JSON ({error}).\n{JSON_LINES}") from None
            if not isinstance(row, dict):
                raise DataError(f"{place}: a {type(row).__name__}, expected an object.\n{JSON_LINES}")
            yield place, row


def _parquet(path: Path, columns: tuple[str, str, str]) -> Content:
    """Read the columns; rows are counted from 0, as in arrays."""
    import pyarrow as pa
    from pyarrow import parquet

    with reading(path, "a Parquet file", pa.ArrowException, OSError), parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = as_known(schema.names, columns)
        if absent := [name for name in columns if name not in names]:
            raise lacks(path, absent, schema.names, f"the columns {', '.join(columns)}")
        if twice := [name for name in columns if names.count(name) > 1]:
            raise DataError(f"{path} has the column {twice[0]} more than once.\nKeep one of them.")
        written = [schema.names[names.index(name)] for name in columns]
        table = file.read(columns=written)
        cells = [_values(table[name], name, path) for name in written]
    # pandas keeps an index that was set as a column.
    index = {name for name in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(name, str)}
    rows = [Row(f"{path}, row {number}", *row) for number, row in enumerate(zip(*cells, strict=True))]
    return Content([name for name in schema.names if name not in (*written, *index)], rows)


def _values(column: Any, name: str, path: Path) -> list[Any]:
    """Return a column's values as Python has them."""
    values: list[Any] = []
    try:
        values.extend(value.as_py() for value in column)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, row {len(values)}: {name} is not UTF-8 text ({error.reason} at byte {error.start}).\n"
            "Decode it in the encoding that it has before the table is saved."
        ) from None
    return values


READERS: dict[str, Callable[[Path, tuple[str, str, str]], Content]] = {
    ".csv": _csv, ".tsv": _csv, ".txt": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_lines,
    ".parquet": _parquet,
}  # fmt: skip
