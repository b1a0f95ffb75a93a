"""The settings of a training, checked: what changes a score (`Recipe`), and what only changes how it is run."""

from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from sys import float_info
from typing import Any

from scaling.core.errors import SettingError
from scaling.training.budget import Budget, budget

BATCH_NORM = ("auto", "frozen", "train")
#: Settings that are numbers: the range that they may lie in, ends included where the flag says so.
NUMBERS = {
    "layer_decay": (0, 1, True), "weight_decay": (0, inf, True), "label_smoothing": (0, 0.99, True),
    "epochs": (0, inf, False), "warmup": (0, 1, True), "validation": (0, 1, False),
}  # fmt: skip
COUNTS = ("batch_size", "min_steps", "max_steps", "rounds")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained on n samples.

    Attributes:
        learning_rates: highest rates of AdamW to choose among, on the validation part.
        layer_decay: factor on the rate for each twelfth of the network further from the head; 1 is uniform.
        weight_decay: of AdamW, for weights; none for biases and the scales of normalisations.
        label_smoothing: share of each label that is spread over all classes.
        batch_norm: "frozen" keeps the stored statistics, "train" takes the batch's and moves the stored ones by a
            tenth of the way each step; "auto" freezes pre-trained ones. Scale and shift are trained either way.
        augment: what is done to training samples; their modality knows the names.
        batch_size: samples a step; no more than there are.
        epochs, min_steps, max_steps: steps are epochs · n / batch_size, within these bounds.
        warmup: share of the steps in which the rate rises; after them it falls along half a cosine.
        validation: share of the n samples held out while rate and number of steps are chosen.
        patience: rounds without a better validation loss after which a rate is given up; None never does, and
            then all steps are taken.
        rounds: validations over a training.
    """

    learning_rates: tuple[float, ...] = (1e-4, 5e-4, 2.5e-3)
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    batch_norm: str = "auto"
    augment: tuple[str, ...] = ("crop", "flip")
    batch_size: int = 32
    epochs: float = 20.0
    min_steps: int = 100
    max_steps: int = 5000
    warmup: float = 0.1
    validation: float = 0.2
    patience: int | None = 3
    rounds: int = 10

    def __post_init__(self) -> None:
        given: Any = self.learning_rates
        good = isinstance(given, tuple) and given and all(_number(value) and 0 < value < inf for value in given)
        # Phases and metrics are named by six digits of the rate.
        if not good or list(given) != sorted(given) or len({f"{rate:g}" for rate in given}) < len(given):
            shown = list(given) if isinstance(given, tuple) else given
            raise SettingError(
                f"adaptation.learning_rates={shown}: expected a list of positive numbers, ascending, without repeats"
                " in six digits, such as [0.0001, 0.001]."
            )
        for name, (low, high, closed) in NUMBERS.items():
            value = getattr(self, name)
            if not _number(value) or not (low <= value <= high if closed else low < value < high):
                bounds = f"number from {low} to {high}"
                if high == inf:
                    bounds = f"finite number from {low} up" if closed else f"finite number above {low}"
                raise SettingError(f"adaptation.{name}={value}: expected a {bounds}.")
        for name in COUNTS:
            if not whole(getattr(self, name)):
                raise SettingError(f"adaptation.{name}={getattr(self, name)}: expected a whole number from 1 up.")
        if self.patience is not None and not whole(self.patience):
            raise SettingError(f"adaptation.patience={self.patience}: expected a whole number from 1 up, or null.")
        if self.min_steps > self.max_steps:
            raise SettingError(f"adaptation.min_steps={self.min_steps} is above max_steps={self.max_steps}.")
        if self.batch_norm not in BATCH_NORM:
            raise SettingError(f"adaptation.batch_norm={self.batch_norm}: expected one of {', '.join(BATCH_NORM)}.")
        self._check_augment()

    def _check_augment(self) -> None:
        given: Any = self.augment
        if not isinstance(given, tuple) or not all(isinstance(name, str) for name in given):
            shown = list(given) if isinstance(given, tuple) else given
            raise SettingError(f"adaptation.augment={shown}: expected a list of names; or [].")

    @property
    def searches(self) -> bool:
        """Whether something is chosen on a validation part: the rate, or the number of steps."""
        return len(self.learning_rates) > 1 or self.patience is not None

    def budget(self, n: int) -> Budget:
        """Return the length of a training on n samples."""
        return budget(n, self.batch_size, self.epochs, self.min_steps, self.max_steps, self.rounds)

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score: all of them; 1 and 1.0 are one setting, in lists as well."""
        return {
            name: [_plain(item) for item in value] if isinstance(value, tuple) else _plain(value)
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank updates in place of full ones.

    Attributes:
        rank: rank of the update of each layer.
        alpha: the update is multiplied by alpha / rank.
        dropout: share of a layer's inputs that the update does not see in training.
        targets: last parts of the layers' names, such as qkv; None is every linear and attention layer.
    """

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...] | None


@dataclass(frozen=True)
class TrainingSettings:
    """How and where a training is run; none of it is part of a fingerprint.

    Attributes:
        processes: processes that share each step (DistributedDataParallel), one a device.
        micro_batch: samples that pass through the network at once; None for the whole batch.
        checkpoint: file that the training is resumed from; None keeps none.
        fingerprint: the grid point that the checkpoint belongs to.
        seconds: a checkpoint is written about so often.
        keep: whether the fitted weights stay when the point is finished.
    """

    processes: int = 1
    micro_batch: int | None = None
    checkpoint: Path | None = None
    fingerprint: str = ""
    seconds: float = 30.0
    keep: bool = False


def whole(value: Any, least: int = 1) -> bool:
    """Say whether a setting is a whole number from `least` up; YAML may hold anything."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any) -> bool:
    # Not isfinite, which fails on whole numbers beyond the floats.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= float_info.max


def _plain(value: Any) -> Any:
    return float(value) if _number(value) else value
