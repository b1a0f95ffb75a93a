import gzip

import numpy as np
import pytest

from scaling.core.errors import DataError
from scaling.datasets import FashionMnist, base, fashion_mnist
from scaling.datasets.fashion_mnist import FILES, read_idx

TRAIN, TEST = 20, 10


def idx(values, kind=0x08):
    values = np.asarray(values, np.uint8)
    return bytes([0, 0, kind, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def write(folder, name, content, compressed=True):
    folder.mkdir(parents=True, exist_ok=True)
    if compressed:
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    else:
        (folder / name).write_bytes(content)


def write_set(folder, compressed=True, side=28, train=TRAIN, fill=None):
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("test", TEST)):
        pixels = rng.integers(0, 256, (count, side, side)) if fill is None else np.full((count, side, side), fill)
        write(folder, FILES[f"{part}_images"], idx(pixels), compressed)
        write(folder, FILES[f"{part}_labels"], idx(np.arange(count) % 10), compressed)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Expect 20 and 10 images instead of the published numbers, and no Debian package."""
    monkeypatch.setattr(fashion_mnist, "verify", lambda dataset, sizes: base.verify(dataset, (TRAIN, TEST)))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no-debian")


def test_read_idx_returns_the_array(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write(tmp_path, "a", idx(values), compressed=True)
    write(tmp_path, "a", idx(values), compressed=False)
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz"), values)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), values)


def test_truncated_gz_is_an_error_with_its_path(tmp_path):
    file = tmp_path / "a.gz"
    content = gzip.compress(idx(np.random.default_rng(0).integers(0, 256, 500)))
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.gz can't be read(.|\n)*fetch the data set again"):
        read_idx(file)


@pytest.mark.parametrize("byte", [0, 10, 100], ids=["magic", "structure", "data"])
def test_damaged_gz_is_an_error(tmp_path, byte):
    file = tmp_path / "a.gz"
    content = bytearray(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, 500))))
    content[byte] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.gz"):
        read_idx(file)


def test_truncated_plain_file_says_got_and_expected(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(idx(np.zeros((2, 3)))[:-1])
    with pytest.raises(DataError, match=r"holds 5 bytes of data, expected 6 for shape \(2, 3\)"):
        read_idx(file)


def test_plain_file_with_more_than_its_header_says_is_an_error(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(idx(np.zeros(6)) + b"more")
    with pytest.raises(DataError, match="holds 10 bytes of data, expected 6"):
        read_idx(file)


@pytest.mark.parametrize("length", [0, 3, 4])
def test_file_that_ends_within_its_header_is_an_error(tmp_path, length):
    file = tmp_path / "a"
    file.write_bytes(idx(np.zeros(6))[:length])
    with pytest.raises(DataError):
        read_idx(file)


def test_file_that_ends_within_a_number_of_its_header_is_an_error(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(idx(np.zeros(6))[:6])
    with pytest.raises(DataError):
        read_idx(file)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x01" + idx([1])[1:], idx([1], kind=0x0D)])
def test_wrong_magic_or_element_type_is_an_error(tmp_path, content):
    file = tmp_path / "a"
    file.write_bytes(content)
    with pytest.raises(DataError, match="is not an idx file of unsigned bytes"):
        read_idx(file)


def test_loads_images_labels_and_classes(tmp_path, small):
    write_set(tmp_path / "fashion-mnist")
    loaded = FashionMnist(str(tmp_path)).load()
    assert (len(loaded.train), len(loaded.test)) == (TRAIN, TEST)
    assert loaded.train.samples.read(np.array([0, 3])).shape == (2, 28, 28, 1)
    np.testing.assert_array_equal(loaded.test.labels, np.arange(10))
    assert loaded.class_names[9] == "Ankle_boot"


@pytest.mark.parametrize("place", fashion_mnist.PLACES)
def test_data_dir_comes_before_debians_folder(tmp_path, monkeypatch, small, place):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    write_set(tmp_path / "debian")
    write_set(tmp_path / "data" / place)
    assert FashionMnist(str(tmp_path / "data")).locate() == tmp_path / "data" / place


def test_debians_folder_serves_where_data_dir_has_nothing(tmp_path, monkeypatch, small):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    write_set(tmp_path / "debian")
    assert FashionMnist(str(tmp_path / "data"), download=False).load().source == str(tmp_path / "debian")


def test_a_folder_that_lacks_a_file_is_passed_over(tmp_path, monkeypatch, small):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    write_set(tmp_path / "debian")
    write_set(tmp_path / "fashion-mnist")
    (tmp_path / "fashion-mnist" / f"{FILES['test_labels']}.gz").unlink()
    assert FashionMnist(str(tmp_path)).locate() == tmp_path / "debian"


def test_plain_and_compressed_files_have_one_content_hash(tmp_path, small):
    write_set(tmp_path / "a" / "fashion-mnist", compressed=True)
    write_set(tmp_path / "b" / "fashion-mnist", compressed=False)
    compressed, plain = (FashionMnist(str(tmp_path / name), download=False).load() for name in "ab")
    assert compressed.identity() == plain.identity()


def test_another_pixel_is_another_content_hash(tmp_path, small):
    write_set(tmp_path / "a" / "fashion-mnist", fill=7)
    write_set(tmp_path / "b" / "fashion-mnist", fill=8)
    one, other = (FashionMnist(str(tmp_path / name)).load() for name in "ab")
    assert one.train.content != other.train.content


def test_missing_data_without_download_names_the_debian_package_and_the_path(tmp_path, small):
    with pytest.raises(DataError) as caught:
        FashionMnist(str(tmp_path), download=False).load()
    assert "dataset-fashion-mnist" in str(caught.value)
    assert str(tmp_path / "fashion-mnist") in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("Error downloading x"), OSError("no route to host")])
def test_failing_download_names_the_debian_package_and_the_path(tmp_path, monkeypatch, small, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", fail)
    with pytest.raises(DataError, match="download failed") as caught:
        FashionMnist(str(tmp_path)).load()
    assert str(error) in str(caught.value)
    assert "dataset-fashion-mnist" in str(caught.value)
    assert str(tmp_path / "fashion-mnist") in str(caught.value)


def test_download_that_fails_without_a_word_is_an_error_too(tmp_path, monkeypatch, small):
    def fail(*_, **__):
        raise EOFError

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", fail)
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        FashionMnist(str(tmp_path)).load()


def test_failing_download_leaves_other_folders_alone(tmp_path, monkeypatch, small):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", fail)
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    with pytest.raises(DataError):
        FashionMnist(str(tmp_path)).load()
    assert (tmp_path / "mine" / "empty").is_dir()


def test_downloaded_files_are_read(tmp_path, monkeypatch, small):
    monkeypatch.setattr(
        "torchvision.datasets.FashionMNIST",
        lambda root, download: write_set(tmp_path / "FashionMNIST" / "raw", compressed=False),
    )
    assert FashionMnist(str(tmp_path)).load().source == str(tmp_path / "FashionMNIST" / "raw")


def test_wrong_counts_say_got_and_expected(tmp_path, monkeypatch):
    write_set(tmp_path / "fashion-mnist")
    with pytest.raises(DataError, match=r"got 20 training and 10 test samples .* expected 60000 and 10000"):
        FashionMnist(str(tmp_path)).load()


def test_wrong_shape_says_got_and_expected(tmp_path, small):
    write_set(tmp_path / "fashion-mnist", side=27)
    with pytest.raises(DataError, match=r"got images of shape \(27, 27, 1\) .* expected \(28, 28, 1\)"):
        FashionMnist(str(tmp_path)).load()


def test_images_without_labels_are_an_error(tmp_path, small):
    write_set(tmp_path / "fashion-mnist")
    write(tmp_path / "fashion-mnist", FILES["train_labels"], idx(np.arange(TRAIN - 1) % 10))
    with pytest.raises(DataError, match="training part has 20 samples but 19 labels"):
        FashionMnist(str(tmp_path)).load()


def test_label_that_is_no_class_is_an_error(tmp_path, small):
    write_set(tmp_path / "fashion-mnist")
    write(tmp_path / "fashion-mnist", FILES["test_labels"], idx([*range(9), 10]))
    with pytest.raises(DataError, match="labels of the test part run from 0 to 10, expected 0 to 9"):
        FashionMnist(str(tmp_path)).load()


def test_class_without_samples_is_named(tmp_path, small):
    write_set(tmp_path / "fashion-mnist")
    write(tmp_path / "fashion-mnist", FILES["test_labels"], idx([*range(9), 8]))
    with pytest.raises(DataError, match="no test sample of class Ankle_boot"):
        FashionMnist(str(tmp_path)).load()
