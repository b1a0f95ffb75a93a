"""Embeddings from a .npz file. No pickle is ever read."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.datasets.offsets import shift
from scaling.datasets.rows import (
    FileContent,
    Rows,
    as_text,
    checked_features,
    checked_labels,
    in_parts,
    lacks,
    one_dimensional,
    reading,
    same_length,
    train_rows,
)  # fmt: skip

WHOLE = ("features", "labels", "split")
IN_PARTS = ("train_features", "train_labels", "test_features", "test_labels")


def read_npz(path: Path) -> FileContent:
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


def _from_arrays(archive: Any, path: Path) -> FileContent:
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
    names = [("features", "labels")] if form is WHOLE else [(f"{w}_features", f"{w}_labels") for w in ("train", "test")]
    labels = [checked_labels(_array(archive, of, path), of, path) for _, of in names]
    train = train_rows(_array(archive, "split", path), "split", path) if form is WHOLE else None
    given = [_array(archive, of, path) for of, _ in names]
    features = [checked_features(array, of, path) for array, (of, _) in zip(given, names, strict=True)]
    for part, found, (of, other) in zip(features, labels, names, strict=True):
        same_length({of: len(part), other: len(found), **({} if train is None else {"split": len(train)})}, path)
        if len(part) == 0:
            raise DataError(f"{path}: {of} holds no row.\nBoth parts are needed.")
    widths = [part.shape[1] for part in features]
    if widths[0] != widths[-1]:
        raise DataError(
            f"{path}: train_features have {widths[0]} columns, test_features have {widths[1]}.\n"
            "Both parts have to come from the same encoder."
        )
    shifted = shift(features, given, [str(column) for column in range(widths[0])], path)
    if train is not None:
        return FileContent(*in_parts(features[0], labels[0], train), class_names, shifted)
    both = [Rows(part, found) for part, found in zip(features, labels, strict=True)]
    return FileContent(both[0], both[1], class_names, shifted)


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
