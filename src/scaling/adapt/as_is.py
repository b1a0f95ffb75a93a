"""as_is: nothing is trained; the model's own head is evaluated on the subset and on the test set."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from scaling.adapt import phrases
from scaling.adapt.base import Adaptation, Context, Outcome, Subset
from scaling.core.errors import AdaptationError, SettingError
from scaling.core.reading import Checked
from scaling.core.words import class_names, places
from scaling.datasets.base import Dataset
from scaling.modalities.texts import Texts
from scaling.models.base import ModelSource

if TYPE_CHECKING:
    from scaling.adapt.heads import Head

LabelMap = Mapping[str, int | Sequence[int]]


@dataclass(frozen=True)
class AsIs(Checked, Adaptation):
    """Evaluate the model's own head; of sentence encoders, how near each text is to a phrase for each class.

    Attributes:
        label_space: "match" needs the head's outputs to mean the data set's labels; "raw" takes output i for
            label i whatever they mean, as the source articles' code does.
        label_map: the head's outputs that stand for each class, {class name: output or outputs}, or the path
            of a JSON file that holds it. A class's probability is the sum over its outputs.
        phrases: what texts are compared with instead: text with {} where the name of a class goes, a phrase for
            each class in order, or {class name: phrase or phrases}. None takes the names where a model that was
            trained to compare texts has no head.
    """

    label_space: Literal["match", "raw"] = "match"
    label_map: LabelMap | str | None = None
    phrases: Mapping[str, Any] | tuple[str, ...] | str | None = None

    name: ClassVar[str] = "as_is"
    METHOD_VERSION: ClassVar[int] = 1
    draws: ClassVar[bool] = False
    needs_network: ClassVar[bool] = True
    node: ClassVar[str] = "adaptation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phrases is not None and (self.label_map is not None or self.label_space == "raw"):
            raise SettingError(
                "adaptation.phrases takes the place of the model's own head: leave adaptation.label_map and"
                " adaptation.label_space out."
            )

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score; a map read from a file counts by its content."""
        mapping = self._mapping()
        return {
            "label_space": self.label_space,
            "label_map": mapping and {k: list(v) for k, v in mapping.items()},
        }

    def check(self, dataset: Dataset, model: ModelSource, n: int) -> None:
        """Refuse label spaces that don't agree, and models without a head."""
        if self._compares(model):
            if model.modality != Texts.modality:
                raise AdaptationError(f"as_is: adaptation.phrases are texts, and {model.id} reads {model.modality}.")
            phrases.by_class(self.phrases, dataset.class_names)
        elif (mapping := self._by_class()) is not None:
            absent = [name for name in dataset.class_names if name not in mapping]
            unknown = [name for name in mapping if name not in dataset.class_names]
            if absent or unknown:
                raise AdaptationError(
                    f"adaptation.label_map {'lacks' if absent else 'names the unknown'} class"
                    f" {', '.join((absent or unknown)[:5])}; {dataset.name} has {', '.join(dataset.class_names[:12])}."
                )
        elif self.label_space == "match" and not self._matches(dataset, model):
            raise AdaptationError(
                f"as_is: the outputs of {model.id} mean {_meaning(model.label_space, model.labels)}, the labels of"
                f" {dataset.name} mean {_meaning(dataset.label_space, model.labels and dataset.class_names)}:"
                " comparing them says nothing.\n"
                "Give adaptation.label_map={CLASS: OUTPUT, …}, or adaptation.label_space=raw for the literal"
                " comparison of numbers,\nor train a head: adaptation=linear_probe."
            )

    def wording(self, dataset: Dataset, model: ModelSource) -> dict[str, Any]:
        """Return the phrases that stand for the classes, or the outputs that are called as they are."""
        if self._compares(model):
            return {"phrases": phrases.by_class(self.phrases, dataset.class_names)}
        named = self._named(dataset, model)
        return {} if named is None else {"outputs": named}

    def _compares(self, model: ModelSource) -> bool:
        """Say whether phrases stand for the classes."""
        own = model.labels or model.label_space or self.label_map is not None or self.label_space == "raw"
        return self.phrases is not None or (model.comparable and not own)

    def _named(self, dataset: Dataset, model: ModelSource) -> list[int] | None:
        """Return the output that is called as each class, where all are."""
        if self.label_map is not None or self.label_space == "raw" or model.labels is None:
            return None
        return places(dataset.class_names, model.labels)

    def _matches(self, dataset: Dataset, model: ModelSource) -> bool:
        known = model.label_space is not None and model.label_space == dataset.label_space
        return known or self._named(dataset, model) is not None

    def run(self, context: Context, subset: Subset) -> Outcome:
        """Evaluate the head over stored features: its logits are a function of them."""
        from scaling.adapt.heads import predict_both

        head, outputs = self._head(context)
        matching = self.label_space == "match" and self.label_map is None
        if outputs < context.classes or (matching and outputs != context.classes):
            raise AdaptationError(
                f"as_is: {context.model.id} has {outputs} outputs, {context.dataset.name} has {context.classes}"
                " classes.\n"
                "Say which output stands for which class with adaptation.label_map=, or take adaptation=linear_probe."
            )
        return Outcome(*predict_both(head, context, subset))

    def _head(self, context: Context) -> "tuple[Head, int]":
        import torch

        from scaling.adapt.heads import linear_head

        names = context.dataset.class_names
        if self._compares(context.model):
            return phrases.head(context, phrases.by_class(self.phrases, names)), len(names)
        layer = context.backbone.head
        if layer is None:
            raise AdaptationError(
                f"as_is: {context.model.id} has no head of its own.\nTake adaptation=linear_probe or adaptation=knn."
            )
        bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_features)
        head = linear_head(context.task, layer.weight.detach(), bias.detach())
        mapping = self._by_class()
        if (order := self._named(context.dataset, context.model)) is not None and layer.out_features == len(names):
            return linear_head(context.task, layer.weight.detach()[order], bias.detach()[order]), len(names)
        if mapping is None:
            return head, layer.out_features
        groups = [list(mapping[name]) for name in names]
        if (highest := max(max(group) for group in groups)) >= layer.out_features:
            raise AdaptationError(
                f"adaptation.label_map names output {highest}; {context.model.id} has {layer.out_features}, from 0 up."
            )
        return lambda features: context.task.joined(head(features), groups), len(groups)

    def _by_class(self) -> dict[str, tuple[int, ...]] | None:
        """Return the map by the spelling that data sets give to names of classes."""
        mapping = self._mapping()
        names = class_names(mapping or (), "adaptation.label_map")
        return mapping and {names[name]: outputs for name, outputs in mapping.items()}

    def _mapping(self) -> dict[str, tuple[int, ...]] | None:
        raw: Any = self.label_map
        if raw is None:
            return None
        if isinstance(raw, str):
            try:
                raw = json.loads(Path(raw).expanduser().read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise SettingError(f"adaptation.label_map={raw}: not a readable JSON file ({error}).") from error
        try:
            groups = {str(k): (v,) if isinstance(v, int) else tuple(v) for k, v in raw.items()}
            if all(map(_outputs, groups.values())):
                return groups
        except (AttributeError, TypeError):
            pass
        raise SettingError(
            "adaptation.label_map: expected {CLASS: OUTPUT} or {CLASS: [OUTPUT, …]}, outputs from 0 up, none twice."
        )


def _meaning(space: str | None, names: Sequence[str] | None) -> str:
    """Say what outputs or labels mean: their space, else their first names."""
    return space or ("nothing known" if not names else ", ".join(names[:3]) + ", …" * (len(names) > 3))


def _outputs(group: tuple[Any, ...]) -> bool:
    """Say whether these are numbers of outputs, each once."""
    numbers = all(isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0 for entry in group)
    return bool(group) and numbers and len(set(group)) == len(group)
