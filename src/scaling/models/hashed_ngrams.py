"""Hashed n-grams as features of texts: the baseline without any pre-training. Nothing is fitted to any text."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import ScalingError
from scaling.core.reading import Count
from scaling.modalities.base import Batch, Reader, Samples
from scaling.modalities.texts import TEXTS, TextProcessor, Texts
from scaling.models.base import Backbone, Failure, Untrained, refused

if TYPE_CHECKING:
    from torch import Tensor, nn

#: The one tensor of a batch.
ROWS = "rows"
#: What is counted: an analyzer of scikit-learn, and the shortest and longest n-gram.
COUNTED = (("word", (1, 1)), ("char_wb", (3, 4)))


@dataclass(frozen=True)
class HashedNgrams(Untrained):
    """Words, and 3 or 4 letters in a row within them, counted under signed hashes of them.

    A count c becomes the sign of c times log(1 + |c|), and a text's row is divided by its length: sublinear term
    frequency and the hashing trick (Weinberger et al. 2009, Feature hashing for large scale multitask learning).

    Attributes:
        width: number of features.
    """

    id: str = "hashed_ngrams"
    width: Count = 4096
    label_space: str | None = None

    modality: ClassVar[str] = TEXTS
    pretrained: ClassVar[bool] = False

    def processor(self) -> "Hashing":
        """Return the hashing."""
        return Hashing(self.width)

    def known_width(self, samples: Samples) -> int:
        """Return the number of buckets."""
        return self.width

    def refusal(self, batch: Batch, error: Exception, failure: Failure) -> ScalingError:
        """Return the error for samples that can't be taken."""
        return refused(self.id, error)

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return the rows as they are."""
        return network(batch[ROWS]).float()

    def identity(self) -> dict[str, Any]:
        """Return what changes the features."""
        return {"architecture": "hashed_ngrams", "preprocessing": self.processor().identity()}

    def build(self) -> Backbone:
        """Return a network that changes nothing."""
        from torch import nn

        return Backbone(nn.Identity(), None, 0)


@dataclass(frozen=True)
class Hashing(TextProcessor):
    """From texts to rows of hashed counts."""

    width: int

    def identity(self) -> dict[str, Any]:
        """Return the parameters."""
        return {"width": self.width, "counted": [[kind, *lengths] for kind, lengths in COUNTED]}

    def reader(self, samples: Samples) -> "HashedTexts":
        """Return how texts are read."""
        return HashedTexts(cast(Texts, samples), self)


@dataclass(frozen=True)
class HashedTexts(Reader):
    """Some texts as rows of hashed counts, made anew each time."""

    texts: Texts
    hashing: Hashing

    slow: ClassVar[bool] = False  # it holds Python's global lock
    kept_bytes: ClassVar[int] = 0

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """Return texts, or the words of sentences, as one batch of rows (k, width), float32."""
        import torch

        texts = self.texts.parts(indices)
        counts = sum(vectorizer.transform(texts) for vectorizer in self._vectorizers).toarray()
        rows = np.sign(counts) * np.log1p(np.abs(counts))
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return {ROWS: torch.from_numpy(rows.astype(np.float32))}

    @cached_property
    def _vectorizers(self) -> list[Any]:
        from sklearn.feature_extraction.text import HashingVectorizer

        return [
            HashingVectorizer(n_features=self.hashing.width, analyzer=kind, ngram_range=lengths, norm=None)
            for kind, lengths in COUNTED
        ]
