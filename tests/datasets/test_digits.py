import hashlib

import numpy as np
import pytest

from scaling.datasets import Digits


@pytest.fixture(scope="module")
def digits():
    return Digits().load()


def test_1297_training_and_500_test_images_of_8_pixels(digits):
    assert digits.train.samples.pixels.shape == (1297, 8, 8, 1)
    assert digits.test.samples.pixels.shape == (500, 8, 8, 1)


def test_every_class_is_in_both_parts(digits):
    for split in (digits.train, digits.test):
        np.testing.assert_array_equal(np.unique(split.labels), np.arange(10))
    assert digits.class_names == tuple("0123456789")


@pytest.mark.parametrize(("split", "expected"), [("train", "f0d8b4d19329"), ("test", "633a94d41d43")])
def test_the_split_is_the_same_for_ever(digits, split, expected):
    labels = digits.split(split).labels.astype("<i8")
    assert hashlib.sha256(labels.tobytes()).hexdigest()[:12] == expected


def test_no_image_is_in_both_parts_and_none_is_lost(digits):
    from sklearn.datasets import load_digits

    counts = np.bincount(digits.train.labels) + np.bincount(digits.test.labels)
    np.testing.assert_array_equal(counts, np.bincount(load_digits().target))
    rows = [split.samples.pixels.reshape(-1, 64) for split in (digits.train, digits.test)]
    assert len(np.unique(np.concatenate(rows), axis=0)) == len(np.unique(load_digits().data, axis=0))


def test_grey_levels_are_spread_over_0_to_255(digits):
    pixels = digits.train.samples.pixels
    assert pixels.dtype == np.uint8
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) == 17


def test_loading_again_gives_the_same_content(digits):
    assert Digits().load().identity() == digits.identity()
