"""Fold batch norms into the convolutions before them: in eval mode both are one affine map.

With y = γ (conv(x) − μ) / √(σ² + ε) + β, the convolution takes the weights w γ/√(σ² + ε) and the bias
β + (b − μ) γ/√(σ² + ε) (Jacob et al. 2018, Quantization and Training of Neural Networks, section 3.2). Which
convolution feeds which batch norm is read off a symbolic trace, with both as leaves whatever their subclass, so
that timm's batch norms that carry their activation, and its padding convolutions, fold too.
"""

import copy

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


class _Tracer(fx.Tracer):
    """Traces down to convolutions and batch norms; subclasses of them stay whole."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Say whether a module is a node of its own."""
        return isinstance(module, Convolution | _BatchNorm) or super().is_leaf_module(module, name)


def fold_batch_norms(network: nn.Module) -> int:
    """Fold, in place, every batch norm whose only input is a convolution that feeds nothing else.

    Args:
        network: in eval mode.

    Returns:
        The number of batch norms folded; 0 where the network can't be traced.
    """
    if not any(isinstance(module, _BatchNorm) for module in network.modules()):
        return 0
    whole = nn.Sequential(network)  # so that the network is called as it will be: arguments with defaults have them
    try:
        graph = _Tracer().trace(copy.deepcopy(whole))  # the network's own code may keep the symbols that it gets
    except Exception:  # and it may raise anything on them
        return 0
    modules = dict(whole.named_modules(remove_duplicate=False))
    calls = [node.target for node in graph.nodes if node.op == "call_module"]
    read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    folded = 0
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(norm := modules[node.target], _BatchNorm):
            continue
        source = node.args[0] if node.args else None
        if not (isinstance(source, fx.Node) and source.op == "call_module" and len(source.users) == 1):
            continue
        convolution = modules[source.target]
        if not isinstance(convolution, Convolution) or not _is_plain(convolution):
            continue
        once = calls.count(node.target) == calls.count(source.target) == 1 and not {node.target, source.target} & read
        if once and (rest := _without_norm(norm)) is not None:
            _absorb(convolution, norm)
            for name in [name for name, module in modules.items() if module is norm]:  # it may go by several
                parent, _, leaf = name.rpartition(".")
                setattr(modules[parent], leaf, rest.eval())
            folded += 1
    return folded


def _is_plain(convolution: Convolution) -> bool:
    """Say whether a convolution does what its class says with its weights as they are; a subclass may do anything."""
    known = type(convolution) in (nn.Conv1d, nn.Conv2d, nn.Conv3d) or type(convolution).__name__ == "Conv2dSame"
    return known and not _is_altered(convolution)


def _is_altered(module: nn.Module) -> bool:
    """Say whether hooks or a forward of its own change what a module does."""
    return bool(module._forward_pre_hooks or module._forward_hooks) or "forward" in vars(module)


def _without_norm(norm: _BatchNorm) -> nn.Module | None:
    """Return what a batch norm does besides normalising; None where that isn't known."""
    if norm.training or norm.running_mean is None or norm.running_var is None or _is_altered(norm):
        return None
    if type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        return nn.Identity()
    drop, activation = getattr(norm, "drop", None), getattr(norm, "act", None)  # timm's BatchNormAct2d
    if type(norm).__name__ == "BatchNormAct2d" and isinstance(drop, nn.Module) and isinstance(activation, nn.Module):
        return nn.Sequential(drop, activation)
    return None


@torch.no_grad()
def _absorb(convolution: Convolution, norm: _BatchNorm) -> None:
    """Put a batch norm's affine map into the convolution before it; computed in float64."""
    given = (convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    weight, bias, mean, variance, gain, shift = (None if tensor is None else tensor.double() for tensor in given)
    assert weight is not None
    assert mean is not None
    assert variance is not None
    dtype = convolution.weight.dtype
    weight, bias = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, gain, shift)
    convolution.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    convolution.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
