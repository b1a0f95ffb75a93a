"""Sentences: texts whose words are told apart, so that features are a row a word. No transformers at import."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from statistics import median

import numpy as np
from numpy.typing import NDArray

from scaling.core import words
from scaling.modalities.base import Batch
from scaling.modalities.texts import FIRST, Texts, Tokenised, Tokens

#: Between the words of a sentence, as its text is kept.
BREAK = "\n"
#: A text whose tokens are read to see what a tokenizer puts before and behind those of any.
ANY = "a"


@dataclass(frozen=True, eq=False)
class Sentences(Texts):
    """N sentences, each as its words with a line break between them."""

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]]) -> "Sentences":
        """Return sentences of their words; a line break within a word becomes a space."""
        return cls(tuple(BREAK.join(word.replace(BREAK, " ") for word in sentence) for sentence in sentences))

    def parts(self, indices: NDArray[np.int64]) -> list[str]:
        """Return the words, one sentence after the other."""
        return [word for index in indices.tolist() for word in self.words(index)]

    def words(self, index: int) -> list[str]:
        """Return the words of a sentence."""
        return self.texts[index].split(BREAK)

    def tokenised(self, tokens: Tokens) -> "Windows":
        """Return a reader of these sentences as tokens."""
        return Windows(self, tokens)

    def described(self) -> str:
        """Say how long the sentences are."""
        lengths = [text.count(BREAK) + 1 for text in self.texts]
        return f"{sum(lengths):,} words, median {median(lengths):,.0f}, longest {max(lengths):,} a sentence"


class Windows(Tokenised):
    """Sentences as tokens, and where their words begin; one that is too long is read in windows, half of each shared
    with the next. A word is taken from the window in which it stands nearest to the middle.

    Attributes:
        first: the token that each word begins with, by sentence.
    """

    def __init__(self, texts: Texts, tokens: Tokens) -> None:
        super().__init__(texts, tokens)
        self.first: dict[str, NDArray[np.int64]] = {}

    def read(self, indices: NDArray[np.int64]) -> Batch:
        """Return sentences as one batch, a row a window, padded on the right."""
        import torch

        self._tokenise(indices)
        rows, places = zip(*(window for index in indices.tolist() for window in self._windows(index)), strict=True)
        first = np.full((len(rows), max(map(len, places))), -1, np.int64)
        for row, found in zip(first, places, strict=True):
            row[: len(found)] = found
        return {**self._batch(rows), FIRST: torch.from_numpy(first)}

    def notes(self) -> list[str]:
        """Say how many of the sentences read so far are read in windows."""
        cut, read = int(self.longer.sum()), sum(row is not None for row in self.rows)
        if not cut:
            return []
        return [
            f"{words.samples(cut)} of {words.samples(read)} sentences are longer than the {self.tokens.max_length}"
            f" tokens that {self.tokens.reads} reads: they are read in windows that overlap by half"
        ]

    def _windows(self, index: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Yield ids and types of the tokens of each window of a sentence, and where the words taken from it begin."""
        row, first = self.rows[index], self.first[self.texts.texts[index]]
        assert row is not None
        before, behind = self._around
        size = self._room
        starts = window_starts(row.shape[1], size)
        owner = np.abs(first[:, None] - starts - (size - 1) / 2).argmin(1)
        for number, start in enumerate(starts.tolist()):
            taken = first[owner == number] - start + before.shape[1]
            yield np.concatenate([before, row[:, start : start + size], behind], axis=1), taken

    def _encoded(self, texts: list[str]) -> Iterator[tuple[NDArray[np.int32], bool]]:
        """Return ids and types of each sentence's own tokens, and whether they need several windows."""
        room = self._room  # told first: the tokenizer forgets how it was set
        for text, (ids, ends) in zip(texts, self._tokens([text.split(BREAK) for text in texts]), strict=True):
            sentence = text.split(BREAK)
            begins = np.cumsum([0, *(len(word) + 1 for word in sentence[:-1])])
            # A word of which nothing is left, such as a lone invisible letter, is read from its neighbour's token.
            self.first[text] = np.minimum(np.searchsorted(ends, begins, side="right"), len(ids) - 1)
            yield np.array([ids, [0] * len(ids)], np.int32), len(ids) > room

    def _tokens(self, sentences: list[list[str]]) -> Iterator[tuple[list[int], list[int]]]:
        """Yield ids of the tokens of each sentence, at least one, and where each ends among the letters."""
        tokenizer = self.tokens.tokenizer()
        unknown = tokenizer.unk_token_id or 0
        if tokenizer.is_fast:
            texts = [" ".join(sentence).encode("utf-8", "replace").decode("utf-8") for sentence in sentences]
            tokenizer.backend_tokenizer.no_truncation()
            tokenizer.backend_tokenizer.no_padding()
            for found in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False):
                ends = list(accumulate((end for _, end in found.offsets), max))
                yield (found.ids, ends) if found.ids else ([unknown], [1])
            return
        for sentence in sentences:
            ids, ends, begin = list[int](), list[int](), 0
            for word in sentence:
                own = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(word)) or [unknown]
                ids += own
                ends += [begin + len(word)] * len(own)
                begin += len(word) + 1
            yield ids, ends

    @cached_property
    def _around(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ids and types of the tokens that stand before and behind those of any text, (2, any) each."""
        tokenizer = self.tokens.tokenizer()
        found = tokenizer(ANY, return_special_tokens_mask=True, return_token_type_ids=True)
        row = np.array([found["input_ids"], found["token_type_ids"]], np.int32)
        own = np.flatnonzero(np.array(found["special_tokens_mask"]) == 0)
        return row[:, : own[0]], row[:, own[-1] + 1 :]

    @property
    def _room(self) -> int:
        """How many of a sentence's own tokens a window has room for."""
        return max(1, self.tokens.max_length - sum(part.shape[1] for part in self._around))


def window_starts(tokens: int, size: int) -> NDArray[np.int64]:
    """Return where windows of some size begin, each half a window after the one before and the last at the end.

    >>> window_starts(10, 4).tolist(), window_starts(3, 4).tolist()
    ([0, 2, 4, 6], [0])
    """
    last = max(0, tokens - size)
    return np.append(np.arange(0, last, max(1, size // 2)), last)
