"""Embeddings from a .npz file. No pickle is ever read."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.datasets.offsets import Part, range_of, shift
from scaling.datasets.rows import (
    Content,
    Rows,
    as_text,
    checked_features,
    checked_labels,
    in_blocks,
    in_parts,
    lacks,
    one_dimensional,
    reading,
    same_length,
    train_rows,
)  # fmt: skip

WHOLE = ("features", "labels", "split")
IN_PARTS = ("train_features", "train_labels", "test_features", "test_labels")


def read_npz(path: Path) -> Content:
    """Read an archive of arrays.

    Raises:
        DataError: it is damaged, lacks an array, or an array can't be used.
    """
    damage = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
    # NumPy leaves a file open that it opened and can't read.
    with reading(path, "a .npz file", *damage), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(
                f"{path} holds a single array.\nSave it with numpy.savez(FILE, features=…, labels=…, split=…)."
            )
        return _from_arrays(archive, path)


def _from_arrays(archive: Any, path: Path) -> Content:
    there = list(archive.files)
    forms = {form for form in (WHOLE, IN_PARTS) if set(form) & set(there)}
    if len(forms) == 2:
        raise DataError(
            f"{path} has arrays of both forms: {', '.join(there)}.\n"
            f"Keep either {', '.join(WHOLE)} or {', '.join(IN_PARTS)}."
        )
    form = forms.pop() if forms else WHOLE
    if absent := [name for name in form if name not in there]:
        raise lacks(path, absent, there, f"{', '.join(WHOLE)}; or {', '.join(IN_PARTS)}")
    class_names = _class_names(archive, path) if "class_names" in there else None
    if form is WHOLE:
        labels = checked_labels(_array(archive, "labels", path), "labels", path)
        train = train_rows(_array(archive, "split", path), "split", path)
        part = _part(archive, "features", {"labels": len(labels), "split": len(train)}, path)
        shifted = _shifted([part], path)
        return Content(*in_parts(part.features, labels, train), class_names, shifted)
    parts, rows = [], []
    for which in ("train", "test"):
        names = f"{which}_features", f"{which}_labels"
        labels = checked_labels(_array(archive, names[1], path), names[1], path)
        parts.append(_part(archive, names[0], {names[1]: len(labels)}, path))
        rows.append(Rows(parts[-1].features, labels))
    train_width, test_width = (part.features.shape[1] for part in parts)
    if train_width != test_width:
        raise DataError(
            f"{path}: train_features have {train_width} columns, test_features have {test_width}.\n"
            "Both parts have to come from the same encoder."
        )
    return Content(rows[0], rows[1], class_names, _shifted(parts, path))


def _part(archive: Any, name: str, lengths: dict[str, int], path: Path) -> Part:
    """Read features, of which there have to be as many rows as of what belongs to them."""
    array = _array(archive, name, path)
    features = checked_features(array, name, path)
    same_length({name: len(features), **lengths}, path)
    if len(features) == 0:
        raise DataError(f"{path}: {name} holds no row.\nBoth parts are needed.")
    return Part(features, range_of(array), lambda: in_blocks(_array(archive, name, path)))


def _shifted(parts: list[Part], path: Path) -> tuple[str, ...]:
    return shift(parts, [str(column) for column in range(parts[0].features.shape[1])], path)


def _array(archive: Any, name: str, path: Path) -> NDArray[Any]:
    try:
        array = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        numbers = ", or whole numbers" if name.endswith("labels") else ""
        how = f"numpy.stack({name})" if name.endswith("features") else f"{name}.astype(str){numbers}"
        raise DataError(
            f"{path}: {name} is an array of Python objects, which only a pickle can hold; none is read.\nSave {how}."
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: {name} is no array.\nWrite the file with numpy.savez.")
    return array


def _class_names(archive: Any, path: Path) -> tuple[str, ...]:
    array = _array(archive, "class_names", path)
    one_dimensional(array, "class_names", path)
    if array.dtype.kind not in "USiu":
        raise DataError(f"{path}: class_names is an array of {array.dtype}, expected text.")
    written = [str(name) for name in as_text(array, "class_names", path).tolist()]
    names = tuple(map(class_names(written, path).__getitem__, written))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: class_names has {twice[0]!r} more than once.\nGive each class a name of its own.")
    return names
