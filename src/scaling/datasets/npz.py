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
from scaling.datasets.parting import GROUP, HOLD_OUT
from scaling.datasets.rows import (
    FileContent,
    Rows,
    as_text,
    checked_features,
    checked_groups,
    checked_labels,
    in_parts,
    lacks,
    one_dimensional,
    reading,
    same_length,
    train_rows,
)  # fmt: skip

WHOLE = ("features", "labels", "split")
#: Groups, in either form.
GROUPS = (GROUP, f"train_{GROUP}", f"test_{GROUP}")
IN_PARTS = ("train_features", "train_labels", "test_features", "test_labels")


def read_npz(path: Path, held_out: bool = False) -> FileContent:
    """Read an archive of arrays.

    Args:
        held_out: whether a test part is held out, so that split may be wanting.

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
        return _from_arrays(archive, path, held_out)


def _from_arrays(archive: Any, path: Path, held_out: bool) -> FileContent:
    there = list(archive.files)
    forms = {form for form in (WHOLE, IN_PARTS) if set(form) & set(there)}
    if len(forms) == 2:
        raise DataError(
            f"{path} has arrays of both forms: {', '.join(there)}.\n"
            f"Keep either {', '.join(WHOLE)} or {', '.join(IN_PARTS)}."
        )
    form: tuple[str, ...] = forms.pop() if forms else WHOLE
    if held_out and form is WHOLE and "split" not in there:
        form = WHOLE[:2]
    if absent := [name for name in form if name not in there]:
        alone = f". {HOLD_OUT}" if absent == ["split"] else ""
        raise lacks(path, absent, there, f"{', '.join(WHOLE)}; or {', '.join(IN_PARTS)}{alone}")
    class_names = _class_names(archive, path) if "class_names" in there else None
    names = (
        [("features", "labels")]
        if form is not IN_PARTS
        else [(f"{w}_features", f"{w}_labels") for w in ("train", "test")]
    )
    labels = [checked_labels(_array(archive, of, path), of, path) for _, of in names]
    train = train_rows(_array(archive, "split", path), "split", path, held_out) if form is WHOLE else None
    of_groups = GROUPS[1:] if form is IN_PARTS else GROUPS[:1]
    in_groups = any(name in there for name in of_groups)
    if in_groups and (absent := [name for name in of_groups if name not in there]):
        raise lacks(path, absent, there, " and ".join(of_groups))
    groups = [checked_groups(_array(archive, of, path), of, path) if in_groups else None for of in of_groups]
    given = [_array(archive, of, path) for of, _ in names]
    features = [checked_features(array, of, path) for array, (of, _) in zip(given, names, strict=True)]
    for part, found, named, (of, other), group in zip(features, labels, groups, names, of_groups, strict=True):
        more = {**({} if train is None else {"split": len(train)}), **({} if named is None else {group: len(named)})}
        same_length({of: len(part), other: len(found), **more}, path)
        if len(part) == 0:
            raise DataError(f"{path}: {of} holds no row.\nBoth parts are needed.")
    widths = [part.shape[1] for part in features]
    if widths[0] != widths[-1]:
        raise DataError(
            f"{path}: train_features have {widths[0]} columns, test_features have {widths[1]}.\n"
            "Both parts have to come from the same encoder."
        )
    shifted = shift(features, given, [str(column) for column in range(widths[0])], path)
    if form is not IN_PARTS:
        return FileContent(*in_parts(features[0], labels[0], train, groups[0]), class_names, shifted)
    both = [Rows(*found) for found in zip(features, labels, groups, strict=True)]
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
