"""knn: the k nearest training samples vote. Exact, in blocks."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from scaling.adapt.base import Adaptation, Context, Outcome, Subset, positive_number
from scaling.core.costs import Cost
from scaling.core.errors import AdaptationError, SettingError
from scaling.datasets.base import Dataset
from scaling.datasets.offsets import listed
from scaling.metrics.base import Predictions
from scaling.modalities.vectors import Vectors
from scaling.models.base import ModelSource
from scaling.tasks.base import Targets, Task

if TYPE_CHECKING:
    from torch import Tensor

    from scaling.adapt.heads import Head

#: Elements of one block of distances; bounds the memory of a vote.
BLOCK_ELEMENTS = 1 << 25
#: Rows of the bank that are searched at a time: each read of them serves BLOCK_ELEMENTS / BANK_ROWS others.
BANK_ROWS = 1 << 16
#: Rows that are prepared at a time, for the same reason.
PREPARED_ROWS = 4096
#: Where cosines are closer together than this, on average, rounding would decide over them: rows are centred first.
NARROW = 1e-3
#: Powers of two between which the largest feature has to lie; others are scaled, that no square over- or underflows.
LOWEST, HIGHEST = -10, 40


@dataclass(frozen=True)
class Knn(Adaptation):
    """k-nearest-neighbour vote over frozen features.

    Attributes:
        k: neighbours that vote; all n where n is smaller. Of several, the one with the highest leave-one-out
            score on the n samples is taken; all are judged from one search.
        metric: "cosine" or "euclidean".
        weights: "uniform", or "distance" for votes of weight 1 / distance.
        smoothing: added to each class's votes, in shares of one vote spread over the classes, so that the
            log-likelihood of a class without votes is finite. It changes no prediction.
    """

    k: int | tuple[int, ...] = 5
    metric: Literal["cosine", "euclidean"] = "cosine"
    weights: Literal["uniform", "distance"] = "uniform"
    smoothing: float = 1.0

    name: ClassVar[str] = "knn"
    METHOD_VERSION: ClassVar[int] = 1
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.choices or any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in self.choices):
            shown = list(self.k) if isinstance(self.k, tuple) else self.k
            raise SettingError(
                f"adaptation.k={shown}: expected a positive whole number of neighbours, or a list of them."
            )
        for setting, choices in (("metric", ("cosine", "euclidean")), ("weights", ("uniform", "distance"))):
            if getattr(self, setting) not in choices:
                raise SettingError(
                    f"adaptation.{setting}={getattr(self, setting)}: expected one of {', '.join(choices)}."
                )
        if not positive_number(self.smoothing):
            raise SettingError(f"adaptation.smoothing={self.smoothing}: expected a positive number.")

    @property
    def choices(self) -> tuple[int, ...]:
        """The numbers of neighbours to choose from."""
        return self.k if isinstance(self.k, tuple) else (self.k,)

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score."""
        # A list of one is that one, and the order of a list changes nothing.
        choices = sorted(set(self.choices))
        return {**asdict(self), "k": choices if len(choices) > 1 else choices[0], "smoothing": float(self.smoothing)}

    def check(self, dataset: Dataset, model: ModelSource, n: int) -> None:
        """Accept every n: with fewer than k samples all of them vote. Angles need features that were not shifted."""
        samples = dataset.train.samples
        if self.metric == "cosine" and isinstance(samples, Vectors) and samples.shifted:
            raise AdaptationError(
                f"adaptation.metric=cosine measures angles at 0; in {listed(samples.shifted)} of {dataset.name},"
                " 32-bit floats can't tell values so far from 0 apart.\n"
                "Take adaptation.metric=euclidean, or save these columns less their mean."
            )

    def cost(self, n: int, m: int, d: int, classes: int) -> Cost:
        """Return what the distances of n and m samples to n samples take."""
        return Cost((n + m) * n * d, (n + m) * d * 4 + 3 * BLOCK_ELEMENTS * 4)

    def run(self, context: Context, subset: Subset) -> Outcome:
        """Vote on the subset (each sample among its own neighbours, and left out) and on the test set."""
        from scaling.adapt.heads import predict

        vote = _Vote(self, context.train_features(subset), subset.targets, context.task)
        predict(vote.of_bank, vote.rows, subset.targets, context, "neighbours of train")
        table = vote.path() if len(subset) > 1 else []
        # Of equals the first, which has the smallest k.
        metric = context.task.metrics[0]
        primary = metric.name
        best = min(table, key=lambda row: metric.error(row[f"leave_one_out_{primary}"]), default=None)
        k = best["k"] if best else vote.ks[0]
        targets = context.dataset.test.targets
        return Outcome(
            train=Predictions.concatenate(vote.train[k]),
            test=predict(vote.at(k), context.test_features(), targets, context, "neighbours of test"),
            metrics={f"train/{primary}_leave_one_out": best[f"leave_one_out_{primary}"]} if best else {},
            params={"chosen.k": k},
            tables={"neighbours": [{**row, "chosen": row is best} for row in table]} if len(table) > 1 else {},
        )


class _Vote:
    """The voting head over a bank of labelled features, which it takes over.

    Attributes:
        ks: numbers of neighbours, ascending, none above the size of the bank.
        rows: the bank, prepared for its metric in place, shape (n, d).
        train, left_out: predictions of the bank's rows with and without each row itself, by k.
    """

    def __init__(self, settings: Knn, bank: NDArray[np.float32], targets: Targets, task: Task) -> None:
        import torch

        self.settings, self.task, self.rows = settings, task, bank
        self.ks = sorted({min(k, len(bank)) for k in settings.choices})
        self.offset: Tensor | None = None
        self.bank = self._prepared(torch.from_numpy(bank))
        mean = bank.mean(0, dtype=np.float64)
        if settings.metric == "euclidean" or 1 - mean @ mean < NARROW:
            # Distances don't change when all is shifted, but rounding errors do: they grow with the offset squared.
            offset = torch.from_numpy(mean.astype(np.float32))
            low, high = self.bank.sub_(offset).aminmax()
            self.factor = float(factor_of(torch.maximum(-low, high)))
            self.bank.mul_(self.factor)
            self.offset = offset
        self.targets = torch.from_numpy(targets)
        self.squares = torch.cat([block.square().sum(1) for block in self.bank.split(PREPARED_ROWS)])
        self.train: dict[int, list[Predictions]] = {k: [] for k in self.ks}
        self.left_out: dict[int, list[Predictions]] = {k: [] for k in self.ks}
        self.position = 0

    def at(self, k: int) -> "Head":
        """Return the head of k neighbours: features (m, d) to log-probabilities (m, classes)."""
        import torch

        def head(features: "Tensor") -> "Tensor":
            blocks = self._blocks(self._prepared(features.clone()))
            return torch.cat([self._tally(*self._nearest(block, k)) for block in blocks])

        return head

    def of_bank(self, rows: "Tensor") -> "Tensor":
        """Vote on the bank's own rows, in order, for every k from one search; return those of the first k."""
        import torch

        shown = []
        for block in self._blocks(rows):
            own = torch.arange(self.position, self.position + len(block), device=block.device)[:, None]
            targets, decode = self.targets[own[:, 0]], self.task.decode
            distance, index = self._nearest(block, min(self.ks[-1] + 1, len(self.bank)))
            # Stable sort: the row itself to the end, the others stay in order of distance. Among many
            # identical rows it may not be in the list at all; then the furthest is dropped instead.
            order = (index == own).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, index.shape[1] - 1)]
            others, other_distance = index.gather(1, order), distance.gather(1, order)
            for k in self.ks:
                votes = self._tally(distance[:, :k], index[:, :k])
                self.train[k].append(decode(votes, targets))
                self.left_out[k].append(decode(self._tally(other_distance[:, :k], others[:, :k]), targets, whole=False))
                if k == self.ks[0]:
                    shown.append(votes)
            self.position += len(block)
        return torch.cat(shown)

    def path(self) -> list[dict[str, Any]]:
        """Return the scores of each k on the subset, once `of_bank` has seen all of it."""
        rows, primary = [], self.task.metrics[0].name
        for k in self.ks:
            left_out = Predictions.concatenate(self.left_out[k])
            scores = {
                f"leave_one_out_{primary}": left_out.primary,
                "leave_one_out_log_loss": left_out.log_loss,
                f"train_{primary}": Predictions.concatenate(self.train[k]).primary,
            }
            rows.append({"k": k, **scores})
        return rows

    def _blocks(self, features: "Tensor") -> "tuple[Tensor, ...]":
        if self.bank.device != features.device:
            self.bank, self.targets = self.bank.to(features.device), self.targets.to(features.device)
            self.squares = self.squares.to(features.device)
        return features.split(max(1, BLOCK_ELEMENTS // min(len(self.bank), BANK_ROWS)))

    def _prepared(self, features: "Tensor") -> "Tensor":
        """Scale rows to length 1, or centre them, or both, in place: a second copy may not fit memory."""
        if self.settings.metric == "cosine":
            for block in features.split(PREPARED_ROWS):
                block.mul_(factor_of(block.norm(float("inf"), dim=1, keepdim=True)))
                block.div_(block.norm(dim=1, keepdim=True).clamp_min(1e-12))
        return features if self.offset is None else features.sub_(self.offset.to(features.device)).mul_(self.factor)

    def _nearest(self, block: "Tensor", k: int) -> "tuple[Tensor, Tensor]":
        """Return distances and positions (m, k) of the nearest rows, nearest first."""
        import torch

        nearness, index = self._nearest_in(block, k, 0)
        for start in range(BANK_ROWS, len(self.bank), BANK_ROWS):
            further = self._nearest_in(block, k, start)
            nearness, index = (torch.cat(pair, 1) for pair in zip((nearness, index), further, strict=True))
            nearness, order = nearness.topk(min(k, nearness.shape[1]), dim=1)
            index = index.gather(1, order)
        if self.offset is None:
            return (1 - nearness).clamp_min(0), index
        squared = (block.square().sum(1, keepdim=True) - nearness).clamp_min(0)
        # Of rows of length 1, half of it is 1 − cosine.
        return squared / (2 * self.factor**2) if self.settings.metric == "cosine" else squared.sqrt(), index

    def _nearest_in(self, block: "Tensor", k: int, start: int) -> "tuple[Tensor, Tensor]":
        """Return nearness and positions of the nearest among BANK_ROWS rows from `start` on, (m, k) or fewer."""
        rows = slice(start, start + BANK_ROWS)
        bank = self.bank[rows]
        # |x − y|² = |x|² − 2 xy + |y|², of which |x|² doesn't change the order.
        nearness = block @ bank.T if self.offset is None else 2 * block @ bank.T - self.squares[rows]
        found, index = nearness.topk(min(k, len(bank)), dim=1)
        return found, index + start

    def _tally(self, distance: "Tensor", index: "Tensor") -> "Tensor":
        """Turn neighbours (m, k) into log-probabilities (m, classes)."""
        import torch

        weight = torch.ones_like(distance)
        if self.settings.weights == "distance":
            # A zero distance outvotes all others, as an exact match should.
            weight = 1 / distance.clamp(1e-6, 1e30)
        votes = self.task.votes(self.targets, index, weight)
        share = votes / weight.sum(1, keepdim=True) * index.shape[1]
        smooth = self.settings.smoothing
        return ((share + smooth / self.task.outcomes) / (index.shape[1] + smooth)).log()


def factor_of(peak: "Tensor") -> "Tensor":
    """Return the powers of two that bring peaks near 1 whose squares 32-bit floats may not hold; 1 for the others."""
    exponent = peak.log2().floor().clamp(-126, 126)
    outside = (peak > 0) & ((exponent < LOWEST) | (exponent > HIGHEST))
    return (-exponent).exp2().where(outside, 1.0)
