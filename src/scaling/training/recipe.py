"""The settings of a training, checked: what changes a score (`Recipe`), and what only changes how it is run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from scaling.core.errors import SettingError
from scaling.core.reading import Bounds, Checked, Count, Positive
from scaling.training.budget import Budget, budget


@dataclass(frozen=True)
class Recipe(Checked):
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

    learning_rates: tuple[Positive, ...] = (1e-4, 5e-4, 2.5e-3)
    layer_decay: Annotated[float, Bounds(0, 1)] = 1.0
    weight_decay: Annotated[float, Bounds(0)] = 0.05
    label_smoothing: Annotated[float, Bounds(0, 0.99)] = 0.1
    batch_norm: Literal["auto", "frozen", "train"] = "auto"
    augment: tuple[str, ...] = ("crop", "flip")
    batch_size: Count = 32
    epochs: Positive = 20.0
    min_steps: Count = 100
    max_steps: Count = 5000
    warmup: Annotated[float, Bounds(0, 1)] = 0.1
    validation: Annotated[float, Bounds(0, 1, ends=False)] = 0.2
    patience: Count | None = 3
    rounds: Count = 10

    node: ClassVar[str] = "adaptation"

    def __post_init__(self) -> None:
        super().__post_init__()
        rates = self.learning_rates
        # Phases and metrics are named by six digits of the rate.
        if not rates or list(rates) != sorted(rates) or len({f"{rate:g}" for rate in rates}) < len(rates):
            raise SettingError(
                f"adaptation.learning_rates={list(rates)}: expected a list of positive numbers, ascending, without"
                " repeats in six digits, such as [0.0001, 0.001]."
            )
        if self.min_steps > self.max_steps:
            raise SettingError(f"adaptation.min_steps={self.min_steps} is above max_steps={self.max_steps}.")

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


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value
