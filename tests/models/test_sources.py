import hashlib
import re
import shutil
import subprocess
import sys
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from scaling.config import build, compose, config_path, plain
from scaling.core.errors import ModelError, SettingError
from scaling.core.reading import shown
from scaling.datasets import Digits
from scaling.models import Pixels, TimmModel, TorchHubModel, TorchvisionModel, weights
from scaling.models.sources import PINNED, downloads

CONFIGS = sorted(path.stem for path in (Path(config_path()) / "model").glob("*.yaml"))
NAMELESS = {
    "timm": ["model.name=resnet18"],
    "torchvision": ["model.name=resnet34"],
    "transformers": ["model.name=resnet34"],
}
HUB = """
import torch
dependencies = ["torch"]

def tiny(pretrained=True, num_classes=4):
    torch.manual_seed(int(pretrained))
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5), torch.nn.ReLU(),
                               torch.nn.Linear(5, num_classes))
"""


def settings(name, *overrides):
    return plain(compose([f"model={name}", *NAMELESS.get(name, []), *overrides]))["model"]


def from_config(name, *overrides):
    return build(settings(name, *overrides))


def photo(side, count=2):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def assert_head_completes_the_network(source, side):
    """Hold features and head, put together, against the whole network."""
    whole, backbone = source.network(), source.build()
    features = backbone.network(photo(side))
    assert features.shape == (2, backbone.head.in_features)
    torch.testing.assert_close(backbone.head(features), whole(photo(side)), rtol=1e-5, atol=1e-5)
    return backbone


@pytest.mark.parametrize(("network", "tag"), PINNED)
def test_pinned_weights_are_torchvisions_own(network, tag):
    known = models.get_model_weights(network)[tag]
    file, _ = PINNED[network, tag]
    assert known.url.rsplit("/", 1)[-1] == file


@pytest.mark.parametrize(("network", "tag"), PINNED)
def test_pinned_preprocessing_is_torchvisions_own(network, tag):
    recorded = models.get_model_weights(network)[tag].transforms()
    ours = TorchvisionModel(name=network, id=network, tag=tag).processor()
    assert ([ours.resize], [ours.crop]) == (recorded.resize_size, recorded.crop_size)
    assert ours.interpolation == recorded.interpolation.value
    assert (list(ours.mean), list(ours.std)) == (recorded.mean, recorded.std)


def test_pinning_changes_neither_identity_nor_preprocessing(monkeypatch):
    sources = [TorchvisionModel(name=network, id="x", tag=tag) for network, tag in PINNED]
    pinned = [source.identity() for source in sources]
    monkeypatch.setattr("scaling.models.sources.PINNED", {})
    assert [source.identity() for source in sources] == pinned


@pytest.mark.parametrize("network", [name for name in CONFIGS if name.startswith("efficientnet_lite")])
def test_efficientnet_lite_preprocessing_is_timms_own(network):
    committed = from_config(network, "model.input_size=null")
    native = TimmModel(name=committed.name, id=network).native_preprocessing()
    assert committed.processor() == native
    recorded = timm.get_pretrained_cfg(committed.name)
    assert (3, native.crop, native.crop) == recorded.input_size
    assert native.resize == int(native.crop / recorded.crop_pct)
    assert (native.interpolation, native.mean, native.std) == (recorded.interpolation, recorded.mean, recorded.std)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_config_makes_a_model(name):
    source = from_config(name)
    assert source.id == {"timm": "timm/resnet18", "torchvision": "torchvision/resnet34",
                         "torch_hub": "torch_hub/resnet50",
                         "transformers": "transformers/resnet34"}.get(name, name)  # fmt: skip
    assert hash(source) == hash(from_config(name))


def test_data_set_gives_the_resolution_unless_the_user_does():
    for size, crop in (("${dataset.input_size}", 64), ("96", 96), ("null", 224)):
        source = from_config("resnet18", "dataset=digits", f"model.input_size={size}")
        assert source.processor().crop == crop


def test_efficientnet_lite0s_real_weights_match_by_order():
    source = from_config("efficientnet_lite0")
    stored = weights.read(weights.locate(source.weights))
    loaded = source.network().state_dict()
    assert len(stored) == len(loaded) == 296
    assert all(torch.equal(old, new) for old, new in zip(stored.values(), loaded.values(), strict=True))


def test_efficientnet_lite0_has_1280_features_and_1000_outputs():
    backbone = assert_head_completes_the_network(from_config("efficientnet_lite0"), side=64)
    assert (backbone.head.in_features, backbone.head.out_features) == (1280, 1000)
    assert backbone.parameters == 4_652_008


@pytest.mark.parametrize(
    ("name", "side", "features"), [("resnet18", 64, 512), ("vit_b_16", 224, 768), ("convnext_tiny", 64, 768)]
)
def test_head_of_torchvisions_networks_is_cut_off_whole(name, side, features):
    source = from_config(name, "model.pretrained=false")
    assert assert_head_completes_the_network(source, side).head.in_features == features


def test_random_weights_are_a_function_of_init_seed():
    digests = [
        weights.state_digest(TimmModel(name="test_resnet", id="x", pretrained=False, init_seed=seed).network())
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_init_seed_is_part_of_the_identity():
    one, other = (TorchvisionModel("resnet18", "x", pretrained=False, init_seed=seed).identity() for seed in (0, 1))
    assert one != other


def test_pretrained_false_means_random_weights_where_the_config_names_a_file():
    pretrained, random = (from_config("efficientnet_lite0", f"model.pretrained={value}") for value in ("true", "false"))
    assert random.weights_identity() == "random:0"
    assert weights.state_digest(random.network()) != weights.state_digest(pretrained.network())


def test_building_leaves_torchs_random_state_alone():
    before = torch.get_rng_state()
    TimmModel(name="test_resnet", id="x", pretrained=False, init_seed=3).build()
    assert torch.equal(torch.get_rng_state(), before)


def test_built_network_is_in_eval_mode():
    backbone = TimmModel(name="test_resnet", id="x", pretrained=False).build()
    training = [module for module in backbone.network.modules() if module.training]
    assert all(isinstance(module, torch.nn.Identity) for module in training)  # what stands where the head was


def test_local_weights_are_loaded_by_name_and_known_by_content(tmp_path):
    trained = TimmModel(name="test_resnet", id="x", pretrained=False, init_seed=7).network()
    torch.save(trained.state_dict(), tmp_path / "a.pt")
    shutil.copy(tmp_path / "a.pt", tmp_path / "b.pt")
    one, other = (TimmModel(name="test_resnet", id="x", weights=str(tmp_path / name)) for name in ("a.pt", "b.pt"))
    assert weights.state_digest(one.network()) == weights.state_digest(trained)
    assert one.identity() == other.identity()


def test_weights_with_a_prefix_are_the_same_network(tmp_path):
    network = TimmModel(name="test_resnet", id="x", pretrained=False, init_seed=7).network()
    wrapped = {f"module._orig_mod.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": {**wrapped, "criterion.weight": torch.ones(4)}}, tmp_path / "a.pt")
    loaded = TimmModel(name="test_resnet", id="x", weights=str(tmp_path / "a.pt")).network()
    assert weights.state_digest(loaded) == weights.state_digest(network)


@pytest.mark.parametrize(("saved", "asked"), [(None, 96), (96, None), (96, 96), (96, 32)])
def test_positions_of_timms_transformers_are_interpolated_as_timm_does(tmp_path, saved, asked):
    """It is made for 160 px, with patches of 16 px."""
    network = TimmModel(name="test_vit3", id="x", pretrained=False, input_size=saved).network()
    torch.save({f"model.{name}": value for name, value in network.state_dict().items()}, tmp_path / "a.pt")
    loaded = TimmModel(name="test_vit3", id="x", weights=str(tmp_path / "a.pt"), input_size=asked).network()
    count = (asked or 160) // 16
    expected = resample_abs_pos_embed(network.pos_embed, [count, count], num_prefix_tokens=1)
    assert loaded.pos_embed.shape == (1, count**2 + 1, 96)
    torch.testing.assert_close(loaded.pos_embed, expected)
    assert torch.equal(loaded.head.weight, network.head.weight)


def test_at_its_own_size_a_network_is_the_librarys_own():
    own, same = (TimmModel("test_vit3", "x", pretrained=False, input_size=size).network() for size in (None, 160))
    assert weights.state_digest(own) == weights.state_digest(same)


def test_a_network_that_takes_the_size_as_it_is_stays_as_it_is():
    # timm could make this one anew for 96 px, but it takes them: its numbers stay what they were
    source = TimmModel("mvitv2_tiny", "x", pretrained=False, input_size=96)
    assert not source._is_made_for_another(96)
    assert TimmModel("test_vit3", "x", pretrained=False)._is_made_for_another(96)
    assert not TimmModel("test_vit3", "x", pretrained=False)._is_made_for_another(160)
    assert not TimmModel("test_resnet", "x", pretrained=False)._is_made_for_another(96)


@pytest.fixture
def small_vit(monkeypatch):
    """Let torchvision's vit_b_16 be a small one, with library weights that were made for 64 px."""

    def get_model(name, weights=None, image_size=64, num_classes=1000):
        return VisionTransformer(image_size, 16, 1, 2, 8, 8, num_classes=num_classes)

    state = get_model("").state_dict()
    state["encoder.pos_embedding"] = torch.randn(1, 17, 8, generator=torch.Generator().manual_seed(0))
    library = SimpleNamespace(meta={"categories": range(1000), "min_size": (64, 64)}, get_state_dict=lambda **_: state)
    monkeypatch.setattr(models, "get_model", get_model)
    monkeypatch.setattr(TorchvisionModel, "_weights", lambda self: library)
    return state


@pytest.mark.parametrize("own", [False, True])
def test_positions_of_torchvisions_transformers_are_interpolated_as_torchvision_does(tmp_path, small_vit, own):
    torch.save(small_vit, tmp_path / "a.pt")
    path = str(tmp_path / "a.pt") if own else None
    source = TorchvisionModel("vit_b_16", "x", tag="IMAGENET1K_V1", weights=path, input_size=32)
    expected = interpolate_embeddings(32, 16, OrderedDict(small_vit))["encoder.pos_embedding"]
    network = source.network()
    assert network.image_size == 32
    torch.testing.assert_close(network.encoder.pos_embedding, expected)
    assert network(photo(32)).shape == (2, 1000)


def test_weights_of_another_network_are_an_error(tmp_path):
    torch.save(TimmModel(name="test_vit", id="x", pretrained=False).network().state_dict(), tmp_path / "a.pt")
    with pytest.raises(ModelError, match="don't fit the network"):
        TimmModel(name="test_resnet", id="x", weights=str(tmp_path / "a.pt")).network()


def test_num_classes_is_the_size_of_the_head():
    for source in (TimmModel("test_resnet", "x", pretrained=False, num_classes=7),
                   TorchvisionModel("resnet18", "x", pretrained=False, num_classes=7)):  # fmt: skip
        assert source.build().head.out_features == 7


def test_unknown_name_gives_timms_nearest():
    with pytest.raises(ModelError, match=r"timm has no model named resnet19; .* the nearest: .*resnet18"):
        TimmModel(name="resnet19", id="x").network()


@pytest.mark.parametrize(
    ("old", "new"),
    [("jx_nest_tiny", "nest_tiny_jx"), ("vit_tiny_patch16_224_in21k", "vit_tiny_patch16_224 model.tag=augreg_in21k")],
)
def test_a_name_that_timm_gave_up_says_the_new_one(old, new):
    with pytest.raises(ModelError, match=f"{old} is a former name in timm.\nTake model.name=.*{new}"):
        TimmModel(old, "x", pretrained=False).processor()


def test_unknown_name_gives_torchvisions_nearest():
    with pytest.raises(ModelError, match=r"torchvision has no model named resnet19; .* the nearest: .*resnet18"):
        TorchvisionModel(name="resnet19", id="x").identity()


@pytest.mark.parametrize("name", ["timm", "torchvision"])
def test_name_that_is_not_set_is_an_error(name):
    with pytest.raises(SettingError, match=rf"model={name} needs model\.name=NAME"):
        from_config(name, "model.name=''")


def test_wrong_tag_lists_torchvisions():
    source = TorchvisionModel(name="resnet50", id="x", tag="V3")
    with pytest.raises(SettingError, match=r"model\.tag=V3: .* has IMAGENET1K_V1, IMAGENET1K_V2\."):
        source.identity()


def test_wrong_tag_lists_timms():
    with pytest.raises((SettingError, ModelError), match=r"model\.tag=nope: .*a1_in1k"):
        TimmModel(name="resnet18", id="x", tag="nope").processor()


def test_head_by_a_wrong_name_lists_the_linear_layers():
    with pytest.raises(ModelError, match=r"model\.head=nope: .* no linear layer of that name(.|\n)*layers: fc"):
        TorchvisionModel("resnet18", "x", pretrained=False, head="nope").build()


def test_head_can_be_named():
    named = TorchvisionModel("alexnet", "x", pretrained=False, head="classifier.4").build()
    assert named.head.out_features == 4096
    assert TorchvisionModel("alexnet", "x", pretrained=False).build().head.out_features == 1000


def test_network_without_a_linear_layer_says_so():
    with pytest.raises(ModelError, match=r"SqueezeNet has no linear layer (.|\n)*model\.head=NAME"):
        TorchvisionModel("squeezenet1_1", "x", pretrained=False).build()


@pytest.mark.parametrize("size", [0, -1, 64.5, "big", True, (96, 128)])
def test_input_size_must_be_a_positive_whole_number(size):
    with pytest.raises(SettingError, match=rf"model\.input_size={re.escape(shown(size))}: "):
        TimmModel(name="resnet18", id="x", input_size=size)
    with pytest.raises(SettingError, match=rf"model\.input_size={re.escape(shown(size))}: "):
        Pixels(input_size=size)


def test_unknown_preprocessing_is_an_error():
    with pytest.raises(SettingError, match=r"model\.preprocessing=none: expected to_tensor or null or"):
        from_config("resnet18", "model.preprocessing=none").processor()


@pytest.mark.parametrize(("asked", "size"), [("null", None), ("64", 64)])
def test_to_tensor_resizes_where_asked_and_does_not_normalise(asked, size):
    source = from_config("efficientnet_lite0", "model.preprocessing=to_tensor", f"model.input_size={asked}")
    resolved = source.processor()
    assert (resolved.resize, resolved.crop, resolved.mean, resolved.std) == (size, size, (0.0,), (1.0,))


def test_failing_download_of_timms_weights_gives_the_remedy(monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ModelError, match=r"no route to host\n.*model\.weights=PATH"):
        TimmModel(name="resnet18", id="x").network()


def test_failing_download_of_torchvisions_weights_gives_the_remedy(monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(ModelError, match=r"torchvision's resnet18, .* no route to host\n.*model\.weights=PATH"):
        TorchvisionModel(name="resnet18", id="x").network()


@pytest.fixture
def hub(tmp_path):
    """A local torch.hub repository with one tiny network."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "hubconf.py").write_text(HUB)
    return str(tmp_path / "hub")


def test_local_hub_folder_gives_a_network(hub):
    backbone = TorchHubModel(name="tiny", id="x", repo=hub).build()
    assert (backbone.head.in_features, backbone.head.out_features) == (5, 4)
    assert backbone.network(torch.zeros(2, 3, 2, 2)).shape == (2, 5)


def test_hub_network_is_known_by_its_weights(hub):
    one, other = (TorchHubModel("tiny", "x", repo=hub, pretrained=value).network() for value in (True, False))
    assert weights.state_digest(one) != weights.state_digest(other)
    assert TorchHubModel("tiny", "x", repo=hub).weights_identity() == f"state_dict:{weights.state_digest(one)}"


def test_hub_code_is_known_by_its_content_wherever_it_lies(hub, tmp_path):
    def identity(repo):
        return TorchHubModel("tiny", "x", repo=str(repo), pretrained=False).identity()

    before = identity(hub)
    shutil.copytree(hub, tmp_path / "elsewhere" / "hub")
    assert identity(tmp_path / "elsewhere" / "hub") == before
    with Path(hub, "hubconf.py").open("a") as file:
        file.write("\n# another forward\n")
    assert identity(hub) != before


def test_a_network_that_only_its_weights_tell_is_built_once(hub, monkeypatch):
    real, built = TorchHubModel.network, []
    monkeypatch.setattr(TorchHubModel, "network", lambda self: built.append(1) or real(self))
    for _ in range(3):
        TorchHubModel("tiny", "once", repo=hub).identity()
    assert len(built) == 1


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = TorchvisionModel(name="resnet18", id="x", tag="IMAGENET1K_V1")
    assert source.identity()["weights"] == "torchvision:resnet18-f37072fd.pth"
    assert downloads() == Path(torch.hub.get_dir()) / "checkpoints"
    path = downloads() / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"is not what its name says: .* expected f37072fd\.\n.*model\.weights="):
        source.identity()
    digits = hashlib.sha256(b"something else").hexdigest()[:8]
    monkeypatch.setattr("scaling.models.sources.PINNED", {("resnet18", "IMAGENET1K_V1"): (f"net-{digits}.pth", 256)})
    path.rename(path.with_name(f"net-{digits}.pth"))
    assert source.weights_identity() == f"torchvision:net-{digits}.pth"


def test_hub_folder_without_the_network_is_an_error(hub):
    with pytest.raises(ModelError, match="nope"):
        TorchHubModel(name="nope", id="x", repo=hub).network()


def test_hub_needs_a_repository():
    with pytest.raises(SettingError, match=r"needs model\.repo="):
        TorchHubModel(name="tiny", id="x").network()


def test_pixels_are_flattened_and_scaled_to_minus_1_to_1():
    digits = Digits().load()
    preprocessing, backbone = Pixels().processor(), Pixels().build()
    images = digits.test.samples.pixels
    features = backbone.network(preprocessing.normalise(preprocessing.geometry(images)))
    assert backbone.head is None
    torch.testing.assert_close(features, torch.from_numpy(images).flatten(1) / 127.5 - 1)


def test_identity_and_planning_need_no_torch():
    others = (
        "timm",
        "torchvision",
        "torch_hub",
        "transformers",
        *(() if find_spec("resemblyzer") else ("resemblyzer",)),
    )
    names = [name for name in CONFIGS if name not in others]
    script = f"""
import sys
from scaling.config import build, compose, plain
for name in {names!r}:
    build(plain(compose(["model=" + name]))["model"]).identity()
print([name for name in ("torch", "torchvision", "timm", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
