"""What every kind of task says of its targets: how they are drawn, learnt, predicted and scored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.metrics import Metric, Score
from scaling.metrics.base import Predictions

if TYPE_CHECKING:
    from torch import Tensor

#: One row a sample; a task says of which shape and what it means.
Targets = NDArray[Any]


class Regressions(NamedTuple):
    """Targets as logistic regressions take them: multinomial ones over the same rows.

    Attributes:
        labels: (n,) classes 0 … classes-1.
        present: (p, n), of each of p regressions whether a row belongs to its class, or to one more whose logit is 0;
            None is a single regression without such a class.
    """

    labels: "Tensor"
    classes: int
    present: "Tensor | None" = None


class Task(Protocol):
    """A kind of task over some classes; subclasses say what is what. One output of a model stands for each class."""

    kind: ClassVar[str]
    #: The primary metric first.
    metrics: ClassVar[tuple[Metric, ...]]
    #: What the share of right decisions is called, by which the course of a fit is told.
    hits_name: ClassVar[str]
    #: Whether a sample may have no label.
    may_be_empty: ClassVar[bool] = False
    class_names: tuple[str, ...]

    @classmethod
    def read(cls, labels: Sequence[str], where: object) -> tuple[tuple[str, ...], Targets]:
        """Return the classes' names, in ascending order, and the targets that samples' labels mean as text.

        Raises:
            DataError: two names look the same.
        """
        ...

    @property
    def outputs(self) -> int:
        """Outputs of a head."""
        return len(self.class_names)

    @property
    def outcomes(self) -> int:
        """What one vote decides between."""
        ...

    @property
    def fewest_to_validate(self) -> int:
        """Samples from which on some can surely be held out."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score, besides the names of the classes."""
        return {}

    # ---- targets, as numpy

    def check(self, targets: Targets, which: str, name: str, source: str) -> None:
        """Raise DataError where targets of a part of a data set can't be used."""
        ...

    def notes(self, train: Targets, test: Targets) -> Iterable[str]:
        """Say what a user should know of the targets of both parts."""
        return ()

    def sizes(self, targets: Targets) -> NDArray[np.int64]:
        """Return how many rows of features each sample has, (n,): one, but where something is told of its parts."""
        return np.ones(len(targets), np.int64)

    def of_rows(self, targets: Any) -> Any:
        """Return what is true of each row of features, one sample after the other; arrays and tensors alike."""
        return targets

    def amounts(self, targets: Targets) -> Mapping[str, int]:
        """Return what else than samples is counted, by name."""
        return {}

    def counts(self, targets: Targets) -> NDArray[np.int64]:
        """Return of how many samples each output is true, (outputs,)."""
        ...

    def absent(self, targets: Targets) -> list[str]:
        """Return the classes that no sample is of."""
        return [self.class_names[c] for c in np.flatnonzero(self.counts(targets) == 0)]

    def strata(self, targets: Targets) -> NDArray[np.integer[Any]]:
        """Return what a stratified draw respects: a class a sample, (n,), or which labels it has, (n, k) of 0 and 1."""
        ...

    def codes(self, targets: Targets) -> NDArray[np.int64]:
        """Return a number for each sample, (n,), equal for equal targets."""
        ...

    def made_up(self, n: int, rng: np.random.Generator) -> tuple[Targets, NDArray[np.float64]]:
        """Make up targets, and which outputs are true of them, (n, outputs) of 0 and 1."""
        ...

    # ---- learning and predicting, in torch; of rows of features, but for `decode`

    def loss(self, logits: "Tensor", targets: "Tensor", smoothing: float = 0.0, reduction: str = "mean") -> "Tensor":
        """Return the loss of logits (k, outputs), as the mean or the sum over samples."""
        ...

    def hits(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the sum over rows of the share of right decisions."""
        ...

    def log_probabilities(self, logits: "Tensor") -> "Tensor":
        """Turn logits (k, outputs) into natural logarithms of probabilities."""
        ...

    def joined(self, log_probabilities: "Tensor", groups: Sequence[Sequence[int]]) -> "Tensor":
        """Join log-probabilities (k, any) of outputs that stand for one class, to (k, outputs)."""
        ...

    def votes(self, targets: "Tensor", neighbours: "Tensor", weights: "Tensor") -> "Tensor":
        """Add up for each output the weights (k, v) of the neighbours (k, v) of which it is true, (k, outputs).

        Args:
            targets: of all samples that neighbours are among.
        """
        ...

    def regressions(self, targets: "Tensor") -> Regressions:
        """Return the logistic regressions that a linear head is fitted by."""
        ...

    def decode(self, log_probabilities: "Tensor", targets: "Tensor", whole: bool = True) -> Predictions:
        """Reduce log-probabilities (k, outputs or more) to what scores need.

        Args:
            targets: of the samples, whose rows come one sample after the other.
            whole: whether all is kept that any metric needs; else what fits are chosen by.
        """
        ...

    # ---- scores

    def scored(self, train: Predictions, test: Predictions) -> Score:
        """Turn the predictions on the subset (plain resubstitution) and on the whole test set into scores."""
        ...

    def flag(self, score: Score, train: Predictions, test: Predictions) -> str:
        """Say what a reader must know before a score is averaged with others; empty where there is nothing."""
        ...


def listed(names: Sequence[str], most: int = 5) -> str:
    """Name the first few classes, and how many there are more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
