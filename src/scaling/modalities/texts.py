"""Texts: samples known by their letters, and the tokens that a model reads of them. No transformers at import."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from scaling.core import words
from scaling.core.duplicates import keys
from scaling.core.errors import ModelError, SettingError
from scaling.modalities.base import Batch, Read, Reader, Samples

#: The modality, and the one name under which raw texts stand in a batch.
TEXTS = "texts"
#: The tensors of a batch of tokens, as the models of transformers name them.
NAMES = ("input_ids", "token_type_ids", "attention_mask")
#: Where the words of sentences begin among the tokens of a row, −1 behind its last word; absent of whole texts.
FIRST = "first_tokens"
#: Tokens that count as one sample in the size of a batch.
UNIT = 64
#: Letters by which a person knows a text.
GLIMPSE = 28
#: Texts that are tokenised at once.
BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Texts(Samples):
    """N texts, as they are."""

    texts: tuple[str, ...]

    modality: ClassVar[str] = TEXTS

    def __len__(self) -> int:
        return len(self.texts)

    def read(self, indices: NDArray[np.int64]) -> list[str]:
        """Return texts."""
        return [self.texts[index] for index in indices]

    def taken(self, indices: NDArray[np.int64]) -> "Texts":
        """Return some of the texts."""
        return Texts(tuple(self.read(indices)))

    def glimpse(self, index: int) -> str:
        """Return the beginning of a text."""
        text = " ".join(self.texts[index].split())
        return repr(text if len(text) <= GLIMPSE else f"{text[:GLIMPSE]}…")

    def parts(self, indices: NDArray[np.int64]) -> list[str]:
        """Return the texts that features are a row each of."""
        return self.read(indices)

    def tokenised(self, tokens: "Tokens") -> "Tokenised":
        """Return a reader of these texts as tokens."""
        return Tokenised(self, tokens)

    def described(self) -> str:
        """Say how long the texts are."""
        lengths = [len(text) for text in self.texts]
        return f"median {median(lengths):,.0f}, longest {max(lengths):,} characters"

    def content(self) -> str:
        """Return the SHA-256 over each text's SHA-256, in UTF-8."""
        return hashlib.sha256(b"".join(self._digests())).hexdigest()

    def keys(self) -> NDArray[np.int64]:
        """Return a number for each text."""
        return keys(self._digests(), len(self))

    def _digests(self) -> list[bytes]:
        return [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in self.texts]


class TextProcessor:
    """What processors of texts share: batches need no more work, and texts are not augmented."""

    def prepare(self, batch: Batch) -> Batch:
        """Return a batch as it is."""
        return batch

    def check_augment(self, names: Sequence[str]) -> None:
        """Raise SettingError where texts should be augmented."""
        if names:
            raise SettingError(
                f"adaptation.augment={list(names)}: there is no augmentation of texts.\n"
                "Set adaptation.augment=[], or dataset.augment=[] for all adaptations."
            )

    def augmented(self, batch: Batch, names: Sequence[str], seeds: NDArray[np.int64]) -> Batch:
        """Return a batch as it is."""
        return batch


@dataclass(frozen=True)
class Tokens(TextProcessor):
    """From texts to the tokens of one model: ids and what goes with them, a batch padded to its longest text.

    Attributes:
        reads: the model's name, for messages.
        folder: where its tokenizer lies.
        digest: hash of the tokenizer's files.
        max_length: tokens that the model reads; the rest of a text is cut off, and counted.
        trust_remote_code: whether code in the folder may run.
    """

    reads: str
    folder: str
    digest: str
    max_length: int
    trust_remote_code: bool = False

    def identity(self) -> dict[str, Any]:
        """Return what changes a batch."""
        return {"tokenizer": self.digest, "max_length": self.max_length}

    def reader(self, samples: Samples) -> "Tokenised":
        """Return how texts are read; readers of the same texts are one, and tokenise them once."""
        for reader in _readers:
            if reader.texts is samples and reader.tokens == self:
                return reader
        _readers.append(cast(Texts, samples).tokenised(self))
        return _readers[-1]

    def tokenizer(self) -> Any:
        """Return the tokenizer of transformers.

        Raises:
            ModelError: it can't be loaded.
        """
        return _tokenizer(self.folder, self.digest, self.trust_remote_code)


class Tokenised(Reader):
    """Texts as tokens: each is tokenised once, when it is first asked for, and kept."""

    slow: ClassVar[bool] = False  # tokenizers have threads of their own

    def __init__(self, texts: Texts, tokens: Tokens) -> None:
        self.texts, self.tokens = texts, tokens
        self.rows: list[NDArray[np.int32] | None] = [None] * len(texts)  # ids and types, (2, tokens)
        self.longer = np.zeros(len(texts), bool)
        self.lock = threading.Lock()

    @property
    def kept_bytes(self) -> int:
        """Bytes of all tokens, roughly: most have four letters or more."""
        letters, most = (len(text) for text in self.texts.texts), self.tokens.max_length
        return 8 * sum(min(count // 4 + 2, most) for count in letters)

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """Return texts as one batch, padded on the right; the mask is 1 where there are tokens."""
        self._tokenise(indices)
        return self._batch([row for index in indices if (row := self.rows[index]) is not None])

    def _batch(self, rows: Sequence[NDArray[np.int32]]) -> Batch:
        """Return ids and types of tokens, (2, tokens) a row, as one batch."""
        import torch

        lengths = np.array([row.shape[1] for row in rows])
        batch = np.zeros((len(NAMES), len(rows), max(1, lengths.max())), np.int64)
        batch[0] = (tokenizer := self.tokens.tokenizer()).pad_token_id or 0
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            batch[:2, place, :length] = row
            batch[2, place, :length] = 1
        takes = ("input_ids", "attention_mask", *tokenizer.model_input_names)
        return {name: torch.from_numpy(values) for name, values in zip(NAMES, batch, strict=True) if name in takes}

    def held(self, indices: NDArray[np.int64]) -> Read:
        """Return a reader by place; the texts are tokenised now, before a loader's workers each begin to."""
        self._tokenise(indices)
        return lambda places: self.read(indices[places])

    def order(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return texts by length, the longest first: what memory does not hold shows at once."""
        return indices[np.argsort(-self._counts(indices), kind="stable")]

    def lengths(self, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the lengths of texts: a processor is busy with a batch of a few thousand tokens."""
        return np.maximum(1.0, self._counts(indices) / UNIT)

    def notes(self) -> list[str]:
        """Say how many of the texts read so far are cut off."""
        cut, read = int(self.longer.sum()), sum(row is not None for row in self.rows)
        if not cut:
            return []
        return [
            f"{words.samples(cut)} of {words.samples(read)} texts are longer than the {self.tokens.max_length} tokens"
            f" that {self.tokens.reads} reads: the rest of them is not seen"
        ]

    def _counts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        self._tokenise(indices)
        return np.array([row.shape[1] for index in indices if (row := self.rows[index]) is not None], np.int64)

    def _tokenise(self, indices: NDArray[np.int64]) -> None:
        with self.lock:
            absent = [index for index in indices.tolist() if self.rows[index] is None]
            for start in range(0, len(absent), BLOCK):
                block = absent[start : start + BLOCK]
                for index, (row, longer) in zip(block, self._encoded(self.texts.read(np.array(block))), strict=True):
                    self.rows[index], self.longer[index] = row, longer

    def _encoded(self, texts: list[str]) -> Iterator[tuple[NDArray[np.int32], bool]]:
        """Return ids and types of each text's tokens, and whether tokens were cut off."""
        tokenizer, most = self.tokens.tokenizer(), self.tokens.max_length
        valid = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]  # halves of surrogate pairs
        if tokenizer.is_fast:
            tokenizer.backend_tokenizer.enable_truncation(most, direction=tokenizer.truncation_side)
            tokenizer.backend_tokenizer.no_padding()
            for found in tokenizer.backend_tokenizer.encode_batch_fast(valid):
                yield np.array([found.ids, found.type_ids], np.int32), bool(found.overflowing)
            return
        for text in valid:
            found = tokenizer(text, truncation=True, max_length=most, return_token_type_ids=True)
            longer = len(tokenizer.tokenize(text)) + tokenizer.num_special_tokens_to_add() > most
            yield np.array([found["input_ids"], found["token_type_ids"]], np.int32), longer


#: The readers used last: those of training and test texts, and of phrases.
_readers: deque[Tokenised] = deque(maxlen=3)


@lru_cache(maxsize=2)
def _tokenizer(folder: str, digest: str, trust_remote_code: bool) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else it warns when a loader's workers are forked
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # each kind of tokenizer has exceptions of its own
        reason = (str(error).strip().splitlines() or [""])[0][:160]
        raise ModelError(f"{folder}: its tokenizer can't be loaded: {type(error).__name__} {reason}") from error
