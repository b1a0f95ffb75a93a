import pickle
from pathlib import Path

import numpy as np
import pytest

from scaling.config import build_dataset, compose, plain
from scaling.core.errors import DataError
from scaling.datasets import Cifar

PIXELS = 32 * 32 * 3
TRAIN, TEST = 20, 10


class Bomb:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def batch(pixels, *labels):
    """One record an image: its label bytes, then all red, all green, all blue pixels."""
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), PIXELS)
    return np.concatenate([np.stack(labels, axis=1).astype(np.uint8), planes], axis=1).tobytes()


def source(data_dir, **changed):
    settings = {
        "name": "cifar10", "folder": "bin", "url": "https://example.org/c.tar.gz", "md5": "0",
        "train_files": ("one.bin", "two.bin"), "test_files": ("test.bin",), "names_file": "names.txt",
        "sizes": (TRAIN, TEST), "download": False,
    }  # fmt: skip
    return Cifar(data_dir=str(data_dir), **{**settings, **changed})


@pytest.fixture
def data_dir(tmp_path):
    """A small CIFAR-10: two training files and one test file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for seed, name in enumerate(("one.bin", "two.bin", "test.bin")):
        (folder / name).write_bytes(batch(images(10, seed), np.arange(10)))
    (folder / "names.txt").write_text("".join(f"class {c}\n" for c in range(10)) + "\n")
    return tmp_path


def test_reads_all_batches_in_order(data_dir):
    loaded = source(data_dir).load()
    np.testing.assert_array_equal(loaded.train.labels, [*range(10), *range(10)])
    np.testing.assert_array_equal(loaded.train.samples.read(np.arange(10, 20)), images(10, seed=1))
    np.testing.assert_array_equal(loaded.test.samples.pixels, images(10, seed=2))
    assert loaded.class_names[9] == "class 9"


def test_channels_are_red_green_blue(data_dir):
    pixels = images(10)
    pixels[0] = (250, 120, 10)
    (data_dir / "bin" / "one.bin").write_bytes(batch(pixels, np.arange(10)))
    assert source(data_dir).load().train.samples.read(np.array([0]))[0, 5, 7].tolist() == [250, 120, 10]


def test_cifar10_config_reads_the_published_layout(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for seed, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        (folder / f"{name}.bin").write_bytes(batch(images(10, seed), np.arange(10)[::-1]))
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    settings = plain(compose(["dataset=cifar10", f"data.dir={tmp_path}", "dataset.sizes=[50,10]"]))
    loaded = build_dataset(settings["dataset"]).load()
    np.testing.assert_array_equal(loaded.train.labels, np.tile(np.arange(10)[::-1], 5))
    np.testing.assert_array_equal(loaded.test.samples.pixels, images(10, seed=5))


def test_cifar100_config_takes_the_fine_label_and_not_the_coarse_one(tmp_path):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    fine = np.arange(100)[::-1]
    for name in ("train.bin", "test.bin"):
        (folder / name).write_bytes(batch(images(100), fine // 5, fine))
    (folder / "fine_label_names.txt").write_text("\n".join(f"c{c}" for c in range(100)))
    settings = plain(compose(["dataset=cifar100", f"data.dir={tmp_path}", "dataset.sizes=[100,100]"]))
    loaded = build_dataset(settings["dataset"]).load()
    np.testing.assert_array_equal(loaded.train.labels, fine)
    np.testing.assert_array_equal(loaded.train.samples.pixels, images(100))


def test_truncated_batch_says_got_and_expected(data_dir):
    file = data_dir / "bin" / "two.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"two\.bin holds 30729 bytes, expected a multiple of 3073"):
        source(data_dir).load()


def test_empty_batch_is_an_error(data_dir):
    (data_dir / "bin" / "test.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"test\.bin holds 0 bytes"):
        source(data_dir).load()


def test_batch_cut_between_images_says_got_and_expected(data_dir):
    (data_dir / "bin" / "two.bin").write_bytes(batch(images(9), np.arange(9)))
    with pytest.raises(DataError, match=r"got 19 training and 10 test samples .* expected 20 and 10"):
        source(data_dir).load()


def test_missing_batch_without_download_names_the_file_and_the_archive(data_dir):
    (data_dir / "bin" / "two.bin").unlink()
    with pytest.raises(DataError, match=r"dataset\.download=false") as caught:
        source(data_dir).load()
    assert str(data_dir / "bin" / "two.bin") in str(caught.value)
    assert "https://example.org/c.tar.gz" in str(caught.value)


def test_missing_names_file_is_an_error_like_a_missing_batch(data_dir):
    (data_dir / "bin" / "names.txt").unlink()
    with pytest.raises(DataError, match=r"names\.txt"):
        source(data_dir).load()


def test_failing_download_names_the_archive(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr("torchvision.datasets.utils.download_and_extract_archive", fail)
    with pytest.raises(DataError, match=r"c\.tar\.gz .* download failed \(File not found or corrupted\.\)") as caught:
        source(tmp_path, download=True).load()
    assert str(tmp_path / "bin" / "one.bin") in str(caught.value)


def test_pickled_batches_are_never_loaded(data_dir, tmp_path):
    marker = tmp_path / "executed"
    python_version = data_dir / "cifar-10-batches-py"
    python_version.mkdir()
    for file in (data_dir / "bin" / "one.bin", python_version / "data_batch_1"):
        file.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(DataError, match=r"one\.bin"):
        source(data_dir).load()
    assert not marker.exists()
