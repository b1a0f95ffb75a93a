"""linear_probe: logistic regression on frozen features, its penalty chosen inside the n samples."""

from dataclasses import asdict, dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.adapt.base import Adaptation, Context, Outcome, Subset, positive_number
from scaling.core.costs import LOGIT_ELEMENTS, Cost
from scaling.core.errors import SettingError
from scaling.core.subsets import stratified_folds, validation_part
from scaling.datasets.base import Dataset
from scaling.models.base import ModelSource

if TYPE_CHECKING:
    from scaling.adapt.softmax import Fit

#: Hessian-vector products that a penalty takes, about.
PRODUCTS = 6
#: From this many samples up, one held-out part tells the penalties apart as well as all folds.
LARGE = 20_000


@dataclass(frozen=True)
class LinearProbe(Adaptation):
    """L2-penalised logistic regression on standardised features.

    Mean and scale come from the n samples alone. The penalty with the lowest held-out log-loss inside them is taken,
    and the head refitted on all n. Below LARGE samples that is the mean of a stratified cross-validation; from LARGE up
    one part is held out, a fold's share of each class, and the last fit is as tight as those of the search.

    Attributes:
        penalties: values of C as scikit-learn means it (the loss summed over samples times C), ascending.
        folds: folds of the cross-validation, fewer where a class has fewer members; from LARGE samples up the share
            that is held out is 1 / folds.
        default_penalty: C where a class has a single member, so that nothing can be chosen.
        stop_ratio: weaker penalties are left out once the held-out log-loss is this many times the lowest so
            far; 1.1 spares the slowest fits, which overfit more and more.
        search_tolerance: share by which the objectives of the cross-validation's fits may lie above the optimum.
        tolerance: the same for the final fit below LARGE samples.
    """

    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    folds: int = 5
    default_penalty: float = 1e-2
    stop_ratio: float = 1.1
    search_tolerance: float = 1e-4
    tolerance: float = 1e-6

    name: ClassVar[str] = "linear_probe"
    METHOD_VERSION: ClassVar[int] = 3
    draws: ClassVar[bool] = False
    keeps_head: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given: Any = self.penalties
        if not isinstance(given, tuple) or not given or not all(map(positive_number, given)):
            shown = list(given) if isinstance(given, tuple) else given
            raise SettingError(f"adaptation.penalties={shown}: expected a list of positive numbers, [0.01, 0.1, 1].")
        if list(given) != sorted(set(given)):
            raise SettingError(f"adaptation.penalties={list(given)}: expected ascending, without repeats.")
        if isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 2:
            raise SettingError(f"adaptation.folds={self.folds}: expected a whole number from 2 up.")
        limits = {"default_penalty": (0, inf), "stop_ratio": (1, inf), "search_tolerance": (0, 1), "tolerance": (0, 1)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not positive_number(value) or not low < value < high:
                bounds = f"above {low}" if high == inf else f"between {low} and {high}"
                raise SettingError(f"adaptation.{name}={value}: expected a number {bounds}.")

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score."""
        # 1 and 1.0 are one setting.
        numbers = {name: float(value) for name, value in asdict(self).items() if isinstance(value, int | float)}
        return {**numbers, "penalties": [float(penalty) for penalty in self.penalties]}

    def revision(self, model: ModelSource, n: int) -> int:
        """Return 4 where one part is held out, and 0 where the method is still that of METHOD_VERSION."""
        return 4 if n >= LARGE else 0

    def check(self, dataset: Dataset, model: ModelSource, n: int) -> None:
        """Accept every n: with a single member of a class the default penalty is taken."""

    def cost(self, n: int, m: int, d: int, classes: int) -> Cost:
        """Return what the search and the final fit take: moments, their eigenbasis, and Hessian-vector products."""
        rank = min(n, d)
        problems = 1 if n >= LARGE else self.folds + 1
        products = 2 * PRODUCTS * n * rank * classes * problems * len(self.penalties)
        logits = max(LOGIT_ELEMENTS, n * classes)  # one problem's logits are never split
        return Cost(2 * n * d * rank + 20 * rank**3 + products, (n + m) * d * 4 + 5 * 4 * logits)

    def run(self, context: Context, subset: Subset) -> Outcome:
        """Choose the penalty, fit, and predict the subset and the test set."""
        from scaling.adapt.heads import linear_head, predict_both

        folds, penalties = self._choices(context, subset)
        fitted = self._fit(context, subset, folds, penalties, "fit")
        train, test = predict_both(linear_head(context.task, *fitted.standardised), context, subset)
        chosen = fitted.chosen
        table = [
            {
                "C": penalties[i],
                "cv_log_loss": float(loss.mean()),
                f"cv_{context.task.hits_name}": float(hits.mean()),
                "iterations": fitted.iterations[i],
                "converged": fitted.converged[i],
                "chosen": i == chosen,
            }
            for i, (loss, hits) in enumerate(zip(fitted.held_out_loss, fitted.held_out_hits, strict=True))
        ]
        return Outcome(
            train=train,
            test=test,
            metrics={"adaptation/penalty": penalties[chosen]},
            params={
                "chosen.penalty": penalties[chosen],
                "chosen.folds": 1 if folds is None else int(folds.max()) + 1,
            },
            tags=_remarks(folds is not None, chosen, penalties, fitted.converged),
            tables={"penalty_path": table} if table else {},
            head={
                name: tensor.float().cpu().numpy()
                for name, tensor in zip(("weight", "bias", "mean", "scale"), fitted.standardised, strict=True)
            },
        )

    def head(self, context: Context, subset: Subset, stage: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Choose the penalty and fit; return weight (classes, d) and bias (classes,) for raw features."""
        fitted = self._fit(context, subset, *self._choices(context, subset), stage)
        return fitted.weight.float().cpu().numpy(), fitted.bias.float().cpu().numpy()

    def _choices(self, context: Context, subset: Subset) -> tuple[NDArray[np.int64] | None, list[float]]:
        """Return the fold that holds each sample out (-1: none does), or None without a choice; and the penalties."""
        strata = context.task.strata(subset.targets)
        if len(subset) >= LARGE:
            folds = np.where(validation_part(strata, 1 / self.folds, subset.seed), 0, -1)
            can_choose = bool((folds == 0).any())
        else:
            folds = stratified_folds(strata, self.folds, subset.seed)
            can_choose = bool(folds.max() > 0)
        if can_choose:
            return folds, [float(penalty) for penalty in self.penalties]
        return None, [float(self.default_penalty)]

    def _fit(
        self, context: Context, subset: Subset, folds: NDArray[np.int64] | None, penalties: list[float], stage: str
    ) -> "Fit":
        import torch

        from scaling.adapt.softmax import fit

        # The fit overwrites this array, and it is gone when the features are read again: one copy at a time.
        waiting = [torch.from_numpy(context.train_features(subset)).to(context.device)]
        with context.reporter.stage(stage, total=len(penalties) + 1) as advance:
            return fit(
                waiting.pop(),
                torch.from_numpy(subset.targets).to(context.device),
                context.task,
                penalties,
                None if folds is None else torch.from_numpy(folds).to(context.device),
                self.search_tolerance,
                self.search_tolerance if len(subset) >= LARGE else self.tolerance,
                stop_ratio=self.stop_ratio,
                advance=advance,
            )


def _remarks(can_choose: bool, chosen: int, penalties: list[float], converged: list[bool]) -> dict[str, str]:
    """Return what a reader should know about the choice."""
    remarks = {}
    if not can_choose:
        remarks["scaling.penalty"] = "default: a class has a single sample, so no cross-validation"
    elif len(penalties) > 1 and chosen in (0, len(penalties) - 1):
        remarks["scaling.penalty"] = f"at the {'strong' if chosen == 0 else 'weak'} end of the path"
    if not np.all(converged):
        remarks["scaling.fit"] = "not all fits reached the tolerance"
    return remarks
