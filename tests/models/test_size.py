import torch
from torch import nn

from scaling.models import Pixels, TorchvisionModel
from scaling.models.base import Backbone
from scaling.models.size import flops, size_of


def images(*shape):
    return {"images": torch.zeros(1, *shape)}


def test_flops_are_those_counted_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
    # 16 places × 8 filters × 27 inputs, and 128 × 5; two for a multiply–add
    assert flops(Pixels(), network, images(3, 4, 4)) == 2 * (16 * 8 * 27 + 128 * 5)


def test_a_published_network_has_its_published_size():
    backbone = TorchvisionModel(name="resnet18", id="resnet18", pretrained=False).build()
    size = size_of(Pixels(), backbone, images(3, 224, 224))
    assert size["model/parameters"] == 11_689_512
    # torchvision publishes 1.81 G multiply–adds, the head's half a million among them.
    assert round(size["model/flops"] / 2e9, 2) == 1.81


def test_pixels_take_nothing():
    assert size_of(Pixels(), Pixels().build(), images(1, 8, 8)) == {"model/parameters": 0.0, "model/flops": 0.0}


def test_counting_computes_nothing_and_leaves_the_network_and_the_generator_alone():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Dropout()).train()
    before, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.random.get_rng_state()
    flops(Pixels(), network, images(1, 4, 4))
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert network.training
    assert next(network.parameters()).device.type == "cpu"


def test_a_network_that_cannot_be_traced_has_parameters_alone():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum().item() > 0 else -x

    assert flops(Pixels(), Branches(), images(1, 2, 2)) is None
    assert size_of(Pixels(), Backbone(Branches(), None, 7), images(1, 2, 2)) == {"model/parameters": 7.0}
