"""Embeddings from a .parquet file, read in batches of rows."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.datasets.offsets import shift
from scaling.datasets.parting import GROUP, HOLD_OUT
from scaling.datasets.rows import (
    FileContent,
    checked_features,
    checked_groups,
    checked_labels,
    in_parts,
    lacks,
    reading,
    train_rows,
)  # fmt: skip

LABELS = ("label", "labels")
EXPECTED = "label, split, and features as a column of lists or one column each"


def read_parquet(path: Path, held_out: bool = False) -> FileContent:
    """Read a table.

    Args:
        held_out: whether a test part is held out, so that the column split may be wanting.

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
        absent = [
            name for name, there in (("label", bool(labels)), ("split", held_out or "split" in names)) if not there
        ]
        if absent:
            raise lacks(path, absent, names, f"{EXPECTED}. {HOLD_OUT}" if absent == ["split"] else EXPECTED)
        if len(labels) == 2:
            raise DataError(f"{path} has the columns label and labels.\nKeep the one that holds the class.")
        table = file.read(columns=[labels[0], *(name for name in ("split", GROUP) if name in names)])
        train = train_rows(_values(table, "split", path), "split", path, held_out) if "split" in names else None
        groups = checked_groups(_values(table, GROUP, path), GROUP, path) if GROUP in names else None
        classes = checked_labels(_values(table, labels[0], path), labels[0], path)
        given, columns = (_listed if "features" in names else _wide)(file, labels[0], path)
        features = checked_features(given, "features" if "features" in names else "the features", path)
        shifted = shift([features], [given], columns, path)
        return FileContent(*in_parts(features, classes, train, groups), shifted=shifted)


def _values(table: Any, name: str, path: Path) -> NDArray[Any]:
    """Return a column without gaps as numbers or text, of lists as a matrix, or raise DataError."""
    import pyarrow as pa

    column = table[name]
    _no_gap(column, name, path)
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


def _listed(file: Any, label: str, path: Path) -> tuple[NDArray[Any], list[str]]:
    """Return the lists of numbers as a matrix; its columns are called by their places."""
    from pyarrow import compute

    kind = file.schema_arrow.field("features").type
    if not _is_list(kind) or not _is_number(kind.value_type):
        raise DataError(
            f"{path}: the column features is of the type {kind}, expected lists of numbers.\n"
            "Or leave it out, and give one column a feature."
        )
    column = file.read(columns=["features"])["features"]
    _no_gap(column, "features", path)
    lengths = compute.list_value_length(column).to_numpy()
    width = int(lengths[0])
    if width == 0 or (lengths != width).any():
        row = int((lengths != width).argmax())
        raise DataError(
            f"{path}: row {row} of features has {lengths[row]} numbers, row 0 has {width}.\n"
            "All rows need the same number, at least 1."
        )
    values = compute.list_flatten(column)
    _no_gap(values, "features", path, width)
    return values.to_numpy().reshape(-1, width), [str(place) for place in range(width)]


def _wide(file: Any, label: str, path: Path) -> tuple[NDArray[Any], list[str]]:
    """Return every column but label and split as a feature, in the file's order, and their names."""
    schema = file.schema_arrow
    # pandas keeps an index that was set as a column; it is no feature.
    index = {name for name in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(name, str)}
    fields = [field for field in schema if field.name not in {label, "split", GROUP, *index}]
    if not fields:
        raise lacks(path, ["features"], schema.names, EXPECTED)
    if other := [f"{field.name} ({field.type})" for field in fields if not _is_number(field.type)]:
        raise DataError(
            f"{path}: every column beside {label} and split is a feature, but these hold no numbers:"
            f" {', '.join(other[:5])}.\nLeave them out, turn them into numbers, or put the features into a column"
            " of lists called features."
        )
    kind = np.result_type(*(field.type.to_pandas_dtype() for field in fields))
    features = np.empty((file.metadata.num_rows, len(fields)), kind)
    for place, field in enumerate(fields):
        column = file.read(columns=[field.name])[field.name]  # one at a time: a table of all would be held twice
        _no_gap(column, field.name, path)
        features[:, place] = column.to_numpy()
    return features, [field.name for field in fields]


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _no_gap(column: Any, name: str, path: Path, width: int = 1) -> None:
    """Raise DataError at the first missing value of a column, `width` values a row."""
    if column.null_count:
        gap = int(column.is_null().to_numpy().argmax()) // width
        raise DataError(f"{path}: row {gap} of {name} has no value.\nLeave such samples out, or fill in a value.")
