"""Features that come with the data set, and what refuses to go with them."""

import numpy as np
import pytest

from scaling.adapt import Finetune, LinearProbe
from scaling.adapt.base import check_network
from scaling.core.errors import AdaptationError, SettingError
from scaling.datasets import Digits
from scaling.datasets.base import Dataset, Split
from scaling.features import GivenFeatures
from scaling.features.given import check_match
from scaling.modalities.vectors import Vectors
from scaling.models import Given, Pixels


def vectors(n, seed):
    return Vectors(np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32))


@pytest.fixture
def given():
    labels = np.tile([0, 1], 5)
    return Dataset(
        "reviews", ("bad", "good"), Split(vectors(10, 0), labels), Split(vectors(6, 1), labels[:6]), None, ""
    )


def test_rows_are_those_of_the_part(given):
    features, indices = GivenFeatures(given), np.array([1, 2, 5])
    np.testing.assert_array_equal(features.rows("train", indices), given.train.samples.rows[indices])
    np.testing.assert_array_equal(features.rows("test", indices), given.test.samples.rows[indices])
    assert features.computed == 0


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_caller_may_change_what_it_got(given, part):
    before = given.split(part).samples.rows.copy()
    got = GivenFeatures(given).rows(part, np.arange(len(before)))
    got -= 1
    np.testing.assert_array_equal(given.split(part).samples.rows, before)


def test_features_go_with_no_model_and_images_with_one(given):
    check_match(given, Given())
    check_match(Digits().load(), Pixels())


def test_features_and_a_model_are_refused(given):
    with pytest.raises(
        SettingError, match=r"reviews holds features, not samples that pixels could read(.|\n)*Leave model= out"
    ):
        check_match(given, Pixels())


def test_images_and_no_model_are_refused():
    with pytest.raises(
        SettingError, match=r"model=given has no network, and digits holds samples(.|\n)*dataset=embeddings"
    ):
        check_match(Digits().load(), Given())


def test_what_needs_a_network_is_refused_without_one():
    check_network(Finetune(), Pixels())
    check_network(LinearProbe(), Given("clip"))
    with pytest.raises(AdaptationError, match=r"finetune needs the model's network; clip (.|\n)*linear_probe"):
        check_network(Finetune(), Given("clip"))
