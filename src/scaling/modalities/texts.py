"""Texts: samples known by their letters."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.data.duplicates import keys

#: The modality, and the one name under which raw texts stand in a batch.
TEXTS = "texts"


@dataclass(frozen=True, eq=False)
class Texts:
    """N texts, as they are."""

    texts: tuple[str, ...]

    modality: ClassVar[str] = TEXTS

    def __len__(self) -> int:
        return len(self.texts)

    def read(self, indices: NDArray[np.int64]) -> list[str]:
        """Return texts."""
        return [self.texts[index] for index in indices]

    def content(self) -> str:
        """Return the SHA-256 over each text's SHA-256, in UTF-8."""
        return hashlib.sha256(b"".join(self._digests())).hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each text."""
        return keys(self._digests(), len(self))

    def _digests(self) -> list[bytes]:
        return [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in self.texts]
