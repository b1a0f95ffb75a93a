"""A backbone made ready for forward passes alone: batch norms folded, weights laid out and rounded for it."""

import copy

import torch
from torch import Tensor, nn

from scaling.models.folding import fold_batch_norms


def for_inference(network: nn.Module, precision: str) -> nn.Module:
    """Return a copy of a network in eval mode that gives the same features faster, at one precision.

    Args:
        precision: resolved, as Lightning names it. bf16 rounds convolution weights so that each filter keeps its sum.
    """
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    fold_batch_norms(ready)
    if precision.startswith("bf16"):
        for module in ready.modules():
            weight = dict(module.named_parameters(recurse=False)).get("weight")
            if isinstance(module, nn.Conv2d) and weight is not None:  # None: computed from others at each call
                module.weight = nn.Parameter(round_filters(weight), requires_grad=False)
    for parameter in ready.parameters():
        if parameter.dim() == 4:  # Module.to refuses networks that have a 3D convolution as well
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
    return ready


@torch.no_grad()
def round_filters(weight: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Round a convolution's weights to what `dtype` can hold, each filter's sum kept as well as it can be.

    Rounding each tap by itself changes what a filter of few taps makes of a flat area, and depthwise networks pass
    that error on from layer to layer. Here each tap takes over the error of those before it, the largest first, so
    that the last and finest one settles it: error diffusion (Floyd and Steinberg 1976) in one dimension.

    Args:
        weight: (outputs, inputs, height, width).

    Returns:
        The rounded weights, of the same shape and dtype as `weight`.
    """
    taps = weight.flatten(2)
    order = taps.abs().argsort(dim=2, descending=True)
    ranked = taps.gather(2, order)
    error = torch.zeros_like(ranked[..., 0])
    for tap in ranked.unbind(2):
        wanted = tap + error
        tap.copy_(wanted.to(dtype).to(weight.dtype))
        error = wanted - tap
    return torch.empty_like(taps).scatter_(2, order, ranked).view_as(weight)
