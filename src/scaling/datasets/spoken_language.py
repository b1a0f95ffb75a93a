"""Spoken language: letters and syllables in 20 languages, as the KDE game KLettres says them (GPL-2 or later).

A fifth of the clips, drawn by their content, is the test set. Each language was recorded by few people in one place, so
that voice and recording tell it as well as its sounds do.
"""

from dataclasses import dataclass
from pathlib import Path

from scaling.core.errors import DataError
from scaling.datasets.audio_folder import clip_split
from scaling.datasets.base import Dataset, verify
from scaling.datasets.packages import fetch_from_debian
from scaling.modalities.audio import look

PACKAGE, FOLDER = "klettres-data", "usr/share/klettres"
INSTALLED = Path("/", FOLDER)
#: Of so many clips, one is a test clip.
EVERY = 5
#: Numbers of languages and clips of version 22.12.
COUNTS = (20, 1836)


@dataclass(frozen=True)
class SpokenLanguage:
    """The clips under `data_dir`/spoken_language or of Debian's package where it is installed; else it is fetched."""

    data_dir: str
    name: str = "spoken_language"
    download: bool = True

    def load(self) -> Dataset:
        """Read, split and verify the clips.

        Raises:
            DataError: they are not there and can't be fetched, or are damaged.
        """
        own = Path(self.data_dir) / "spoken_language"
        root = next((place for place in (own, INSTALLED) if any(place.glob("*/*/*.ogg"))), None)
        if root is None:
            self._fetch(own)
            root = own
        files = sorted(root.glob("*/*/*.ogg"))
        languages = sorted({file.parts[-3] for file in files})
        if (found := (len(languages), len(files))) != COUNTS:
            raise DataError(
                f"{root} holds {found[1]} clips in {found[0]} languages, expected {COUNTS[1]} in {COUNTS[0]}.\n"
                "It is damaged or another version: delete the folder and fetch it again."
            )
        parts: dict[str, list[tuple[int, Path]]] = {"train": [], "test": []}
        for file in files:
            drawn = int.from_bytes(look(file).content[:8])
            parts["test" if drawn % EVERY == 0 else "train"].append((languages.index(file.parts[-3]), file))
        train, test = (clip_split(parts[part]) for part in ("train", "test"))
        return verify(Dataset(self.name, tuple(languages), train, test, self.name, str(root)))

    def _fetch(self, folder: Path) -> None:
        remedy = f"Install Debian's package {PACKAGE}, or unpack its {FOLDER} into {folder}."
        if not self.download:
            raise DataError(f"{self.name} is not in {self.data_dir} and dataset.download=false.\n{remedy}")
        fetch_from_debian(PACKAGE, FOLDER, folder, remedy)
