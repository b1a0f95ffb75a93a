"""Folded networks against the same networks before; where folding would be wrong, nothing may change."""

import copy

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision import models

from scaling.models.folding import fold_batch_norms

examples = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def lively(network, seed=0):
    """Give every batch norm statistics of its own, as training would; fresh ones are nearly the identity."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            if module.running_mean is not None:
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.4, 2, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
                nn.init.normal_(module.bias, 0, 0.3, generator=generator)
    return network.eval()


def batch_norms(network):
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


@torch.no_grad()
def assert_folds(network, folded, batch=None, left=0):
    """Fold a copy; hold the number folded, the number left and the outputs against what is expected."""
    batch = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) if batch is None else batch
    copied = copy.deepcopy(network)
    before = network(batch.clone())
    assert fold_batch_norms(copied) == folded
    assert batch_norms(copied) == left
    torch.testing.assert_close(copied(batch.clone()), before, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


def pair(channels=4, **settings):
    return nn.Conv2d(3, channels, 3, **settings), nn.BatchNorm2d(channels)


@pytest.mark.parametrize(
    ("make", "folded", "left"),
    [
        (models.resnet18, 20, 0),
        (models.mobilenet_v3_small, 34, 0),
        (lambda: timm.create_model("test_resnet"), 15, 0),
        (lambda: timm.create_model("test_byobnet"), 14, 0),
        (lambda: timm.create_model("resnetv2_18d"), 10, 9),  # half of them stand before their convolution
        (lambda: timm.create_model("test_vit"), 0, 0),
    ],
    ids=["resnet18", "mobilenet_v3_small", "timm resnet", "BatchNormAct2d", "pre-activation", "no batch norm"],
)
def test_networks_give_the_same_outputs_without_their_batch_norms(make, folded, left):
    torch.manual_seed(0)
    network = lively(make())
    side = getattr(network, "default_cfg", {}).get("input_size", (3, 64, 64))[1]
    assert_folds(network, folded, torch.randn(2, 3, side, side), left)


def test_timms_padding_convolutions_and_activating_norms_fold():
    torch.manual_seed(0)
    network = lively(timm.create_model("tf_efficientnet_lite0"))
    kinds = {type(module).__name__ for module in network.modules()}
    assert {"BatchNormAct2d", "Conv2dSame"} <= kinds
    assert_folds(network, 49, torch.randn(2, 3, 64, 64))


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(6, 8, 3),
        nn.Conv2d(6, 8, 3, bias=False),
        nn.Conv2d(6, 8, 1, stride=2),
        nn.Conv2d(6, 8, 3, groups=2),
        nn.Conv2d(6, 6, 3, groups=6, padding=1, bias=False),
        nn.Conv2d(6, 12, 3, groups=6),
        nn.Conv2d(6, 8, 3, padding=2, dilation=2),
        nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(6, 8, 3),
        nn.Conv3d(6, 8, 3, groups=2),
    ],
    ids=["bias", "no bias", "1×1", "grouped", "depthwise", "multiplied", "dilated", "reflecting", "1d", "3d"],
)
def test_every_kind_of_convolution_folds(convolution):
    dimensions = convolution.weight.dim() - 2
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dimensions - 1](convolution.out_channels)
    assert_folds(lively(nn.Sequential(convolution, norm, nn.ReLU())), 1, torch.randn(2, 6, *[7] * dimensions))


def test_a_norm_without_weights_folds():
    assert_folds(lively(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False))), 1)


def test_its_own_epsilon_counts():
    network = lively(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=0.5)))
    assert_folds(network, 1)


def test_dtype_stays():
    network = lively(nn.Sequential(*pair())).to(torch.bfloat16)
    assert fold_batch_norms(network) == 1
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}


def test_folding_again_finds_nothing():
    network = lively(models.resnet18())
    assert (fold_batch_norms(network), fold_batch_norms(network)) == (20, 0)


@examples
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from([1, 3]), st.booleans(), st.booleans(), st.booleans(),
                  st.booleans()),
        min_size=1, max_size=4,
    ),
    st.integers(0, 99),
)  # fmt: skip
def test_any_chain_of_convolutions_and_norms_keeps_its_outputs(layers, seed):
    torch.manual_seed(seed)
    network, channels, folded = [], 3, 0
    for factor, kernel, bias, affine, activated, normed in layers:
        grouped = factor > 1  # a whole number of outputs for each of the inputs
        out = channels * factor if grouped else 4
        network.append(nn.Conv2d(channels, out, kernel, padding=1, bias=bias, groups=channels if grouped else 1))
        network += [nn.ReLU()] * activated + [nn.BatchNorm2d(out, affine=affine)] * normed
        folded += normed and not activated
        channels = out
    norms = sum(normed for *_, normed in layers)
    assert_folds(lively(nn.Sequential(*network), seed), folded, torch.randn(2, 3, 6, 6), norms - folded)


class Net(nn.Module):
    """A convolution and a norm of four channels; subclasses call them their way."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = pair()


class OutputUsedTwice(Net):
    def forward(self, x):
        y = self.conv(x)
        return self.bn(y) + y


class NormCalledTwice(Net):
    def forward(self, x):
        return self.bn(self.bn(self.conv(x)))


class NormOfTwoConvolutions(Net):
    def __init__(self):
        super().__init__()
        self.other = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.bn(self.conv(x)) + self.bn(self.other(x))


class SharedConvolution(Net):
    def forward(self, x):
        return self.bn(self.conv(x)) + self.conv(x).relu()


class ActivationBetween(Net):
    def forward(self, x):
        return self.bn(self.conv(x).relu())


class NormFirst(Net):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.conv(self.bn(x))


class Transposed(Net):
    def __init__(self):
        super().__init__()
        self.conv = nn.ConvTranspose2d(3, 4, 3)

    def forward(self, x):
        return self.bn(self.conv(x))


class WeightReadBesides(Net):
    def forward(self, x):
        return self.bn(self.conv(x)) + self.conv.weight.mean()


class NormReadBesides(Net):
    def forward(self, x):
        return self.bn(self.conv(x)) + self.bn.weight.view(-1, 1, 1)


class ShapeDecides(Net):
    def forward(self, x):
        return self.bn(self.conv(x)) if x.mean() < 1e9 else x


class ArgumentWithDefault(Net):
    """Traced with a symbol as `skip`, the output of the convolution would seem to be used once."""

    def forward(self, x, skip=None):
        y = self.conv(x)
        return self.bn(y) if skip is not None else self.bn(y) + y


class Standardised(nn.Conv2d):
    """Convolution whose weights are standardised at each call, so that scaling them changes nothing."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias)


class OfItsOwnKind(Net):
    def __init__(self):
        super().__init__()
        self.conv = Standardised(3, 4, 3)

    def forward(self, x):
        return self.bn(self.conv(x))


class Doubling(nn.BatchNorm2d):
    def forward(self, x):
        return 2 * super().forward(x)


class NormOfItsOwnKind(OfItsOwnKind):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), Doubling(4)


class Plain(Net):
    def forward(self, x):
        return self.bn(self.conv(x))


class Hooked(Plain):
    def __init__(self):
        super().__init__()
        self.conv.register_forward_hook(lambda module, given, output: output.relu())


class NormHooked(Plain):
    def __init__(self):
        super().__init__()
        self.bn.register_forward_pre_hook(lambda module, given: (given[0].relu(),))


class OtherForward(Plain):
    def __init__(self):
        super().__init__()
        self.conv.forward = lambda x: self.conv._conv_forward(x, self.conv.weight.sign(), None)


class Parametrised(Plain):
    def __init__(self):
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(self.conv)


@pytest.mark.parametrize(
    "network",
    [
        OutputUsedTwice, NormCalledTwice, NormOfTwoConvolutions, SharedConvolution, ActivationBetween, NormFirst,
        Transposed, WeightReadBesides, NormReadBesides, ShapeDecides, ArgumentWithDefault, OfItsOwnKind,
        NormOfItsOwnKind, Hooked, NormHooked, OtherForward, Parametrised,
    ],
)  # fmt: skip
def test_what_is_not_one_affine_map_stays(network):
    assert_folds(lively(network()), 0, left=1)


def test_a_norm_in_train_mode_stays():
    network = lively(Plain())
    network.bn.train()
    assert_folds(network, 0, left=1)


def test_a_norm_without_running_statistics_stays():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    assert_folds(lively(network), 0, left=1)


def test_a_norm_that_synchronises_stays():
    network = lively(Plain())
    network.bn = nn.SyncBatchNorm.convert_sync_batchnorm(network.bn).eval()
    assert fold_batch_norms(network) == 0


class TwoNames(nn.Module):
    """The norm goes by two names, and is called by the second."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = pair()
        self.body = nn.Sequential(self.conv, self.bn)

    def forward(self, x):
        return self.body(x)


def test_a_norm_of_two_names_is_applied_by_neither():
    assert_folds(lively(TwoNames()), 1)


def test_what_a_forward_of_the_instance_does_counts():
    network = lively(Plain())
    network.forward = OutputUsedTwice.forward.__get__(network)
    batch = torch.randn(2, 3, 8, 8)
    before = network(batch)
    assert fold_batch_norms(network) == 0
    torch.testing.assert_close(network(batch), before)


class Remembers(Plain):
    """Keeps a mask of its first batch."""

    mask = None

    def forward(self, x):
        if self.mask is None:
            self.mask = torch.zeros_like(x[:1])
        return self.bn(self.conv(x + self.mask))


def test_a_network_that_keeps_what_it_saw_keeps_no_symbol():
    network = lively(Remembers())
    assert fold_batch_norms(network) == 1
    assert network.mask is None
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 4, 6, 6)


def test_a_network_without_batch_norms_is_not_even_traced():
    class Raises(nn.Module):
        def forward(self, x):
            pytest.fail("traced")

    assert fold_batch_norms(Raises()) == 0


def test_other_leaves_go_on_sharing_weights():
    network = lively(Plain())
    network.other = nn.Conv2d(3, 4, 3)
    network.other.weight = network.conv.weight
    before = network.other.weight.clone()
    assert fold_batch_norms(network) == 1
    assert torch.equal(network.other.weight, before)
