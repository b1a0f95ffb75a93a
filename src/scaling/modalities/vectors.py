"""Vectors: samples that are features already, so that no network is run."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.core.duplicates import keys
from scaling.modalities.base import Samples

#: The modality.
VECTORS = "vectors"


@dataclass(frozen=True, eq=False)
class Vectors(Samples):
    """Samples that are features already, one row each, shape (N, d).

    Attributes:
        shifted: columns that are known up to a constant alone.
    """

    rows: NDArray[np.float32]
    shifted: tuple[str, ...] = ()

    modality: ClassVar[str] = VECTORS

    def __len__(self) -> int:
        return len(self.rows)

    def taken(self, indices: NDArray[np.int64]) -> "Vectors":
        """Return some of the rows."""
        return Vectors(self.rows[indices], self.shifted)

    def described(self) -> str:
        """Say how many features a sample has."""
        return f"{self.rows.shape[1]} features each"

    def content(self) -> str:
        """Return the SHA-256 of shape and values."""
        hashed = hashlib.sha256(repr(self.rows.shape).encode())
        hashed.update(np.ascontiguousarray(self.rows, dtype="<f4").data)
        return hashed.hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each row; 0 and -0 are equal."""
        return keys((row + 0 for row in self.rows), len(self))
