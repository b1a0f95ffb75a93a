"""How large a model is: its weights, and what the features of one image take."""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaling.models.base import Backbone

PARAMETERS, FLOPS = "model/parameters", "model/flops"


def size_of(backbone: Backbone, shape: Sequence[int]) -> dict[str, float]:
    """Return parameters and FLOPs of a model, under the names they are logged by.

    Args:
        shape: of one normalised image, (C, H, W).

    FLOPs are those of convolutions, matrix products and attention as torch counts them, two for a multiply–add, of
    the backbone without its head. They are left out where the network can't be traced.
    """
    size = {PARAMETERS: float(backbone.parameters)}
    found = flops(backbone.network, shape)
    return size if found is None else {**size, FLOPS: float(found)}


def flops(network: nn.Module, shape: Sequence[int]) -> int | None:
    """Count floating-point operations for one image on torch's meta device, where nothing is computed."""
    weights = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), False) for p in network.parameters()}
    buffers = {id(b): torch.empty_like(b, device="meta") for b in network.buffers()}
    try:
        # deepcopy takes these for copies that it made already: no weight is copied.
        traced = copy.deepcopy(network, {**weights, **buffers}).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            traced(torch.empty(1, *shape, device="meta"))
    except Exception:  # a network may do what the meta device can't
        return None
    return int(counter.get_total_flops())
