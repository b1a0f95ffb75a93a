"""lora: the network stays as it is; low-rank updates of its linear and attention layers are trained, and a head."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from scaling.adapt.base import Context, Outcome, Subset
from scaling.adapt.finetune import Finetune
from scaling.core.errors import SettingError
from scaling.core.reading import Bounds, Count, Positive
from scaling.training import LoraSettings


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

    rank: Count = 8
    alpha: Positive = 16.0
    dropout: Annotated[float, Bounds(0, 0.99)] = 0.0
    targets: tuple[str, ...] | None = None

    name: ClassVar[str] = "lora"
    METHOD_VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.targets == ():
            raise SettingError("adaptation.targets=[]: expected a list of names, [qkv, proj], or null.")

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
