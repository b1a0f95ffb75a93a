"""Digits: 1 797 images of 8 × 8 grey pixels that come with scikit-learn (UCI, CC BY 4.0)."""

from dataclasses import dataclass

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
        from sklearn.datasets import load_digits

        raw = load_digits()
        labels = raw.target.astype(np.int64)
        pixels = np.rint(raw.images * (255 / 16)).astype(np.uint8)[..., None]
        train = subset_indices(labels, TRAIN_SIZE, SPLIT_SEED)
        test = np.setdiff1d(np.arange(len(labels)), train)

        def split(indices: np.ndarray) -> Split:
            return Split(ArrayImages(pixels[indices]), labels[indices])

        names = tuple(str(digit) for digit in range(10))
        dataset = Dataset(self.name, names, split(train), split(test), self.name, "sklearn.datasets.load_digits")
        return verify(dataset, sizes=(TRAIN_SIZE, 500))
