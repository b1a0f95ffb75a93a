"""Digits: 1 797 images of 8 × 8 grey pixels that come with scikit-learn (UCI, CC BY 4.0)."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from scaling.core.subsets import subset_indices
from scaling.datasets.base import Dataset, Split, verify
from scaling.modalities.images import ArrayImages

TRAIN_SIZE = 1_297
SPLIT_SEED = 0


@dataclass(frozen=True)
class Digits:
    """scikit-learn's digits with a fixed stratified split of 1 297 training and 500 test images."""

    name: str = "digits"

    def load(self) -> Dataset:
        """Read and verify the images; their 17 grey levels are spread over 0 … 255."""
        rows = np.loadtxt(_file(), delimiter=",")
        labels = rows[:, -1].astype(np.int64)
        pixels = np.rint(rows[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
        train = subset_indices(labels, TRAIN_SIZE, SPLIT_SEED)
        test = np.setdiff1d(np.arange(len(labels)), train)

        def split(indices: np.ndarray) -> Split:
            return Split(ArrayImages(pixels[indices]), labels[indices])

        names = tuple(str(digit) for digit in range(10))
        dataset = Dataset(self.name, names, split(train), split(test), self.name, "sklearn.datasets.load_digits")
        return verify(dataset, sizes=(TRAIN_SIZE, 500))


def _file() -> Path:
    """Return scikit-learn's file: importing it all takes a second."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
