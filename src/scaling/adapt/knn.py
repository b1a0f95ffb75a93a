"""knn: the k nearest training samples vote. Exact, in blocks."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from scaling.adapt.base import Outcome, Subset, Task, positive_number
from scaling.core.costs import Cost
from scaling.core.errors import SettingError
from scaling.core.scores import Predictions
from scaling.data.base import Dataset
from scaling.models.base import ModelSource

if TYPE_CHECKING:
    from torch import Tensor

#: Elements of one block of distances; bounds the memory of a vote.
BLOCK_ELEMENTS = 1 << 25


@dataclass(frozen=True)
class Knn:
    """k-nearest-neighbour vote over frozen features.

    Attributes:
        k: neighbours that vote; all n where n is smaller.
        metric: "cosine" or "euclidean".
        weights: "uniform", or "distance" for votes of weight 1 / distance.
        smoothing: added to each class's votes, in shares of one vote spread over the classes, so that the
            log-likelihood of a class without votes is finite. It changes no prediction.
    """

    k: int = 5
    metric: Literal["cosine", "euclidean"] = "cosine"
    weights: Literal["uniform", "distance"] = "uniform"
    smoothing: float = 1.0

    name: ClassVar[str] = "knn"
    METHOD_VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise SettingError(f"adaptation.k={self.k}: expected a positive whole number of neighbours.")
        for setting, choices in (("metric", ("cosine", "euclidean")), ("weights", ("uniform", "distance"))):
            if getattr(self, setting) not in choices:
                raise SettingError(
                    f"adaptation.{setting}={getattr(self, setting)}: expected one of {', '.join(choices)}."
                )
        if not positive_number(self.smoothing):
            raise SettingError(f"adaptation.smoothing={self.smoothing}: expected a positive number.")

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score."""
        return {**asdict(self), "smoothing": float(self.smoothing)}

    def check(self, dataset: Dataset, model: ModelSource, n: int) -> None:
        """Accept every n: with fewer than k samples all of them vote."""

    def cost(self, n: int, m: int, d: int, classes: int) -> Cost:
        """Return what the distances of n and m samples to n samples take."""
        return Cost((n + m) * n * d, (2 * n + m) * d * 4 + 3 * BLOCK_ELEMENTS * 4)

    def run(self, task: Task, subset: Subset) -> Outcome:
        """Vote on the subset (each sample among its own neighbours, and left out) and on the test set."""
        from scaling.adapt.heads import predict

        bank = task.train_features(subset)
        vote = _Vote(self, bank, subset.labels, task.classes)
        arguments = (task.trainer, task.reporter)
        # The subset first: its blocks also carry each sample's own position, to leave it out.
        train = predict(vote.including_self, bank, subset.labels, *arguments, "neighbours of train")
        test = predict(vote, task.test_features(), task.dataset.test.labels, *arguments, "neighbours of test")
        left_out = Predictions.concatenate(vote.left_out) if len(subset) > 1 else None
        return Outcome(
            train=train,
            test=test,
            metrics={"train/accuracy_leave_one_out": left_out.accuracy} if left_out is not None else {},
            params={"chosen.k": min(self.k, len(subset))},
        )


class _Vote:
    """The voting head over a bank of labelled features."""

    def __init__(self, settings: Knn, bank: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> None:
        import torch

        self.settings, self.classes = settings, classes
        # Distances don't change when all is shifted, but rounding errors do: they grow with the offset squared.
        self.offset = torch.from_numpy(bank.mean(0, dtype=np.float64).astype(np.float32))
        self.bank = self._prepared(torch.from_numpy(bank))
        self.labels = torch.from_numpy(labels)
        self.squares = self.bank.square().sum(1)
        self.left_out: list[Predictions] = []
        self.position = 0

    def __call__(self, features: "Tensor") -> "Tensor":
        """Return log-probabilities (m, classes) for features (m, d)."""
        import torch

        k = min(self.settings.k, len(self.bank))
        parts = [self._tally(*self._nearest(block, k)) for block in self._blocks(features)]
        return torch.cat(parts)

    def including_self(self, features: "Tensor") -> "Tensor":
        """The same for the bank's own rows, in order; the vote without each row itself is kept aside."""
        import torch

        from scaling.adapt.heads import reduce

        k, parts = min(self.settings.k, len(self.bank)), []
        for block in self._blocks(features):
            own = torch.arange(self.position, self.position + len(block), device=block.device)[:, None]
            distance, index = self._nearest(block, min(k + 1, len(self.bank)))
            parts.append(self._tally(distance[:, :k], index[:, :k]))
            if len(self.bank) > 1:
                # Stable sort: the row itself to the end, the others stay in order of distance. Among many
                # identical rows it may not be in the list at all; then the furthest is dropped instead.
                order = (index == own).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, index.shape[1] - 1)]
                votes = self._tally(distance.gather(1, order), index.gather(1, order))
                self.left_out.append(reduce(votes, self.labels[own[:, 0].cpu()].to(block.device)))
            self.position += len(block)
        return torch.cat(parts)

    def _blocks(self, features: "Tensor") -> "tuple[Tensor, ...]":
        if self.bank.device != features.device:
            self.bank, self.labels = self.bank.to(features.device), self.labels.to(features.device)
            self.squares = self.squares.to(features.device)
        return self._prepared(features).split(max(1, BLOCK_ELEMENTS // len(self.bank)))

    def _prepared(self, features: "Tensor") -> "Tensor":
        import torch

        if self.settings.metric == "cosine":
            return torch.nn.functional.normalize(features)
        return features - self.offset.to(features.device)

    def _nearest(self, block: "Tensor", k: int) -> "tuple[Tensor, Tensor]":
        """Return distances and positions (m, k) of the nearest rows, nearest first."""
        if self.settings.metric == "cosine":
            similarity, index = (block @ self.bank.T).topk(k, dim=1)
            return (1 - similarity).clamp_min(0), index
        # |x − y|² = |x|² − 2 xy + |y|², of which |x|² doesn't change the order.
        nearness, index = (2 * block @ self.bank.T - self.squares).topk(k, dim=1)
        return (block.square().sum(1, keepdim=True) - nearness).clamp_min(0).sqrt(), index

    def _tally(self, distance: "Tensor", index: "Tensor") -> "Tensor":
        """Turn neighbours (m, k) into log-probabilities (m, classes)."""
        import torch

        weight = torch.ones_like(distance)
        if self.settings.weights == "distance":
            # A zero distance outvotes all others, as an exact match should.
            weight = 1 / distance.clamp_min(1e-6)
        votes = torch.zeros(len(index), self.classes, device=index.device)
        votes.scatter_add_(1, self.labels[index], weight)
        share = votes / weight.sum(1, keepdim=True) * index.shape[1]
        smooth = self.settings.smoothing
        return ((share + smooth / self.classes) / (index.shape[1] + smooth)).log()
