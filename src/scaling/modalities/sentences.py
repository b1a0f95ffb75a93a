"""Sentences: texts whose words are told apart, so that features are a row a word. No transformers at import."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scaling.modalities.texts import Texts

#: Between the words of a sentence, as its text is kept.
BREAK = "\n"


@dataclass(frozen=True, eq=False)
class Sentences(Texts):
    """N sentences, each as its words with a line break between them."""

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]]) -> "Sentences":
        """Return sentences of their words; a line break within a word becomes a space."""
        return cls(tuple(BREAK.join(word.replace(BREAK, " ") for word in words) for words in sentences))

    def words(self, index: int) -> list[str]:
        """Return the words of a sentence."""
        return self.texts[index].split(BREAK)

    def described(self) -> str:
        """Say how long the sentences are."""
        lengths = [text.count(BREAK) + 1 for text in self.texts]
        return f"{sum(lengths):,} words, median {median(lengths):,.0f}, longest {max(lengths):,} a sentence"
