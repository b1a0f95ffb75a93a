"""A user's own clips of audio in folders, a folder a class."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.folders import PARTS, required_path, subfolders
from scaling.modalities.audio import SUFFIXES, Clips


@dataclass(frozen=True)
class AudioFolder:
    """Clips under root/train/CLASS and root/test/CLASS, at any depth; the classes are the folders' names, sorted."""

    root: str | None
    name: str = "audio_folder"
    label_space: str | None = None

    def load(self) -> Dataset:
        """List, check and label the files.

        Raises:
            DataError: a folder or class is missing, or a file can't be read as audio.
        """
        root = required_path(self.root, "dataset.root")
        left: Counter[str] = Counter()
        folders = {part: subfolders(root / part, left) for part in PARTS}
        names = class_names((folder.name for part in PARTS for folder in folders[part]), root)
        codes = {name: code for code, name in enumerate(dict.fromkeys(names.values()))}
        if len(codes) < 2:
            raise DataError(f"{root} holds {len(codes)} class folders, at least 2 are needed.")

        def split(part: str) -> Split:
            files = [(codes[names[folder.name]], file) for folder in folders[part] for file in clips_in(folder, left)]
            return clip_split(sorted(files))

        train, test = map(split, PARTS)
        counted = ", ".join(f"{number} {kind}" for kind, number in left.most_common())
        notes = (f"{root}: {counted} left out",) if left else ()
        return verify(Dataset(self.name, tuple(codes), train, test, self.label_space, str(root), notes))


def clips_in(folder: Path, left: "Counter[str]") -> list[Path]:
    """Return the audio files of a class, sorted, and count the others by suffix.

    Raises:
        DataError: there is none.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    clips = [file for file in files if file.suffix.lower() in SUFFIXES]
    left.update(file.suffix.lower() or "without a suffix" for file in files if file not in set(clips))
    if not clips:
        raise DataError(
            f"{folder} holds no audio: expected {', '.join(SUFFIXES)}.\nConvert it, or leave the class out."
        )
    return clips


def clip_split(files: list[tuple[int, Path]]) -> Split:
    """Make a split of labels and files, after a look at each."""
    clips = Clips(tuple(file for _, file in files))
    _ = clips.seen  # raises where one is no audio
    return Split(clips, np.array([code for code, _ in files], np.int64))
