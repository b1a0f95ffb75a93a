"""Several labels a sample, or none. Targets say which sample has which label, 0 or 1, shape (n, labels)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.core.words import class_names, samples
from scaling.metrics import Metric, Score, multilabel
from scaling.metrics.multilabel import Predictions
from scaling.tasks.base import Regressions, Targets, Task, listed

if TYPE_CHECKING:
    from torch import Tensor

#: Between the labels of a sample, where they are written as text.
SEPARATOR = "|"


@dataclass(frozen=True)
class Multilabel(Task):
    """Say of each label whether a sample has it."""

    class_names: tuple[str, ...]

    kind: ClassVar[str] = "multilabel"
    metrics: ClassVar[tuple[Metric, ...]] = multilabel.METRICS
    hits_name: ClassVar[str] = multilabel.HITS.name
    outcomes: ClassVar[int] = 2
    fewest_to_validate: ClassVar[int] = 2
    may_be_empty: ClassVar[bool] = True

    @classmethod
    def read(cls, labels: Sequence[str], where: object) -> tuple[tuple[str, ...], Targets]:
        """Take what stands between separators for the names of labels."""
        rows = [[name for name in text.split(SEPARATOR) if name.strip()] for text in labels]
        spelled = class_names((name for row in rows for name in row), where)
        names = tuple(dict.fromkeys(spelled.values()))
        has = [[name in {spelled[written] for written in row} for name in names] for row in rows]
        return names, np.array(has, np.uint8).reshape(len(rows), len(names))

    def check(self, targets: Targets, which: str, name: str, source: str) -> None:
        """Raise DataError where targets are not 0 and 1 for each label, or no sample has a label."""
        if targets.shape[1:] != (self.outputs,) or not np.isin(targets, (0, 1)).all():
            raise DataError(
                f"{name}: labels of the {which} part in {source} are of shape {targets.shape}, expected one row a"
                f" sample with 0 or 1 for each of {self.outputs} labels."
            )
        if not targets.any():
            raise DataError(f"{name}: no {which} sample in {source} has a label.\nBoth parts need samples with labels.")

    def notes(self, train: Targets, test: Targets) -> Iterator[str]:
        """Say how samples without labels count, and which labels can't be learnt or scored."""
        without = [int((~part.any(1)).sum()) for part in (train, test)]
        if any(without):
            yield (
                f"{samples(without[0])} of {samples(len(train))} training and {samples(without[1])} of"
                f" {samples(len(test))} test samples have no label: they count as samples that have none of the"
                f" {self.outputs}"
            )
        if absent := self.absent(test):
            yield f"no test sample has {listed(absent)}: it has no average precision, and counts in no mean over labels"
        if absent := self.absent(train):
            yield f"no training sample has {listed(absent)}: it can't be learnt, whatever n"
        if (np.concatenate([train, test]).sum(1) == 1).all():
            yield "every sample has exactly one label: as classes, they would be scored by what is most probable"

    def counts(self, targets: Targets) -> NDArray[np.int64]:
        """Return the number of samples that have each label."""
        return targets.sum(0, dtype=np.int64)

    def strata(self, targets: Targets) -> NDArray[np.integer[Any]]:
        """Return which sample has which label."""
        return targets

    def codes(self, targets: Targets) -> NDArray[np.int64]:
        """Return a number for each set of labels."""
        return np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)

    def made_up(self, n: int, rng: np.random.Generator) -> tuple[Targets, NDArray[np.float64]]:
        """Make up labels that three samples in ten have."""
        true = rng.random((n, self.outputs)) < 0.3
        return true.astype(np.uint8), true.astype(float)

    def loss(self, logits: "Tensor", targets: "Tensor", smoothing: float = 0.0, reduction: str = "mean") -> "Tensor":
        """Return the binary cross-entropy, its mean over labels; smoothing is spread over having and not having."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        soft = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return binary_cross_entropy_with_logits(logits, soft, reduction=reduction) / (
            1 if reduction == "mean" else self.outputs
        )

    def hits(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the sum over samples of the share of labels that are told right."""
        return ((logits > 0) == targets.bool()).float().mean(1).sum()

    def log_probabilities(self, logits: "Tensor") -> "Tensor":
        """Return the logarithm of each sigmoid."""
        from torch.nn.functional import logsigmoid

        return logsigmoid(logits)

    def joined(self, log_probabilities: "Tensor", groups: Sequence[Sequence[int]]) -> "Tensor":
        """Take the most probable of each label's outputs."""
        import torch

        return torch.stack([log_probabilities[:, group].amax(1) for group in groups], dim=1)

    def votes(self, targets: "Tensor", neighbours: "Tensor", weights: "Tensor") -> "Tensor":
        """Add up the weights of the neighbours that have each label, one neighbour after the other to spare memory."""
        votes = weights.new_zeros(len(weights), self.outputs)
        for place in range(neighbours.shape[1]):
            votes.addcmul_(weights[:, place, None], targets[neighbours[:, place]].to(votes.dtype))
        return votes

    def regressions(self, targets: "Tensor") -> Regressions:
        """Return one regression a label, of one class: its logit against 0."""
        return Regressions(targets.new_zeros(len(targets)).long(), 1, targets.T.float())

    def decode(self, log_probabilities: "Tensor", targets: "Tensor", whole: bool = True) -> Predictions:
        """Return the probability of each label."""
        kept = log_probabilities[:, : self.outputs].float().cpu().numpy()
        return Predictions(targets.cpu().numpy(), kept)

    def scored(self, train: Any, test: Any) -> Score:
        """Return the scores of several labels a sample."""
        return multilabel.scored(train, test, self.class_names)

    def flag(self, score: Score, train: Any, test: Any) -> str:
        """Say where a score can't be told from base rates, and of which labels nothing was learnt."""
        absent = self.absent(train.labels)
        unlearnt = f"no sample of the subset has {listed(absent)}" if absent else ""
        return "; ".join(filter(None, (multilabel.at_chance(score, test.labels), unlearnt)))
