"""One class a sample. Targets are the numbers of classes, 0 … classes-1, shape (n,)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.core.words import class_names
from scaling.metrics import Metric, Score, classification
from scaling.metrics.classification import TOP_K, Predictions
from scaling.tasks.base import Regressions, Targets, Task, listed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Classification(Task):
    """Say which class a sample is of."""

    class_names: tuple[str, ...]

    kind: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[Metric, ...]] = classification.METRICS
    hits_name: ClassVar[str] = classification.PRIMARY.name

    @classmethod
    def read(cls, labels: Sequence[str], where: object) -> tuple[tuple[str, ...], Targets]:
        """Take each text for the name of a class."""
        names = class_names(labels, where)
        codes = {name: code for code, name in enumerate(dict.fromkeys(names.values()))}
        return tuple(codes), np.array([codes[names[label]] for label in labels], np.int64)

    @property
    def outcomes(self) -> int:
        """A vote decides between all classes."""
        return self.outputs

    @property
    def fewest_to_validate(self) -> int:
        """With more samples than classes some class has two members, so that one can be held out."""
        return self.outputs + 1

    def check(self, targets: Targets, which: str, name: str, source: str) -> None:
        """Raise DataError where a label is no class, or a class has no sample."""
        if targets.min() < 0 or targets.max() >= self.outputs:
            raise DataError(
                f"{name}: labels of the {which} part run from {targets.min()} to {targets.max()},"
                f" expected 0 to {self.outputs - 1}, in {source}."
            )
        if absent := self.absent(targets):
            raise DataError(
                f"{name}: no {which} sample of class {listed(absent)} in {source}.\n"
                "Each class needs samples in both parts: add some, or leave the class out of both."
            )

    def counts(self, targets: Targets) -> NDArray[np.int64]:
        """Return the number of samples of each class."""
        return np.bincount(targets, minlength=self.outputs)

    def strata(self, targets: Targets) -> NDArray[np.integer[Any]]:
        """Return the classes."""
        return targets

    def codes(self, targets: Targets) -> NDArray[np.int64]:
        """Return the classes."""
        return targets

    def made_up(self, n: int, rng: np.random.Generator) -> tuple[Targets, NDArray[np.float64]]:
        """Make up classes in turn."""
        targets = np.arange(n) % self.outputs
        return targets, np.eye(self.outputs)[targets]

    def loss(self, logits: "Tensor", targets: "Tensor", smoothing: float = 0.0, reduction: str = "mean") -> "Tensor":
        """Return the cross-entropy; smoothing is the share of the target that is spread over all classes."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, targets, reduction=reduction, label_smoothing=smoothing)

    def hits(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the number of samples whose most probable class is theirs."""
        return (logits.argmax(1) == targets).sum()

    def log_probabilities(self, logits: "Tensor") -> "Tensor":
        """Return the logarithm of the softmax."""
        return logits.log_softmax(1)

    def joined(self, log_probabilities: "Tensor", groups: Sequence[Sequence[int]]) -> "Tensor":
        """Add up the probabilities of each class's outputs, and renormalise over the classes."""
        import torch

        return torch.stack([log_probabilities[:, group].logsumexp(1) for group in groups], dim=1).log_softmax(1)

    def votes(self, targets: "Tensor", neighbours: "Tensor", weights: "Tensor") -> "Tensor":
        """Add up the weights of each class's neighbours."""
        return weights.new_zeros(len(weights), self.outputs).scatter_add_(1, targets[neighbours], weights)

    def regressions(self, targets: "Tensor") -> Regressions:
        """Return one regression over all classes."""
        return Regressions(targets, self.outputs)

    def decode(self, log_probabilities: "Tensor", targets: "Tensor", whole: bool = True) -> Predictions:
        """Return each sample's prediction and what was given to its true class."""
        true = log_probabilities.gather(1, targets[:, None])
        in_top_k = None
        if log_probabilities.shape[1] > TOP_K:
            in_top_k = (log_probabilities.topk(TOP_K, dim=1).indices == targets[:, None]).any(1).cpu().numpy()
        return Predictions(
            labels=targets.cpu().numpy(),
            predicted=log_probabilities.argmax(1).cpu().numpy(),
            log_prob=true[:, 0].float().cpu().numpy(),
            in_top_k=in_top_k,
            log_probs=log_probabilities.float().cpu().numpy() if whole else None,
        )

    def scored(self, train: Any, test: Any) -> Score:
        """Return the scores of classification."""
        return classification.scored(train, test, self.class_names)

    def flag(self, score: Score, train: Any, test: Any) -> str:
        """Say where a score can't be told from always naming the largest class."""
        return classification.at_chance(score, test.labels)
