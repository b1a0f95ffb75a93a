import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.metrics.base import over_groups
from scaling.metrics.stored import hash_of, packed, unpacked

examples = settings(max_examples=50, deadline=None, derandomize=True, database=None)
numbers = st.integers(-(10**9), 10**9).map(lambda value: value / 1000)


@examples
@given(st.lists(numbers, min_size=2, max_size=20), st.lists(numbers, min_size=2, max_size=20))
def test_values_come_back_within_a_60_000th_of_their_range(first, second):
    m = min(len(first), len(second))
    samples = {"one": np.array(first[:m]), "two": np.array(second[:m])}
    kept = packed(samples, np.zeros(m, int))
    for name, values in samples.items():
        back = unpacked(kept, name).values
        assert back == pytest.approx(values, abs=np.ptp(values) / 60_000 + 1e-6 * np.abs(values).max())


def test_what_is_right_or_wrong_comes_back_as_that():
    hits = np.array([0.0, 1.0, 1.0, 0.0])
    assert (unpacked(packed({"hits": hits}, np.arange(4)), "hits").values > 0.5).tolist() == [False, True, True, False]


def test_single_classes_and_what_is_no_number_are_not_kept():
    samples = {"area/cat": np.ones(2), "area": np.array([np.nan, 1.0]), "loss": np.ones(2)}
    kept = packed(samples, np.zeros(2, int))
    assert kept["names"].tolist() == ["loss"]
    assert unpacked(kept, "area/cat") is None


def test_test_sets_are_told_apart_by_their_targets():
    assert hash_of(np.array([0, 1], np.int64)) == hash_of(np.array([0, 1], np.int32))
    assert hash_of(np.array([0, 1])) != hash_of(np.array([1, 0]))


def test_values_over_groups_keep_their_mean_and_pair_with_their_like_alone():
    rng = np.random.default_rng(0)
    targets, groups = rng.integers(0, 3, 900), np.repeat([f"g{i}" for i in range(9)], 100)
    values = over_groups((rng.random(900) < 0.8).astype(float), groups)
    kept = unpacked(packed({"accuracy": values}, targets, groups), "accuracy")
    assert kept.values.mean(dtype=float) == pytest.approx(values.mean(), abs=1e-5)
    np.testing.assert_allclose(kept.values, values, atol=np.ptp(values) / 30_000)
    plain = unpacked(packed({"accuracy": values}, targets), "accuracy")
    others = unpacked(packed({"accuracy": values}, targets, np.roll(groups, 50)), "accuracy")
    assert len({kept.test_set, plain.test_set, others.test_set}) == 3
    renamed = unpacked(packed({"accuracy": values}, targets, np.char.add("a ", groups)), "accuracy")
    assert renamed.test_set == kept.test_set
