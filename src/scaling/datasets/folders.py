"""A user's own images in folders, a folder a class."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.parting import HOLD_OUT, Parting
from scaling.modalities.images import FileImages
from scaling.modalities.images.decoding import HEIF_INSTALL, HEIF_SUFFIXES, Seen, Viewing, is_picture, suffixes
from scaling.tasks import Classification, Task

LAYOUT = "expected ROOT/train/CLASS/IMAGE and ROOT/test/CLASS/IMAGE"
PARTS = ("train", "test")
#: What systems put into folders of pictures: nobody takes it for pictures or classes.
SYSTEM = (
    *("Thumbs.db", "desktop.ini", "Icon\r"),
    *("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
)
#: Up to which share of their type's range the values of all pictures count as those of another type, as 12 bits in
#: files of 16; up to which share it is worth a note.
NARROW, DARK = 1 / 16, 1 / 2


@dataclass(frozen=True)
class ImageFolder(Viewing, Parting):
    """Images under root/train/CLASS and root/test/CLASS; where a test part is held out, root/CLASS will do.

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
            DataError: a folder or class is missing, a file is not an image, or a link leads nowhere.
        """
        root = required_path(self.root, "dataset.root")
        left: Counter[str] = Counter()
        whole = self.test is not None and not (root / "test").is_dir()
        train_root = root if whole and not (root / "train").is_dir() else root / "train"
        folders = {"train": subfolders(train_root, left), "test": [] if whole else subfolders(root / "test", left)}
        names = class_names((folder.name for part in PARTS for folder in folders[part]), root)
        codes = {name: code for code, name in enumerate(dict.fromkeys(names.values()))}
        if len(codes) < 2:
            raise DataError(f"{root} holds {len(codes)} class folders, at least 2 are needed: {LAYOUT}.")

        def split(part: str) -> Split:
            files = [
                (code, file)
                for folder in folders[part]
                for code in [codes[names[folder.name]]]
                for file in images_in(folder, left)
            ]
            return file_split(((file, code) for code, file in sorted(files)), self)

        train, test = map(split, PARTS)
        train, test, said = self.parts(train, test, Classification(tuple(codes)), root)
        beside = [] if train_root == root else _entries(root, left)
        others = [entry.name for entry in beside if entry.is_dir() and entry.name not in PARTS]
        notes = [
            *([f"{root}: {_counted(left)} left out"] if left else []),
            *([f"{root}: only train and test are read, not {', '.join(others)}"] if others else []),
            *said,
        ]
        return picture_dataset(self.name, tuple(codes), train, test, self.label_space, root, notes)


def required_path(value: str | None, setting: str) -> Path:
    """Return an existing path that a setting names, or raise DataError."""
    if not value:
        raise DataError(f"This data set needs {setting}=PATH.")
    path = Path(value).expanduser()
    if not path.exists():
        raise DataError(f"{setting}={value}: there is no such file or folder.")
    return path


def subfolders(folder: Path, left: Counter[str]) -> list[Path]:
    """Return the class folders below a part, and count files beside them; DataError where the part is missing."""
    if not folder.is_dir():
        if folder.is_symlink():
            raise DataError(unfetched(folder))
        others = [entry.name for entry in _entries(folder.parent, Counter()) if entry.is_dir()]
        there = f"\nThere are: {', '.join(others[:10])}." if others else ""
        way = f"\n{HOLD_OUT}" if folder.name == "test" else ""
        raise DataError(f"There is no folder {folder}: {LAYOUT}.{there}{way}")
    entries = _entries(folder, left)
    left.update(f"{_kind(entry)} outside of class folders" for entry in entries if entry.is_file())
    return [entry for entry in entries if entry.is_dir()]


def images_in(folder: Path, left: Counter[str]) -> list[Path]:
    """Return the image files of a class, at any depth, sorted, and count the others.

    Raises:
        DataError: there are only others, or a link leads nowhere.
    """
    here: Counter[str] = Counter()
    files = sorted(_images(folder, frozenset(folder.resolve().parents), here))
    if here and not files:
        raise DataError(
            f"{folder} holds no picture that can be read here, but {_counted(here)}.\n"
            "Convert them to PNG or JPEG, or leave the class out of both parts."
        )
    left.update(here)
    return files


def _images(folder: Path, above: frozenset[Path], left: Counter[str]) -> Iterator[Path]:
    """Yield the image files below a folder; a link to a folder above leads to nothing new."""
    real = folder.resolve()
    if real in above:
        return
    for entry in _entries(folder, left):
        if entry.is_dir():
            yield from _images(entry, above | {real}, left)
        elif entry.is_file():  # no pipe or socket
            if entry.suffix.lower() in suffixes() or (not entry.suffix and is_picture(entry)):
                yield entry
            else:
                left[_kind(entry)] += 1


def _entries(folder: Path, left: Counter[str]) -> list[Path]:
    """Return what a folder shows, sorted; pictures that are hidden are counted, but for those of systems.

    Raises:
        DataError: the folder can't be read, or a link leads nowhere.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror}).") from error
    hidden = [entry for entry in entries if entry.name.startswith(".")]
    for entry in hidden:
        if entry.suffix == ".icloud" and Path(entry.stem).suffix.lower() in suffixes():
            raise DataError(
                f"{entry} only stands for a picture that was not fetched.\nFetch it: brctl download {entry.parent}"
            )
    left.update(
        f"hidden {_kind(entry)}"
        for entry in hidden
        if entry.suffix.lower() in suffixes() and not entry.name.startswith("._")
    )
    shown = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in SYSTEM]
    for entry in shown:
        if entry.is_symlink() and not entry.exists():
            raise DataError(unfetched(entry))
    return shown


def unfetched(link: Path) -> str:
    """Say that a link leads nowhere."""
    return (
        f"{link} is a link to {link.readlink()}, which does not exist.\n"
        "Fetch the data (git annex get, dvc pull), mount their disk, or remove the link."
    )


def _kind(file: Path) -> str:
    return file.suffix.lower() or "without a suffix"


def _counted(left: Counter[str]) -> str:
    """Write what was left out: 30 .heic (pip install pillow-heif), 1 .txt."""
    return ", ".join(
        f"{number} {kind}" + (f" (to read them: {HEIF_INSTALL})" if kind in HEIF_SUFFIXES else "")
        for kind, number in sorted(left.items(), key=lambda found: (-found[1], found[0]))
    )


def file_split(files: Iterable[tuple[Path, Any]], viewing: Viewing, groups: NDArray[np.str_] | None = None) -> Split:
    """Make a split of (file, target) pairs whose headers say that they are images."""
    files = list(files)
    images = FileImages(tuple(file for file, _ in files), viewing)
    _ = images.seen  # raises where one is none
    targets = np.array([target for _, target in files])
    return Split(images, targets if targets.ndim > 1 else targets.astype(np.int64), groups)


def picture_dataset(
    name: str, classes: tuple[str, ...], train: Split, test: Split, label_space: str | None, source: Path,
    notes: Sequence[str], kind: Callable[[tuple[str, ...]], Task] = Classification,
) -> Dataset:  # fmt: skip
    """Verify a data set of files, and note what of them isn't read as one might think.

    Raises:
        DataError: it lacks samples of a class, or its values need a scale.
    """
    images = [cast(FileImages, split.samples) for split in (train, test)]
    seen = [found for part in images for found in part.seen]
    several = [path.name for part in images for path, found in zip(part.paths, part.seen, strict=True) if found.frames]
    shown = ", ".join(several[:3]) + (", …" if len(several) > 3 else "")
    notes = [
        *notes,
        *_on_ranges(seen, source),
        *(
            [f"{source}: only the first picture is read of {len(several)} files with several ({shown})"]
            if several
            else []
        ),
    ]
    return verify(Dataset(name, classes, train, test, label_space, str(source), tuple(notes), kind))


def _on_ranges(seen: Sequence[Seen], source: Path) -> Iterator[str]:
    """Note pictures of 16 bits that are dark; raise DataError where all of them lie in the lowest part of the range."""
    values = [found.brightest for found in seen if found.brightest is not None]
    for top in sorted({top for _, top in values}):
        brightest = max(value for value, other in values if other == top)
        said = (
            f"{source}: the largest value of its {sum(other == top for _, other in values)} pictures of 16 bits is"
            f" {brightest:g} of {top:g}"
        )
        fewer = (1 << int(brightest).bit_length()) - 1
        if brightest / top <= NARROW:
            raise DataError(
                f"{said}: a viewer shows them all but black.\nSay which values are black and white, as in"
                f" dataset.pixel_range=[0,{max(fewer, 255)}]; [0,{top:g}] keeps them as they are."
            )
        if brightest / top <= DARK:
            yield f"{said}; if that is white, set dataset.pixel_range=[0,{fewer}]"
