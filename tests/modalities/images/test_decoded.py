"""Decoded images: the same bytes whether they are kept or not, and each file decoded once where they are."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from scaling import cgroups
from scaling.core.errors import DataError
from scaling.modalities.images import ArrayImages, FileImages, Preprocessing, samples
from scaling.modalities.images.decoded import Decoded, decoded

SMALL = Preprocessing(resize=12, crop=12)
SIZES = ((20, 30), (16, 16), (40, 13), (12, 12), (9, 25), (16, 16))
ALL = np.arange(len(SIZES))
ENOUGH = len(SIZES) * 3 * 12 * 12


@pytest.fixture
def files(tmp_path):
    """Six image files of several sizes."""
    generator = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return FileImages(tuple(tmp_path / f"{number}.png" for number in ALL))


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that were decoded, in order."""
    names, decode = [], samples.decode
    monkeypatch.setattr(samples, "decode", lambda path, *how: names.append(path.stem) or decode(path, *how))
    return names


def plainly(images, indices, preprocessing=SMALL):
    return preprocessing.geometry(images.read(indices))


def test_each_file_is_decoded_once(files, opened):
    reader = Decoded(files, SMALL, ENOUGH)
    for indices in ([0, 1, 2], [1, 2, 3], [0, 1, 2, 3, 4, 5], [5, 0]):
        reader.pixels(np.array(indices))
    assert opened == ["0", "1", "2", "3", "4", "5"]


def test_kept_images_are_the_same_bytes(files):
    reader = Decoded(files, SMALL, ENOUGH)
    for indices in (ALL[:3], ALL, ALL[::-1].copy(), np.array([4, 1])):
        got = reader.pixels(indices)
        assert got.dtype == torch.uint8
        assert torch.equal(got, plainly(files, indices))


def test_what_is_done_to_a_batch_stays_out_of_what_is_kept(files):
    reader = Decoded(files, SMALL, ENOUGH)
    for _ in range(3):
        reader.pixels(ALL).zero_()
    assert torch.equal(reader.pixels(ALL), plainly(files, ALL))


def test_over_the_limit_nothing_is_kept(files, opened):
    reader = Decoded(files, SMALL, ENOUGH - 1)
    for _ in range(2):
        assert torch.equal(reader.pixels(ALL[:2]), SMALL.geometry([np.asarray(Image.open(p)) for p in files.paths[:2]]))
    assert opened == ["0", "1", "0", "1"]
    assert reader.kept is None


def test_geometries_do_not_mix(files):
    other = Preprocessing(resize=12, crop=12, interpolation="nearest")
    for _ in range(2):
        assert torch.equal(decoded(files, SMALL).pixels(ALL), plainly(files, ALL))
        assert torch.equal(decoded(files, other).pixels(ALL), plainly(files, ALL, other))
    assert not torch.equal(plainly(files, ALL), plainly(files, ALL, other))


def test_models_that_differ_in_normalisation_share(files, opened):
    decoded(files, SMALL).pixels(ALL)
    decoded(files, replace(SMALL, mean=(0.5,), std=(0.2,), channels=None)).pixels(ALL)
    assert len(opened) == len(ALL)


def test_images_in_memory_are_not_kept_again():
    images = ArrayImages(np.random.default_rng(0).integers(0, 256, (6, 14, 14, 1), dtype=np.uint8))
    reader = decoded(images, SMALL)
    assert torch.equal(reader.pixels(ALL), plainly(images, ALL))
    assert reader.kept is None


def test_threads_may_ask_at_once(files, monkeypatch):
    """All threads are inside the decoder when the first image comes out of it."""
    together, decode = threading.Barrier(len(ALL)), samples.decode

    def meet(path, *how):
        together.wait(60)
        return decode(path, *how)

    monkeypatch.setattr(samples, "decode", meet)
    reader = Decoded(files, SMALL, ENOUGH)
    with ThreadPoolExecutor(len(ALL)) as pool:
        got = torch.cat(list(pool.map(lambda i: reader.pixels(np.array([i])), ALL)))
    monkeypatch.setattr(samples, "decode", lambda *_: pytest.fail("decoded again"))
    assert torch.equal(reader.pixels(ALL), got)
    monkeypatch.setattr(samples, "decode", decode)
    assert torch.equal(got, plainly(files, ALL))


def test_images_that_nothing_resizes_may_differ_from_batch_to_batch(files):
    reader = Decoded(files, Preprocessing(), 1e9)
    for index in (1, 0, 5, 2, 1, 0):
        got = reader.pixels(np.array([index]))
        assert torch.equal(got, plainly(files, np.array([index]), Preprocessing()))
    assert reader.pixels(np.array([1, 5])).shape == (2, 3, 16, 16)
    for mixed in ([1, 0], [0, 1], [0, 2]):
        with pytest.raises(DataError, match="Images of several sizes"):
            reader.pixels(np.array(mixed))


def test_a_broken_file_is_named_each_time_and_not_taken_as_good(files):
    whole = files.paths[2].read_bytes()
    files.paths[2].write_bytes(whole[: len(whole) // 2])
    reader = Decoded(files, SMALL, ENOUGH)
    reader.pixels(ALL[:2])
    for _ in range(2):
        with pytest.raises(DataError, match=r"2\.png is not an image that can be read"):
            reader.pixels(ALL)
    assert not reader.present[2]
    files.paths[2].write_bytes(whole)
    assert torch.equal(reader.pixels(ALL), plainly(files, ALL))


def test_files_that_changed_are_read_anew_with_the_data_set(files):
    before = decoded(files, SMALL).pixels(ALL)
    Image.new("RGB", (16, 16), (255, 0, 0)).save(files.paths[0])
    again = FileImages(files.paths)
    after = decoded(again, SMALL).pixels(ALL)
    assert torch.equal(after, plainly(again, ALL))
    assert not torch.equal(after[0], before[0])


def test_the_same_images_at_the_same_geometry_have_one_reader(files, tmp_path):
    test = FileImages(files.paths[:2])
    readers = [decoded(files, SMALL), decoded(test, SMALL)]
    assert [decoded(files, SMALL), decoded(test, SMALL)] == readers


def test_images_are_kept_in_a_share_of_what_the_container_grants(monkeypatch, tmp_path):
    monkeypatch.setattr(cgroups, "memory", lambda: 8000.0)
    images = FileImages((tmp_path / "none.png",) * 10)
    assert decoded(images, Preprocessing(8, 8)).kept_bytes == 10 * 3 * 8 * 8
    assert decoded(images, Preprocessing(9, 9)).kept_bytes == 0
