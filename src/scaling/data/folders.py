"""A user's own images: a folder a class, or a CSV that names files, labels and splits."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.core.errors import DataError
from scaling.data.base import Dataset, FileImages, Split, verify

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
LAYOUT = "expected ROOT/train/CLASS/IMAGE and ROOT/test/CLASS/IMAGE"
MANIFEST_COLUMNS = ("path", "label", "split")


@dataclass(frozen=True)
class ImageFolder:
    """Images under root/train/CLASS and root/test/CLASS.

    Attributes:
        label_space: what the classes mean, where a model's own head should be evaluated on them. The classes
            are the folders' names in sorted order.
    """

    root: str | None
    name: str = "image_folder"
    label_space: str | None = None

    def load(self) -> Dataset:
        """List, check and label the files.

        Raises:
            DataError: a folder or class is missing, or a file is not an image.
        """
        root = required_path(self.root, "dataset.root")
        names = sorted({folder.name for part in ("train", "test") for folder in subfolders(root / part)})
        if len(names) < 2:
            raise DataError(f"{root} holds {len(names)} class folders, at least 2 are needed: {LAYOUT}.")

        def split(part: str) -> Split:
            files = [(file, label) for label, name in enumerate(names) for file in images_in(root / part / name)]
            return file_split(files)

        dataset = Dataset(self.name, tuple(names), split("train"), split("test"), self.label_space, str(root))
        return verify(dataset)


@dataclass(frozen=True)
class Manifest:
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
        rows = read_manifest(path)
        names = sorted({row["label"] for _, row in rows})
        if len(names) < 2:
            raise DataError(f"{path} names {len(names)} classes, at least 2 are needed.")
        codes = {name: code for code, name in enumerate(names)}
        parts: dict[str, list[tuple[Path, int]]] = {"train": [], "test": []}
        for line, row in rows:
            file = path.parent / row["path"]
            if row["split"] not in parts:
                raise DataError(f"{path}, line {line}: split is {row['split']!r}, expected train or test.")
            if not file.is_file():
                raise DataError(f"{path}, line {line}: {file} does not exist. Paths are relative to the CSV.")
            parts[row["split"]].append((file, codes[row["label"]]))
        dataset = Dataset(
            self.name, tuple(names), file_split(parts["train"]), file_split(parts["test"]), self.label_space,
            str(path),
        )  # fmt: skip
        return verify(dataset)


def required_path(value: str | None, setting: str) -> Path:
    """Return an existing path that a setting names, or raise DataError."""
    if not value:
        raise DataError(f"This data set needs {setting}=PATH.")
    path = Path(value).expanduser()
    if not path.exists():
        raise DataError(f"{setting}={value}: there is no such file or folder.")
    return path


def subfolders(folder: Path) -> list[Path]:
    """Return the class folders below a part, or raise DataError where the part is missing."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: {LAYOUT}.")
    return [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a class, at any depth, sorted."""
    files = folder.rglob("*") if folder.is_dir() else []
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES and file.is_file())


def file_split(files: Iterable[tuple[Path, int]]) -> Split:
    """Make a split of (file, label) pairs whose headers say that they are images."""
    files = list(files)
    for file, _ in files:
        check_header(file)
    return Split(FileImages(tuple(file for file, _ in files)), np.array([label for _, label in files], np.int64))


def check_header(file: Path) -> None:
    """Raise DataError where a file is no image; damage further in is found when it is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.verify()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{file} is not an image that can be read ({type(error).__name__}).\nReplace it or remove it."
        ) from error


def read_manifest(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a manifest with their line numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            absent = [column for column in MANIFEST_COLUMNS if column not in columns]
            if absent:
                raise DataError(
                    f"{path} lacks the column {', '.join(absent)}: it has {', '.join(columns) or 'none'},"
                    f" expected {', '.join(MANIFEST_COLUMNS)}."
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read as a CSV file: {error}.") from error
    for line, row in rows:
        if any(not row[column] for column in MANIFEST_COLUMNS):
            raise DataError(f"{path}, line {line}: a value is missing; {', '.join(MANIFEST_COLUMNS)} are needed.")
    return rows
