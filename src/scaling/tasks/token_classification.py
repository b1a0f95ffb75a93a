"""A tag for each word of a sentence, by which spans are told: names of people, places, …

Targets are one row a sentence, shape (n, longest): tags as in `scaling.metrics.spans`, −1 beyond a sentence's end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.metrics import Metric, Score, spans
from scaling.metrics.spans import BEYOND, Predictions
from scaling.tasks.base import Targets, listed
from scaling.tasks.classification import Classification

if TYPE_CHECKING:
    from torch import Tensor

Decoding = Literal["free", "constrained"]


def tag_names(types: Sequence[str]) -> tuple[str, ...]:
    """Return the names of all tags over some types, in the order of their numbers.

    >>> tag_names(["LOC", "PER"])
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    return ("O", *(f"{prefix}-{name}" for name in types for prefix in "BI"))


def padded(rows: Sequence[Sequence[int]], longest: int) -> NDArray[np.int64]:
    """Return the tags of sentences as targets."""
    found = np.full((len(rows), longest), BEYOND, np.int64)
    for row, tags in zip(found, rows, strict=True):
        row[: len(tags)] = tags
    return found


def best_sequences(log_probabilities: "Tensor", sizes: "Tensor", follows: "Tensor") -> "Tensor":
    """Return the most probable tags of sentences of which each may follow the one before it, (k, longest).

    Args:
        log_probabilities: of each word and tag, (k, longest, tags).
        sizes: words of each sentence, (k,); what lies beyond changes nothing.
        follows: which tag (row) may be followed by which (column), (tags, tags); a sentence begins as after tag 0.

    Source: Viterbi (1967), Error bounds for convolutional codes and an asymptotically optimum decoding algorithm, IEEE
        Transactions on Information Theory 13(2).
    """
    import torch

    step = torch.zeros_like(log_probabilities[0, 0]).repeat(len(follows), 1).masked_fill(~follows, -torch.inf)
    score, came_from = log_probabilities[:, 0] + step[0], []
    for place in range(1, log_probabilities.shape[1]):
        best, before = (score[:, :, None] + step).max(1)
        goes_on = (place < sizes)[:, None]
        score = torch.where(goes_on, best + log_probabilities[:, place], score)
        came_from.append(torch.where(goes_on, before, torch.arange(len(follows), device=before.device)))
    tags = [score.argmax(1)]
    for before in reversed(came_from):
        tags.append(before.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1], dim=1)


@dataclass(frozen=True)
class TokenClassification(Classification):
    """Say of each word whether it begins a span of a type, continues one, or is outside of all.

    Attributes:
        decoding: "free" takes each word's most probable tag, "constrained" the most probable tags of a sentence of
            which each further word of a span continues one of its type.
    """

    decoding: Decoding = "free"

    kind: ClassVar[str] = "token_classification"
    metrics: ClassVar[tuple[Metric, ...]] = spans.METRICS
    hits_name: ClassVar[str] = spans.HITS.name
    fewest_to_validate: ClassVar[int] = 2

    @property
    def types(self) -> tuple[str, ...]:
        """What spans may be of."""
        return tuple(name.removeprefix("B-") for name in self.class_names[1::2])

    def identity(self) -> dict[str, Any]:
        """Return how tags are told, where that is not word by word."""
        return {} if self.decoding == "free" else {"decoding": self.decoding}

    def check(self, targets: Targets, which: str, name: str, source: str) -> None:
        """Raise DataError where targets are no tags, a sentence has no word, or a type can't be learnt."""
        if targets.ndim != 2 or targets.min() < BEYOND or targets.max() >= self.outputs:
            raise DataError(
                f"{name}: tags of the {which} part in {source} are of shape {targets.shape}, expected one row a"
                f" sentence, with numbers from {BEYOND} to {self.outputs - 1}."
            )
        there = targets != BEYOND
        if not there[:, :1].all() or (there[:, 1:] > there[:, :-1]).any():
            raise DataError(f"{name}: a sentence of the {which} part in {source} has no word, or a gap among its tags.")
        if which == "training" and (absent := self.absent(targets)):
            raise DataError(
                f"{name}: no {which} sentence has a span of type {listed(absent)} in {source}.\n"
                "It can't be learnt: add some, or leave the type out of the test part too."
            )

    def notes(self, train: Targets, test: Targets) -> Iterator[str]:
        """Say which types are not scored."""
        if absent := self.absent(test):
            yield f"no test sentence has a span of type {listed(absent)}: what is said of them can only be wrong"

    def sizes(self, targets: Targets) -> NDArray[np.int64]:
        """Return the number of words of each sentence."""
        return (targets != BEYOND).sum(1)

    def of_rows(self, targets: Any) -> Any:
        """Return the tags of all words, one sentence after the other."""
        return targets[targets != BEYOND]

    def amounts(self, targets: Targets) -> Mapping[str, int]:
        """Return the numbers of words and of spans."""
        return {"words": int((targets != BEYOND).sum()), "spans": int(((targets > 0) & (targets % 2 == 1)).sum())}

    def counts(self, targets: Targets) -> NDArray[np.int64]:
        """Return the number of words that have each tag."""
        return super().counts(self.of_rows(targets))

    def absent(self, targets: Targets) -> list[str]:
        """Return the types that no span is of."""
        return [name for name, count in zip(self.types, self.counts(targets)[1::2], strict=True) if count == 0]

    def strata(self, targets: Targets) -> NDArray[np.integer[Any]]:
        """Return the rarest type of a sentence's spans, as a column of (n, types); nothing of one without spans."""
        has = np.stack([(targets == 1 + 2 * number).any(1) for number in range(len(self.types))], axis=1)
        order = np.argsort(has.sum(0), kind="stable")  # the rarest first
        rarest = order[has[:, order].argmax(1)]
        return (has & (np.arange(len(order)) == rarest[:, None])).astype(np.uint8)

    def codes(self, targets: Targets) -> NDArray[np.int64]:
        """Return a number for each sequence of tags."""
        return np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)

    def made_up(self, n: int, rng: np.random.Generator) -> tuple[Targets, NDArray[np.float64]]:
        """Make up sentences of one word, whose tags come in turn."""
        targets, true = super().made_up(n, rng)
        return targets[:, None], true

    def decode(self, log_probabilities: "Tensor", targets: "Tensor", whole: bool = True) -> Any:
        """Return each word's tag as it is told, and what was given to its true one.

        Args:
            log_probabilities: of the words, one sentence after the other, (words, outputs or more).
            targets: of the sentences, (k, longest).
        """
        there = targets != BEYOND
        true = log_probabilities.gather(1, targets[there][:, None])[:, 0].float()
        predicted, log_prob = targets.clone(), targets.new_zeros(targets.shape, dtype=true.dtype)
        predicted[there], log_prob[there] = self._told(log_probabilities, there), true
        return Predictions(targets.cpu().numpy(), predicted.cpu().numpy(), log_prob.cpu().numpy())

    def _told(self, log_probabilities: "Tensor", there: "Tensor") -> "Tensor":
        """Return the tag of each word, (words,), of sentences whose words are marked, (k, longest)."""
        import torch

        if self.decoding == "free" or len(there) == 0:
            return log_probabilities.argmax(1)
        known = log_probabilities[:, : self.outputs].float()
        sentences = known.new_zeros(*there.shape, self.outputs)
        sentences[there] = known
        tags = torch.arange(self.outputs, device=known.device)
        # A further word, of an even number, follows the first or a further one of its type; all others follow any.
        follows = (tags % 2 == 1) | (tags == 0) | (tags == tags[:, None]) | (tags == tags[:, None] + 1)
        return best_sequences(sentences, there.sum(1), follows)[there]

    def scored(self, train: Any, test: Any) -> Score:
        """Return the scores of spans."""
        return spans.scored(train, test, self.types)

    def flag(self, score: Score, train: Any, test: Any) -> str:
        """Say where a score can't be told from naming nothing, and of which types nothing was learnt."""
        absent = self.absent(train.labels)
        unlearnt = f"no span of the subset is of type {listed(absent)}" if absent else ""
        return "; ".join(filter(None, (spans.at_chance(score), unlearnt)))
