"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 50 000 training and 10 000 test images of 32 × 32 colour pixels.

The *binary* version is read: the better known Python version is made of pickles, which can hold code.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.core.errors import DataError
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.download import fetch_archive
from scaling.modalities.images import ArrayImages

SIDE, CHANNELS = 32, 3


@dataclass(frozen=True)
class Cifar:
    """CIFAR's binary version under `data_dir`, downloaded where it is missing.

    Attributes:
        folder: the archive's folder under `data_dir`.
        names_file: the file of class names, one a line.
        label_bytes: label bytes before each image's pixels; the last of them is the class.
        sizes: published numbers of training and test images.
    """

    data_dir: str
    name: str
    folder: str
    url: str
    md5: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    names_file: str
    label_bytes: int = 1
    sizes: tuple[int, int] = (50_000, 10_000)
    download: bool = True

    def load(self) -> Dataset:
        """Read and verify all batches.

        Raises:
            DataError: the files are missing and can't be downloaded, or they are damaged.
        """
        folder = Path(self.data_dir) / self.folder
        missing = [f for f in (*self.train_files, *self.test_files, self.names_file) if not (folder / f).is_file()]
        if missing:
            self._fetch(folder, missing[0])
        lines = (folder / self.names_file).read_text(encoding="utf-8", errors="replace").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
        dataset = Dataset(
            self.name, names, self._split(folder, self.train_files), self._split(folder, self.test_files),
            self.name, str(folder),
        )  # fmt: skip
        return verify(dataset, sizes=self.sizes)

    def _fetch(self, folder: Path, missing: str) -> None:
        remedy = f"Unpack {self.url} into {self.data_dir}, so that {folder / missing} exists."
        if not self.download:
            raise DataError(f"{self.name} is not in {self.data_dir} and dataset.download=false.\n{remedy}")
        fetch_archive(self.url, self.md5, self.data_dir, remedy)

    def _split(self, folder: Path, files: tuple[str, ...]) -> Split:
        record = self.label_bytes + SIDE * SIDE * CHANNELS
        parts = []
        for file in files:
            raw = np.fromfile(folder / file, dtype=np.uint8)
            if len(raw) == 0 or len(raw) % record:
                raise DataError(
                    f"{folder / file} holds {len(raw)} bytes, expected a multiple of {record}.\n"
                    "It is damaged: delete the folder and fetch the data set again."
                )
            parts.append(raw.reshape(-1, record))
        rows = np.concatenate(parts)
        pixels = rows[:, self.label_bytes :].reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
        return Split(ArrayImages(np.ascontiguousarray(pixels)), rows[:, self.label_bytes - 1].astype(np.int64))
