"""Embeddings from a .parquet file, read in batches of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.datasets.offsets import Blocks, shift
from scaling.datasets.rows import (
    BLOCK_ELEMENTS,
    Content,
    checked_labels,
    gathered,
    in_parts,
    lacks,
    reading,
    train_rows,
)  # fmt: skip

LABELS = ("label", "labels")
EXPECTED = "label, split, and features as a column of lists or one column each"
#: Rows of a batch where the length of the lists isn't known yet.
BATCH_ROWS = 4096


def read_parquet(path: Path) -> Content:
    """Read a table.

    Raises:
        DataError: it is damaged, lacks a column, or a column can't be used.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with reading(path, "a Parquet file", pa.ArrowException, OSError), parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{path} has the column {twice[0]} more than once.\nGive each column a name of its own.")
        labels = [name for name in LABELS if name in names]
        absent = [name for name, there in (("label", bool(labels)), ("split", "split" in names)) if not there]
        if absent:
            raise lacks(path, absent, names, EXPECTED)
        if len(labels) == 2:
            raise DataError(f"{path} has the columns label and labels.\nKeep the one that holds the class.")
        table = file.read(columns=[labels[0], "split"])
        train = train_rows(_values(table, "split", path), "split", path)
        classes = checked_labels(_values(table, labels[0], path), labels[0], path)
        columns, blocks = _listed(file, path) if "features" in names else _wide(file, labels[0], path)
        part = gathered(blocks, len(train), "features" if "features" in names else "the features", path)
        shifted = shift([part], columns or [str(column) for column in range(part.features.shape[1])], path)
        return Content(*in_parts(part.features, classes, train), shifted=shifted)


def _values(table: Any, name: str, path: Path) -> NDArray[Any]:
    """Return a column without gaps as numbers or text, of lists as a matrix, or raise DataError."""
    import pyarrow as pa

    column = table[name]
    _no_gap(column, 0, f"{name}", path)
    if pa.types.is_dictionary(column.type):  # what pandas calls a category
        column = column.cast(column.type.value_type)
    kind = column.type
    if _is_number(kind):
        return column.to_numpy()
    if _is_list(kind) and _is_number(kind.value_type):
        rows = column.to_pylist()
        if len({len(row) for row in rows}) > 1 or None in {entry for row in rows for entry in row}:
            raise DataError(f"{path}: the lists of {name} are not all full and of one length.\nSave 0 or 1 for each.")
        return np.array(rows)
    if any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        return np.array(column.to_pylist(), dtype=np.str_)
    raise DataError(f"{path}: the column {name} is of the type {kind}, expected text or whole numbers.")


def _listed(file: Any, path: Path) -> tuple[list[str], Blocks]:
    """Return how the column of lists is read; its numbers have no names."""
    from pyarrow import compute

    kind = file.schema_arrow.field("features").type
    if not _is_list(kind) or not _is_number(kind.value_type):
        raise DataError(
            f"{path}: the column features is of the type {kind}, expected lists of numbers.\n"
            "Or leave it out, and give one column a feature."
        )

    def blocks() -> Iterator[NDArray[Any]]:
        width = 0
        for start, batch in _numbered(file.iter_batches(BATCH_ROWS, columns=["features"])):
            column = batch.column(0)
            _no_gap(column, start, "features", path)
            lengths = compute.list_value_length(column).to_numpy()
            width = width or int(lengths[0])
            if width == 0 or (lengths != width).any():
                row = int((lengths != width).argmax())
                raise DataError(
                    f"{path}: row {start + row} of features has {lengths[row]} numbers, row 0 has {width}.\n"
                    "All rows need the same number, at least 1."
                )
            values = column.flatten()
            if values.null_count:
                _no_gap(values, start, "features", path, width)
            yield values.to_numpy(zero_copy_only=False).reshape(-1, width)

    return [], blocks


def _wide(file: Any, label: str, path: Path) -> tuple[list[str], Blocks]:
    """Return how every column but label and split is read as a feature, in the file's order, and their names."""
    schema = file.schema_arrow
    # pandas keeps an index that was set as a column; it is no feature.
    index = {name for name in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(name, str)}
    fields = [field for field in schema if field.name not in {label, "split", *index}]
    if not fields:
        raise lacks(path, ["features"], schema.names, EXPECTED)
    if other := [f"{field.name} ({field.type})" for field in fields if not _is_number(field.type)]:
        raise DataError(
            f"{path}: every column beside {label} and split is a feature, but these hold no numbers:"
            f" {', '.join(other[:5])}.\nLeave them out, turn them into numbers, or put the features into a column"
            " of lists called features."
        )
    names = [field.name for field in fields]
    kind = np.result_type(*(field.type.to_pandas_dtype() for field in fields))

    def blocks() -> Iterator[NDArray[Any]]:
        for start, batch in _numbered(file.iter_batches(max(1, BLOCK_ELEMENTS // len(names)), columns=names)):
            block = np.empty((batch.num_rows, len(names)), kind)
            for position, name in enumerate(names):
                column = batch.column(name)
                _no_gap(column, start, name, path)
                block[:, position] = column.to_numpy(zero_copy_only=False)
            yield block

    return names, blocks


def _numbered(batches: Any) -> Iterator[tuple[int, Any]]:
    """Give each batch the number of its first row."""
    start = 0
    for batch in batches:
        yield start, batch
        start += batch.num_rows


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _no_gap(column: Any, start: int, name: str, path: Path, width: int = 1) -> None:
    """Raise DataError at the first missing value of a column, `width` values a row."""
    if column.null_count:
        gap = int(np.asarray(column.is_null()).argmax()) // width
        raise DataError(
            f"{path}: row {start + gap} of {name} has no value.\nLeave such samples out, or fill in a value."
        )
