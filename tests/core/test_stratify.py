"""Stratified parts and subsets of samples with several labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core.stratify import iterative_folds, iterative_parts, iterative_subset, iterative_validation
from scaling.core.subsets import stratified_folds, subset_indices, validation_part

examples = settings(max_examples=60, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 1_000)
GOLDEN = [[3, 17, 22], [0, 3, 4, 17, 22, 23]]


@st.composite
def labellings(draw):
    """Up to 60 samples with up to 6 labels, from rare to frequent, some samples without any."""
    rng = np.random.default_rng(draw(seeds))
    n, k = draw(st.integers(2, 60)), draw(st.integers(2, 6))
    return (rng.random((n, k)) < rng.random(k) ** 2).astype(np.uint8)


def many(n=4_000, k=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, k)) < rng.beta(0.7, 4, k)


@examples
@given(labellings(), seeds)
def test_smaller_subsets_are_contained_in_larger_ones_of_exact_size(has, seed):
    smaller: set[int] = set()
    for n in range(len(has) + 1):
        indices = iterative_subset(has, n, seed)
        assert len(indices) == len(set(indices.tolist())) == n
        assert indices.tolist() == sorted(indices.tolist())
        assert smaller <= set(indices.tolist())
        smaller = set(indices.tolist())


@examples
@given(labellings(), seeds, st.integers(2, 5))
def test_folds_are_never_empty_and_labels_are_spread_over_them(has, seed, count):
    folds = iterative_folds(has, count, seed)
    sizes = np.bincount(folds, minlength=min(count, len(has)))
    assert len(sizes) == min(count, len(has))
    assert sizes.min() >= 1
    rarest = has.sum(0)[has.sum(0) > 0].min(initial=10**6)
    for label in np.flatnonzero(has.sum(0) == rarest)[:1]:  # it is taken first, so that nothing stands in its way
        spread = np.bincount(folds[has[:, label] > 0], minlength=len(sizes))
        assert spread.max() - spread.min() <= 1


@pytest.mark.parametrize("n", [50, 400, 2_000, 3_500])
def test_shares_of_labels_stay_closer_than_chance_keeps_them(n):
    has = many()
    wanted = has.sum(0) * n / len(has)
    off = [np.sqrt(((has[iterative_subset(has, n, seed)].sum(0) - wanted) ** 2).mean()) for seed in range(5)]
    by_chance = np.sqrt(np.mean(wanted * (1 - n / len(has))))
    assert np.mean(off) < 0.35 * by_chance
    assert max(off) < 2.5


def test_parts_hold_labels_in_proportion_to_their_shares():
    has = many()
    part = iterative_parts(has, (0.2, 0.8), [0])
    np.testing.assert_allclose(has[part == 0].sum(0), 0.2 * has.sum(0), atol=1.5)
    assert abs((part == 0).sum() - 0.2 * len(has)) < 2


def test_the_rarest_label_of_a_sample_decides_then_its_others_then_sizes():
    has = np.array([[1, 1], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    for seed in range(10):
        part = iterative_parts(has, (0.5, 0.5), [seed])
        assert np.bincount(part).tolist() == [3, 3]
        assert part[0] != part[1]  # the rarest
        assert part[2] != part[3] or part[0] != part[2]
        assert part[4] != part[5]


def test_a_subset_is_a_function_of_labels_n_and_seed_alone():
    has = many(200)
    assert iterative_subset(has, 30, 0).tolist() == iterative_subset(has.astype(np.uint8), 30, 0).tolist()
    assert iterative_subset(has, 30, 0).tolist() != iterative_subset(has, 30, 1).tolist()


def test_indices_stay_what_they_are():
    """They are part of what a fingerprint stands for. Written by `iterative_subset`; another value is another draw."""
    has = (np.arange(24)[:, None] % np.array([2, 3, 5, 7])) == 0
    assert [iterative_subset(has, n, 0).tolist() for n in (3, 6)] == GOLDEN


def test_the_pure_functions_take_a_matrix_as_they_take_classes():
    has = many(100)
    assert subset_indices(has, 20, 3).tolist() == iterative_subset(has, 20, 3).tolist()
    assert subset_indices(has, 20, 3, "first").tolist() == list(range(20))
    assert subset_indices(has, None, 3).tolist() == list(range(100))
    assert subset_indices(has, 1, 0).shape == (1,)  # no label needs a sample
    assert (stratified_folds(has, 5, 0) == iterative_folds(has, 5, 0)).all()
    assert (validation_part(has, 0.2, 0) == iterative_validation(has, 0.2, 0)).all()


@examples
@given(labellings(), seeds, st.sampled_from([0.01, 0.2, 0.5, 0.99]))
def test_something_is_held_out_and_never_all(has, seed, share):
    assert 0 < iterative_validation(has, share, seed).sum() < len(has)


def test_of_a_single_sample_nothing_is_held_out():
    assert not iterative_validation(np.ones((1, 2)), 0.5, 0).any()
    assert iterative_folds(np.ones((1, 2)), 5, 0).tolist() == [0]
