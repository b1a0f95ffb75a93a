"""Copies of training samples among the test samples, and samples under several labels: counted, and told in words."""

import shutil

import numpy as np
import pytest
from PIL import Image

from scaling.core.duplicates import Duplicates, find, keys
from scaling.datasets import Dataset, Digits, ImageFolder, Manifest, Split
from scaling.modalities.images import ArrayImages, FileImages
from scaling.modalities.vectors import Vectors


def counted(train, train_labels, test, test_labels):
    return find(*(np.array(values) for values in (train, train_labels, test, test_labels)))


def test_copies_and_contradictions_are_counted():
    #             0  1  2  3  4  5                       0  1  2  3
    assert counted([7, 8, 7, 9, 5, 5], [0, 1, 0, 1, 0, 1], [1, 9, 7, 7], [0, 0, 0, 0]) == Duplicates(
        samples=10,
        tested=4,
        copied=3,  # 9, 7 and 7
        contradicted=4,  # 5 and 5 within training, 9 and 9 across
        example=(1, 3),
    )


def test_contradictions_within_the_test_part_count_too():
    assert counted([1, 2], [0, 1], [3, 3, 3], [2, 2, 0]) == Duplicates(5, 3, 0, 3, None)


def test_without_copies_there_is_nothing_to_say():
    found = counted([1, 2, 2], [0, 1, 1], [3, 4], [0, 1])
    assert found == Duplicates(5, 2, 0, 0, None)
    assert found.leakage == found.contradictions == ""


def test_it_is_said_how_many_of_how_many():
    found = Duplicates(70_000, 10_000, 11, 6, (0, 0))
    assert found.leakage == "exact copies of training samples among the test samples: 11 of 10000 (0.11%)"
    assert found.contradictions == "samples with an exact copy under another label: 6 of 70000"


@pytest.mark.parametrize("rows", [np.eye(4, dtype=np.float32), np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3)])
def test_keys_are_equal_where_samples_are(rows):
    found = keys(rows[[0, 1, 2, 1, 3]], 5)
    assert found.shape == (5,)
    assert len(set(found.tolist())) == 4
    assert found[1] == found[3] == keys(rows[1:2], 1)[0]
    assert keys(np.asfortranarray(rows), 4).tolist() == keys(rows, 4).tolist()


def toy(samples, train, test):
    """A data set of some samples, given as (position, label) for each part."""

    def split(pairs):
        return Split(samples([where for where, _ in pairs]), np.array([label for _, label in pairs]))

    return Dataset("toy", ("a", "b"), split(train), split(test), None, "here", ("a note",))


ROWS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
PIXELS = np.arange(9 * 12, dtype=np.uint8).reshape(9, 2, 2, 3)


@pytest.mark.parametrize("samples", [lambda i: Vectors(ROWS[i]), lambda i: ArrayImages(PIXELS[i])])
def test_rows_and_pixels_are_told_apart_by_what_they_hold(samples):
    assert toy(samples, [(0, 0), (1, 1)], [(2, 0), (3, 1)]).remarks == ("a note",)
    leaking = toy(samples, [(0, 0), (1, 1)], [(1, 1), (0, 1)])
    assert leaking.remarks == (
        "a note",
        "toy: exact copies of training samples among the test samples: 2 of 2 (100.00%). A model fitted to the"
        " originals has seen them.",
        "toy: samples with an exact copy under another label: 2 of 4. Nothing can be right about all of them.",
    )


@pytest.fixture
def folder(tmp_path):
    """Two classes of three training images and one test image, all different."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 1)):
        for label in ("cat", "dog"):
            (tmp_path / part / label).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / label / f"{part}{i}.png")
    return tmp_path


def manifest(folder, *more):
    rows = [f"{file.relative_to(folder)},{file.parent.name},{file.parts[-3]}" for file in sorted(folder.rglob("*.png"))]
    (folder / "all.csv").write_text("\n".join(["path,label,split", *rows, *more]) + "\n")
    return Manifest(str(folder / "all.csv"))


def test_different_files_are_no_copies(folder):
    assert ImageFolder(str(folder)).load().remarks == manifest(folder).load().remarks == ()


def test_copied_files_are_found_under_other_names(folder):
    copy, original = folder / "test" / "dog" / "other.png", folder / "train" / "dog" / "train2.png"
    shutil.copy(original, copy)
    found = ImageFolder(str(folder)).load()
    (said,) = found.remarks
    assert f"1 of 3 (33.33%); the first: {copy}, of {original}." in said
    assert found.duplicates == Duplicates(9, 3, 1, 0, (1, 5))


def test_a_copied_folder_is_all_memory(folder):
    shutil.rmtree(folder / "test")
    shutil.copytree(folder / "train", folder / "test")
    assert ": 6 of 6 (100.00%); the first: " in ImageFolder(str(folder)).load().remarks[0]


def test_one_file_in_both_splits_of_a_manifest_is_found(folder):
    (said,) = manifest(folder, "train/cat/train0.png,cat,test").load().remarks
    assert ": 1 of 3 (33.33%); the first: " in said


def test_one_file_under_two_labels_is_found(folder):
    (said,) = manifest(folder, "train/cat/train0.png,dog,train").load().remarks
    assert said.startswith("manifest: samples with an exact copy under another label: 2 of 9.")


def test_each_file_is_read_once_for_its_hash(folder, monkeypatch):
    images = FileImages(tuple(sorted(folder.rglob("*.png"))))
    content = images.content()
    monkeypatch.setattr("pathlib.Path.open", None)
    assert images.content() == content
    assert len(set(images.keys().tolist())) == 8


def test_the_digits_have_none():
    assert Digits().load().remarks == ()


def test_minus_zero_is_zero():
    rows = np.array([[0, 1], [2, 0]], np.float32)
    assert Vectors(rows).keys().tolist() == Vectors(np.where(rows == 0, np.float32(-0.0), rows)).keys().tolist()
