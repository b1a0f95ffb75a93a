"""lora: the network stays as it is; low-rank updates of its linear and attention layers are trained, and a head."""

from dataclasses import dataclass
from typing import Any, ClassVar

from scaling.adapt.base import Context, Outcome, Subset, positive_number
from scaling.adapt.finetune import Finetune
from scaling.core.errors import SettingError
from scaling.training import LoraSettings
from scaling.training.recipe import whole


@dataclass(frozen=True)
class Lora(Finetune):
    """Low-rank adaptation, the weight W of a layer becoming W + (alpha / rank) B A; B starts at zero.

    Attributes:
        rank: rows of A and columns of B.
        alpha: scale of the update.
        dropout: share of a layer's inputs that the update does not see in training.
        targets: last parts of the names of the layers, such as [qkv, proj]; None is every linear and attention
            layer below the head.

    Source: Hu et al. (2022), LoRA: low-rank adaptation of large language models, ICLR.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None

    name: ClassVar[str] = "lora"
    METHOD_VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not whole(self.rank):
            raise SettingError(f"adaptation.rank={self.rank}: expected a whole number from 1 up.")
        if not positive_number(self.alpha):
            raise SettingError(f"adaptation.alpha={self.alpha}: expected a positive number.")
        dropout: Any = self.dropout
        if dropout != 0 and not (positive_number(dropout) and dropout < 1):
            raise SettingError(f"adaptation.dropout={dropout}: expected a number from 0 to below 1.")
        if self.targets is not None and (not isinstance(self.targets, tuple) or not self.targets):
            raise SettingError(f"adaptation.targets={self.targets}: expected a list of names, [qkv, proj], or null.")
        if self.targets is not None:  # a layer of a sequence is called 0, which YAML reads as a number
            object.__setattr__(self, "targets", tuple(map(str, self.targets)))

    @property
    def lora(self) -> LoraSettings:
        """Settings of the updates."""
        return LoraSettings(self.rank, float(self.alpha), float(self.dropout), self.targets)

    def run(self, context: Context, subset: Subset) -> Outcome:
        """Train, and predict the subset and the test set."""
        if not context.model.pretrained:
            context.reporter.note(
                f"lora on random weights: the layers of {context.model.id} stay as they were drawn, but for updates of"
                f" rank {self.rank}; adaptation=finetune trains all of them"
            )
        if self.dropout and (ignoring := self._without_dropout(context)):
            context.reporter.note(
                f"adaptation.dropout={self.dropout:g}: peft has none for nn.MultiheadAttention, so the updates of"
                f" {len(ignoring)} layers of {context.model.id} ({ignoring[0]}, …) see all of their inputs"
            )
        return super().run(context, subset)

    def _without_dropout(self, context: Context) -> list[str]:
        from scaling.training.network import attention_layers, targeted

        return targeted(attention_layers(context.backbone.network), self.targets)
