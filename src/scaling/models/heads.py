"""The head of a network from a library: found, and cut off."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling.core.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def is_headless(network: "nn.Module") -> bool:
    """Say whether a network puts out features, as timm's and Meta's DINOv2 do: there is no head to cut off."""
    from torch import nn

    return getattr(network, "num_classes", None) == 0 or isinstance(getattr(network, "head", None), nn.Identity)


def find_head(network: "nn.Module", num_classes: int | None) -> str:
    """Return the name of the last linear layer, of those with `num_classes` outputs where that is given."""
    from torch import nn

    linear = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    fitting = [name for name, module in linear.items() if num_classes in (None, module.out_features)]
    if not fitting:
        raise ModelError(
            f"{type(network).__name__} has no linear layer with {num_classes or 'any'} outputs that could be its head;"
            f" its linear layers: {', '.join(linear) or 'none'}.\nName the layer with model.head=NAME."
        )
    return fitting[-1]


def replace_with_identity(network: "nn.Module", name: str, model: str) -> "nn.Linear":
    """Cut the named linear layer off the network, in place, and return it."""
    from torch import nn

    modules: Mapping[str, nn.Module] = dict(network.named_modules())
    head = modules.get(name)
    if not isinstance(head, nn.Linear):
        linear = [known for known, module in modules.items() if isinstance(module, nn.Linear)]
        raise ModelError(
            f"model.head={name}: {model} has no linear layer of that name.\n"
            f"Its linear layers: {', '.join(linear[-5:]) or 'none'}."
        )
    parent, _, leaf = name.rpartition(".")
    setattr(modules[parent], leaf, nn.Identity())
    return head
