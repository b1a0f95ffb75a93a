"""How large a model is: its weights, and what the features of one sample take."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaling.modalities.base import Batch, to
from scaling.models.base import Backbone, ModelSource

PARAMETERS, FLOPS = "model/parameters", "model/flops"


def size_of(source: ModelSource, backbone: Backbone, batch: Batch) -> dict[str, float]:
    """Return parameters and FLOPs of a model, under the names they are logged by.

    Args:
        batch: one sample as the network gets it.

    FLOPs are those of convolutions, matrix products and attention as torch counts them, two for a multiply–add, of
    the backbone without its head. They are left out where the network can't be traced.
    """
    size = {PARAMETERS: float(backbone.parameters)}
    found = flops(source, backbone.network, batch)
    return size if found is None else {**size, FLOPS: float(found)}


def flops(source: ModelSource, network: nn.Module, batch: Batch) -> int | None:
    """Count floating-point operations for one sample on torch's meta device, where nothing is computed."""
    weights = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), False) for p in network.parameters()}
    buffers = {id(b): torch.empty_like(b, device="meta") for b in network.buffers()}
    try:
        # deepcopy takes these for copies that it made already: no weight is copied.
        traced = copy.deepcopy(network, {**weights, **buffers}).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            source.encode(traced, to(batch, "meta"))
    except Exception:  # a network may do what the meta device can't
        return None
    return int(counter.get_total_flops())
