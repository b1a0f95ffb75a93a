"""A backbone and a head as one network to be trained: a copy, since the built one is shared by the grid's points."""

import copy
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from scaling.core.errors import AdaptationError
from scaling.features.forward import width
from scaling.modalities.base import Batch
from scaling.models.base import ModelSource, build
from scaling.training.recipe import LoraSettings, Recipe
from scaling.training.work import HeadArrays, Work

#: Steps of depth that `layer_decay` counts.
DEPTHS = 12
#: Share of the way that stored statistics move each step where batch norms are trained; torch's own default.
MOMENTUM = 0.1
#: Names under which modules keep how much they drop at random, besides those with "drop" in them.
DRAWING = ("p", "prob")


class Tuned(nn.Module):
    """The network, maps prepared batches of samples to logits, one row for each row of features, (k, classes)."""

    def __init__(self, backbone: nn.Module, head: nn.Linear, source: ModelSource, frozen_norms: bool) -> None:
        super().__init__()
        self.backbone, self.head, self.source, self.frozen_norms = backbone, head, source, frozen_norms
        for norm in self._norms():
            norm.momentum = MOMENTUM

    def forward(self, batch: Batch) -> Tensor:
        """Return logits, as float32."""
        features = self.source.encode(self.backbone, batch)
        return self.head(features.to(self.head.weight.dtype)).float()

    def train(self, mode: bool = True) -> "Tuned":
        """Set training mode; batch norms that are frozen keep using what they stored."""
        super().train(mode)
        if self.frozen_norms:
            for norm in self._norms():
                norm.eval()
        return self

    def _norms(self) -> Iterator[_BatchNorm]:
        return (module for module in self.modules() if isinstance(module, _BatchNorm))


def tuned(work: Work, head: HeadArrays | None) -> Tuned:
    """Make the network of a training; what is drawn at random follows from the seed alone."""
    backbone = build(work.model)
    network = copy.deepcopy(backbone.network).requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(work.seed)
        if work.lora is not None:
            network = with_lora(network, work.lora, work.model.id)
        inputs = width(work.model, backbone, work.dataset.train.samples)
        linear = nn.Linear(inputs, work.dataset.task.outputs)
    if head is not None:
        linear.load_state_dict({"weight": torch.tensor(head[0]), "bias": torch.tensor(head[1])})
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
    return Tuned(network, linear, work.model, frozen_norms(work.recipe, work.model, work.lora))


def frozen_norms(recipe: Recipe, model: ModelSource, lora: LoraSettings | None) -> bool:
    """Say whether batch norms keep their stored statistics."""
    if recipe.batch_norm == "auto":
        return model.pretrained or lora is not None
    return recipe.batch_norm == "frozen"


def draws(network: nn.Module) -> bool:
    """Say whether a network draws anything in training: dropout, or layers that are left out (stochastic depth)."""
    named = (item for module in network.modules() for item in vars(module).items())
    return any(isinstance(value, float) and value > 0 for name, value in named if name in DRAWING or "drop" in name)


def trains_norms(work: Work) -> bool:
    """Say whether batch norms take the statistics of what they see in training."""
    if frozen_norms(work.recipe, work.model, work.lora):
        return False
    return any(isinstance(module, _BatchNorm) for module in build(work.model).network.modules())


def with_lora(network: nn.Module, settings: LoraSettings, model: str) -> nn.Module:
    """Freeze a network and put low-rank updates beside its linear and attention layers.

    Raises:
        AdaptationError: peft is missing, or no layer is of that kind or name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise AdaptationError(
            "lora needs the Python package peft.\nInstall it: pip install 'scaling-curves[lora]'"
        ) from error
    names = lora_layers(network, settings.targets, model)
    config = LoraConfig(
        r=settings.rank, lora_alpha=cast(Any, settings.alpha), lora_dropout=settings.dropout,
        target_modules="|".join(map(re.escape, names)),
    )  # fmt: skip
    return inject_adapter_in_model(config, network.requires_grad_(False))


def lora_layers(network: nn.Module, targets: tuple[str, ...] | None, model: str) -> list[str]:
    """Return the names of the linear and attention layers, of those named in `targets` where that is given."""
    modules = dict(network.named_modules())
    attention = attention_layers(network)
    linear = {
        name for name, module in modules.items()
        if isinstance(module, nn.Linear) and name.rpartition(".")[0] not in attention
    }  # fmt: skip
    found = sorted(attention | linear)
    if not found:
        kinds = Counter(type(module).__name__ for module in modules.values() if not list(module.children()))
        shown = ", ".join(f"{kind} × {count}" for kind, count in kinds.most_common(5))
        raise AdaptationError(
            f"lora: {model} has no linear or attention layer below its head; it has {shown}.\n"
            "Take adaptation=finetune, or a transformer, such as model=vit_b_16."
        )
    chosen = targeted(found, targets)
    if not chosen:
        counts = Counter(name.rpartition(".")[2] for name in found)
        shown = ", ".join(f"{name} × {count}" for name, count in counts.most_common(8))
        raise AdaptationError(
            f"adaptation.targets={list(targets or ())}: {model} has no linear or attention layer of these names.\n"
            f"It has: {shown}."
        )
    return chosen


def attention_layers(network: nn.Module) -> set[str]:
    """Return the names of torch's own attention layers."""
    return {name for name, module in network.named_modules() if isinstance(module, nn.MultiheadAttention)}


def targeted(names: Iterable[str], targets: tuple[str, ...] | None) -> list[str]:
    """Return those of some layers whose names end in one of `targets`, all where that is None."""
    return sorted(name for name in names if targets is None or name.rpartition(".")[2] in targets)


def check_updates(network: Tuned) -> None:
    """Refuse updates that a backward pass gave no gradient: the network does not call these layers.

    Raises:
        AdaptationError: torchvision's Swin, for one, hands the weights of its attention to a function.
    """
    with_gradient: dict[str, bool] = {}
    for name, parameter in network.backbone.named_parameters():
        layer, found, _ = name.partition(".lora_")
        if found and parameter.requires_grad:
            with_gradient[layer] = with_gradient.get(layer, True) and parameter.grad is not None
    unused = [layer for layer, good in with_gradient.items() if not good]
    if not unused:
        return
    last = {layer: layer.rpartition(".")[2] for layer in with_gradient}
    usable = sorted(set(last.values()) - {last[layer] for layer in unused})
    shown = ", ".join(unused[:3]) + (", …" if len(unused) > 3 else "")
    raise AdaptationError(
        f"lora: the updates of {len(unused)} of {len(with_gradient)} layers would have no effect, as the network uses"
        f" their weights without calling them: {shown}.\n"
        + (f"Take adaptation.targets=[{','.join(usable)}]." if usable else "Take adaptation=finetune.")
    )


def parameter_groups(network: Tuned, recipe: Recipe) -> list[dict[str, Any]]:
    """Sort what is trained into groups of one rate and one weight decay.

    A parameter's depth is its place in the order of the network's, in twelfths; the head is at the top.
    """
    named = list(network.named_parameters())
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for place, (name, parameter) in enumerate(named):
        if not parameter.requires_grad:
            continue
        below = 0 if name.startswith("head.") else 1 + (DEPTHS - 1) - place * DEPTHS // len(named)
        decays = parameter.dim() > 1
        empty = {"params": [], "scale": recipe.layer_decay**below, "weight_decay": recipe.weight_decay * decays}
        groups.setdefault((below, decays), empty)["params"].append(parameter)
    return list(groups.values())


def counts(network: nn.Module) -> dict[str, float]:
    """Return how many parameters there are, how many are trained, and their share."""
    every = sum(parameter.numel() for parameter in network.parameters())
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return {"model/parameters": every, "model/trained_parameters": trained, "model/trained_share": trained / every}
