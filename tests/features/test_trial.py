"""One pass before a sweep: what can't be run is refused with what can."""

import numpy as np
import pytest
import torch
from tests.networks import finished, network
from timm.models import mlp_mixer, swin_transformer

from scaling.api import evaluate_point
from scaling.core.errors import ModelError, UnavailableError
from scaling.features.trial import check
from scaling.modalities.images import ArrayImages, Preprocessing
from scaling.models import TimmModel, TorchHubModel, TorchvisionModel
from scaling.runs.job import Job
from scaling.runs.spec import composed

#: timm's vision transformer of patches of 16 px, made for 160 px.
VIT = ("model=timm", "model.name=test_vit3", "model.pretrained=false", "dataset=digits", "trainer=cpu", "n=30")
#: A training of one step.
ONE = (
    "adaptation.learning_rates=[0.002]", "adaptation.patience=null", "adaptation.min_steps=1",
    "adaptation.max_steps=1", "adaptation.batch_size=16",
)  # fmt: skip
HUB = """
from torch import nn

class Features(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(4, 5), nn.Identity()

    def forward(self, x):
        return self.head(self.stem(x.mean((2, 3)).repeat(1, 2)[:, :4]))

def pooled(pretrained=False):
    return nn.Sequential(nn.Conv2d(3, 4, 11, stride=4), nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, 10))

def gate(pretrained=False):
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3), nn.Conv1d(3, 1, 1))

def grey(pretrained=False):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

def several(pretrained=False):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(2), nn.Linear(36, 10))

def features(pretrained=False):
    return Features()

class Auxiliary(nn.Module):
    def __init__(self):
        super().__init__()
        self.aux_logits, self.pool, self.fc = True, nn.AdaptiveAvgPool2d(2), nn.Linear(12, 10)

    def forward(self, x):
        out = self.fc(self.pool(x).flatten(1))
        return (out, out) if self.training and self.aux_logits else out

def auxiliary(pretrained=False):
    return Auxiliary()
"""


def images(channels, height, width):
    return ArrayImages(np.zeros((1, height, width, channels), np.uint8))


def refusal(source, *shape):
    with pytest.raises(ModelError) as error:
        check(source, images(*shape))
    message = str(error.value)
    assert len(message.splitlines()) <= 3
    return message


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "hubconf.py").write_text(HUB)
    settings = {"repo": str(tmp_path), "pretrained": False, "preprocessing": "to_tensor"}
    return lambda name, **more: TorchHubModel(name=name, id=name, **{**settings, **more})


@pytest.mark.parametrize("side", [16, 96, 160])
def test_a_vision_transformer_is_made_for_any_multiple_of_its_patch(side):
    check(TimmModel(name="test_vit3", id="x", pretrained=False, input_size=side), images(3, side, side))


@pytest.mark.parametrize(("side", "sizes"), [(100, "96, 112, 160"), (8, "16, 32, 160"), (170, "160, 176, 192")])
def test_a_size_that_the_patches_do_not_fill_is_refused_with_those_that_work(side, sizes):
    message = refusal(TimmModel(name="test_vit3", id="x", pretrained=False, input_size=side), 3, side, side)
    assert message == (
        f"x takes no images of {side} × {side} px: its patches of 16 px don't fill {side} px\n"
        f"Sizes that work: model.input_size={sizes} (160 is its own)."
    )


def smaller(monkeypatch, module, maker, **settings):
    """Let a family of timm's be a small one."""
    real = getattr(module, maker)
    monkeypatch.setattr(module, maker, lambda *names, **given: real(*names, **{**given, **settings}))


def test_what_depends_on_the_number_of_patches_keeps_the_size_of_its_weights(tmp_path, monkeypatch):
    smaller(monkeypatch, mlp_mixer, "_create_mixer", num_blocks=1, embed_dim=16)
    torch.save(TimmModel(name="mixer_s32_224", id="x", pretrained=False).network().state_dict(), tmp_path / "a.pt")
    source = TimmModel(name="mixer_s32_224", id="x", weights=str(tmp_path / "a.pt"), input_size=96)
    message = refusal(source, 3, 96, 96)
    assert "mlp_tokens.fc1.weight has shape (8, 49), the network expects (8, 9)" in message
    assert message.endswith("Sizes that work: model.input_size=224 (224 is its own).")


@pytest.mark.parametrize("side", [64, 100, 224, 256])
def test_the_windows_of_a_swin_transformer_are_brought_to_another_size(tmp_path, monkeypatch, side):
    small = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
    smaller(monkeypatch, swin_transformer, "_create_swin_transformer", **small)
    network = TimmModel(name="swin_tiny_patch4_window7_224", id="x", pretrained=False).network()
    table = network.layers[3].blocks[0].attn.relative_position_bias_table
    table.data = torch.arange(-6.0, 7).repeat(13).view(-1, 1)  # a bias that is the distance in columns
    torch.save({f"model.{name}": value for name, value in network.state_dict().items()}, tmp_path / "a.pt")
    source = TimmModel("swin_tiny_patch4_window7_224", "x", weights=str(tmp_path / "a.pt"), input_size=side)
    check(source, images(3, side, side))
    loaded = source.network()
    found = loaded.layers[3].blocks[0].attn.relative_position_bias_table.view(-1)
    reach = {64: 1, 100: 3, 224: 6, 256: 6}[side]
    torch.testing.assert_close(found, torch.arange(-reach, reach + 1.0).repeat(2 * reach + 1), atol=0.05, rtol=0)
    assert torch.equal(loaded.head.fc.weight, network.head.fc.weight)


def test_an_image_too_small_for_a_network_is_refused_with_larger_ones(hub):
    message = refusal(hub("pooled", input_size=8), 3, 8, 8)
    assert "pooled takes no images of 8 × 8 px: Calculated padded input size" in message
    assert "model.input_size=32, 64, 224 (224 is its own)" in message


def test_images_that_keep_their_size_need_one_that_works():
    message = refusal(TimmModel(name="test_vit3", id="x", pretrained=False, preprocessing="to_tensor"), 3, 20, 28)
    assert "x takes no images of 28 × 20 px" in message
    assert "model.input_size=" in message


@pytest.mark.parametrize("name", ["gate", "several"])
def test_a_layer_that_is_no_head_says_how_to_name_the_head(hub, name):
    assert "model.head=NAME" in refusal(hub(name), 3, 8, 8)


def test_channels_that_a_network_does_not_take_are_told(hub):
    as_they_are = Preprocessing(channels=None)
    check(hub("grey", preprocessing=as_they_are), images(1, 8, 8))
    assert "with 3 channels: Given groups=1" in refusal(hub("grey", preprocessing=as_they_are), 3, 8, 8)


def test_a_mean_that_does_not_fit_the_channels_is_told(hub):
    two = Preprocessing(mean=(0.1, 0.2), std=(1.0, 1.0))
    assert "with 3 channels: The size of tensor a" in refusal(hub("pooled", preprocessing=two), 3, 32, 32)


def test_a_network_without_a_head_puts_out_features(hub):
    check(hub("features"), images(3, 8, 8))
    assert hub("features").build().head is None
    headless = TimmModel(name="test_vit3", id="x", pretrained=False, num_classes=0)
    check(headless, images(3, 160, 160))
    assert headless.build().head is None


def test_weights_that_cannot_be_fetched_are_no_matter_of_size(monkeypatch):
    tried = []

    def fail(self, pretrained):
        tried.append(pretrained)
        raise UnavailableError("no route to host")

    monkeypatch.setattr(TorchvisionModel, "create", fail)
    for count in (1, 2):  # it is tried anew each time
        assert refusal(TorchvisionModel("resnet18", "offline", input_size=8), 3, 8, 8) == "no route to host"
        assert len(tried) == count


def test_a_network_is_tried_once_a_process(hub, monkeypatch):
    source, real, built = hub("pooled", init_seed=5), TorchHubModel.network, []
    monkeypatch.setattr(TorchHubModel, "network", lambda self: built.append(1) or real(self))
    for _ in range(3):
        check(source, images(3, 32, 32))
    assert len(built) == 1


def test_a_refused_size_is_one_message_and_leaves_nothing_behind(command, capsys, place):
    for plan in ("true", "false"):
        arguments = ("model.input_size=100", "adaptation=knn", "n=20,30,40", f"plan={plan}")
        assert command("scaling.run", "-m", *VIT, *arguments) == 1
        message = capsys.readouterr().err.strip()
        assert message.startswith("error: timm/test_vit3 takes no images of 100 × 100 px")
        assert message.count("100 × 100") == 1
        assert list(place.iterdir()) == []


def test_a_refused_size_is_the_same_error_in_python(place):
    with pytest.raises(ModelError, match="takes no images of 100 × 100 px"):
        evaluate_point(*VIT, "model.input_size=100", adaptation="knn")


def test_features_that_are_stored_need_no_network(command, place, monkeypatch):
    assert command("scaling.run", *VIT, "model.input_size=32", "adaptation=knn") == 0
    monkeypatch.setattr(TimmModel, "create", None)
    assert command("scaling.run", *VIT, "model.input_size=32", "adaptation=knn", "adaptation.k=3", "plan=true") == 0


@pytest.mark.parametrize("adaptation", ["finetune", "lora"])
def test_a_network_at_another_size_is_trained(place, adaptation):
    job = Job(composed([*VIT, "model.input_size=32", f"adaptation={adaptation}", *ONE]))
    assert len(finished(job).outcome.test.predicted) == 500


def test_outputs_beside_the_main_one_are_no_part_of_a_training(hub):
    assert hub("auxiliary").build().network.train()(torch.zeros(2, 3, 8, 8)).shape == (2, 12)


def test_a_network_that_fits_is_found_fit(hub, place):
    (place / "hubconf.py").write_text(HUB)
    Job(composed([*network(place, "pooled"), "model.input_size=32"])).check_network()
