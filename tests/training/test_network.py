"""The network that is trained: batch norms, groups of parameters, low-rank updates."""

import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from scaling.core.errors import AdaptationError
from scaling.models import Pixels
from scaling.training.network import Tuned, draws, lora_layers, parameter_groups, with_lora
from scaling.training.recipe import LoraSettings, Recipe

LORA = LoraSettings(2, 4.0, 0.0, None)


def convolutions():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))


def step(network):
    """One step of training on noise."""
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(
        {"images": torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 5}
    ).square().mean().backward()
    optimiser.step()
    return network


def test_frozen_batch_norms_keep_their_statistics_and_learn_their_scale():
    norm = step(Tuned(convolutions(), nn.Linear(4, 2), Pixels(), frozen_norms=True)).backbone[1]
    assert torch.equal(norm.running_mean, torch.zeros(4))
    assert not torch.equal(norm.weight, torch.ones(4))


def test_trained_batch_norms_move_a_tenth_of_the_way():
    network = Tuned(convolutions(), nn.Linear(4, 2), Pixels(), frozen_norms=False)
    network.backbone[1].momentum = 0.1
    norm = step(network).backbone[1]
    assert norm.running_mean.abs().min() > 0
    assert (
        Tuned(nn.BatchNorm2d(4, momentum=0.01), nn.Linear(4, 2), Pixels(), frozen_norms=False).backbone.momentum == 0.1
    )


def test_groups_hold_each_parameter_once_with_its_rate_and_decay():
    network = Tuned(nn.Sequential(*[nn.Linear(4, 4) for _ in range(6)]), nn.Linear(4, 2), Pixels(), frozen_norms=True)
    groups = parameter_groups(network, Recipe(layer_decay=0.5, weight_decay=0.1))
    found = {id(p): group for group in groups for p in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in groups) == 14
    assert found[id(network.head.weight)]["scale"] == 1.0
    assert found[id(network.head.weight)]["weight_decay"] == 0.1
    assert found[id(network.head.bias)]["weight_decay"] == 0.0
    scales = [found[id(layer.weight)]["scale"] for layer in network.backbone]
    assert scales == sorted(scales)
    assert scales[0] == 0.5**12
    assert scales[-1] <= 0.5
    assert {group["scale"] for group in parameter_groups(network, Recipe())} == {1.0}


def test_low_rank_updates_start_as_nothing_and_are_all_that_is_trained():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    images = torch.randn(3, 6)
    before = plain(images)
    updated = with_lora(plain, LORA, "toy")
    assert torch.equal(updated(images), before)
    trained = {name for name, parameter in updated.named_parameters() if parameter.requires_grad}
    assert trained == {f"{layer}.lora_{part}.default.weight" for layer in (0, 2) for part in "AB"}


def test_attention_layers_are_found_whole_and_others_by_the_last_part_of_their_name():
    network = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert lora_layers(network, None, "toy") == ["linear1", "linear2", "self_attn"]
    assert lora_layers(network, ("linear2",), "toy") == ["linear2"]
    updated = with_lora(network.eval(), LORA, "toy")
    assert updated(torch.randn(2, 5, 8)).shape == (2, 5, 8)
    with pytest.raises(AdaptationError) as error:
        lora_layers(nn.Sequential(nn.Linear(2, 2)), ("qkv",), "toy")
    assert "It has: 0 × 1." in str(error.value)


def test_a_network_without_such_layers_is_told_what_it_has():
    with pytest.raises(AdaptationError) as error:
        lora_layers(convolutions(), None, "toy")
    assert "toy has no linear or attention layer below its head; it has Conv2d × 1, BatchNorm2d × 1" in str(error.value)


@pytest.mark.parametrize(
    ("layer", "drawn"),
    [
        (nn.Dropout(0.1), True), (nn.Dropout(0.0), False), (nn.MultiheadAttention(4, 2, dropout=0.1), True),
        (nn.MultiheadAttention(4, 2), False), (StochasticDepth(0.2, "row"), True), (nn.Linear(2, 2), False),
    ],
)  # fmt: skip
def test_networks_that_draw_are_known_by_their_layers(layer, drawn):
    assert draws(nn.Sequential(nn.Linear(4, 4), layer)) == drawn


def test_stochastic_depth_of_timm_is_drawn():
    timm = pytest.importorskip("timm")
    assert draws(timm.create_model("vit_tiny_patch16_224", drop_path_rate=0.1))
    assert not draws(timm.create_model("vit_tiny_patch16_224"))
