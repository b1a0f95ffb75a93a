"""Which samples are drawn.

`golden_subsets.json` pins indices: a change of them changes every published curve. Each case names its labels (one
digit a sample), n and seed; the indices were written by `subset_indices` and found equal to those of a second
implementation (exact fractions for the quotas, then the first k_c of `default_rng([seed, c]).permutation(members)`).
To make the file anew, after raising SCORE_VERSION: load it, set every case's "indices" to
`subset_indices([int(c) for c in case["labels"]], case["n"], case["seed"]).tolist()`, and dump it.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.core.errors import SettingError
from scaling.core.reading import shown
from scaling.core.subsets import (
    class_quotas,
    effective_n,
    group_folds,
    group_order,
    parse_n,
    stratified_folds,
    subset_indices,
    validation_part,
)

GOLDEN = json.loads(Path(__file__).with_name("golden_subsets.json").read_text())
examples = settings(max_examples=80, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**31)


@st.composite
def labellings(draw):
    """Labels of 1 to 6 classes, from balanced to very unequal, in random order."""
    sizes = draw(st.lists(st.integers(1, 40) | st.integers(1, 3), min_size=1, max_size=6))
    return np.random.default_rng(draw(seeds)).permutation(np.repeat(np.arange(len(sizes)), sizes))


@st.composite
def labellings_with_n(draw):
    labels = draw(labellings())
    return labels, draw(st.integers(len(np.unique(labels)), len(labels)))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_indices_are_those_of_the_golden_file(case):
    labels = np.array([int(digit) for digit in case["labels"]])
    assert subset_indices(labels, case["n"], case["seed"]).tolist() == case["indices"]


@examples
@given(labellings(), seeds)
def test_smaller_subsets_are_contained_in_larger_ones(labels, seed):
    smaller: set[int] = set()
    for n in range(len(np.unique(labels)), len(labels) + 1):
        larger = set(subset_indices(labels, n, seed).tolist())
        assert smaller <= larger
        smaller = larger


@examples
@given(labellings_with_n(), seeds)
def test_a_subset_has_n_distinct_ascending_indices(case, seed):
    labels, n = case
    indices = subset_indices(labels, n, seed)
    assert len(indices) == n
    assert np.all(np.diff(indices) > 0)
    assert indices[0] >= 0
    assert indices[-1] < len(labels)


@examples
@given(labellings_with_n(), seeds)
def test_a_subset_has_every_class(case, seed):
    labels, n = case
    assert set(labels[subset_indices(labels, n, seed)]) == set(labels)


@examples
@given(labellings_with_n(), seeds)
def test_counts_are_within_one_of_the_exact_share_once_each_share_is_one(case, seed):
    labels, n = case
    share = n * np.bincount(labels) / len(labels)
    assume(share.min() >= 1)
    assert np.all(np.abs(np.bincount(labels[subset_indices(labels, n, seed)]) - share) < 1)


@examples
@given(labellings_with_n(), seeds)
def test_the_same_seed_draws_the_same_subset(case, seed):
    labels, n = case
    np.testing.assert_array_equal(subset_indices(labels, n, seed), subset_indices(labels.copy(), n, seed))


def test_drawing_leaves_global_random_state_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    subset_indices(np.arange(30) % 3, 9, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("n", [30, 31, 100_000, None])
@pytest.mark.parametrize("draw", ["stratified", "first"])
def test_n_at_or_above_the_training_set_is_all_of_it(n, draw):
    assert subset_indices(np.arange(30) % 3, n, 0, draw).tolist() == list(range(30))


def test_seed_0_is_a_seed_like_any_other():
    labels = np.arange(300) % 3
    draws = [subset_indices(labels, 30, seed).tolist() for seed in (0, 1, 2)]
    assert draws[0] != draws[1] != draws[2] != draws[0]


def test_classes_are_drawn_independently_of_each_other():
    labels = np.repeat([0, 1], 50)
    drawn = subset_indices(labels, 20, 0)
    assert drawn[:10].tolist() != (drawn[10:] - 50).tolist()


def test_draw_first_takes_the_first_n_whatever_their_classes():
    assert subset_indices(np.repeat([0, 1, 2], 10), 7, seed=3, draw="first").tolist() == list(range(7))


def test_n_below_the_number_of_classes_is_refused_with_both_numbers_and_the_remedies():
    with pytest.raises(SettingError) as error:
        subset_indices(np.arange(50) % 10, 7, 0)
    for part in ("n=7 ", "number of classes (10)", "n=10 or more", "subset.draw=first"):
        assert part in str(error.value)


def test_an_unknown_draw_is_refused_with_the_choices():
    with pytest.raises(SettingError, match=r"subset\.draw=random: expected one of stratified, first"):
        subset_indices(np.arange(10) % 2, 4, 0, "random")  # type: ignore[arg-type]


def test_counts_never_fall_when_n_grows():
    # Largest remainders give these classes (4, 4, 2) of 10 places and (5, 5, 1) of 11: the Alabama paradox.
    counts = np.array([class_quotas((60, 60, 20), n) for n in range(3, 141)])
    assert np.all(np.diff(counts, axis=0) >= 0)


def test_equal_classes_get_equal_counts():
    assert class_quotas((6000,) * 10, 1000) == (100,) * 10


@pytest.mark.parametrize(("asked", "n"), [(10, 10), ("10", 10), (1, 1), ("full", None)])
def test_parse_n_reads_whole_numbers_and_full(asked, n):
    assert parse_n(asked) == n


@pytest.mark.parametrize("asked", [0, -1, "0", "-1", "abc", "", True, False, 1.5, "1.5", None, [10], "FULL"])
def test_parse_n_refuses_anything_else_and_says_what_it_got(asked):
    with pytest.raises(SettingError) as error:
        parse_n(asked)
    assert f"n={shown(asked)}: expected a whole number of training samples from 1 up, or n=full" in str(error.value)


@pytest.mark.parametrize(("asked", "used"), [(5, 5), (60, 60), (61, 60), (None, 60)])
def test_effective_n_is_what_is_available_at_most(asked, used):
    assert effective_n(asked, 60) == used


@examples
@given(labellings(), st.integers(2, 7), seeds)
def test_folds_spread_each_class_and_the_whole_evenly(labels, folds, seed):
    sizes = np.bincount(labels)
    assume(sizes.min() > 1)
    assigned, count = stratified_folds(labels, folds, seed), min(folds, sizes.min())
    assert set(assigned) == set(range(count))
    for members in [*(assigned[labels == label] for label in range(len(sizes))), assigned]:
        assert np.ptp(np.bincount(members, minlength=count)) <= 1


@examples
@given(labellings(), st.integers(2, 7), seeds)
def test_each_class_stays_on_both_sides_of_every_fold(labels, folds, seed):
    assume(np.bincount(labels).min() > 1)
    assigned = stratified_folds(labels, folds, seed)
    for fold in range(assigned.max() + 1):
        assert set(labels[assigned == fold]) == set(labels[assigned != fold]) == set(labels)


def test_a_small_class_lowers_the_number_of_folds():
    assert stratified_folds(np.repeat([0, 1], [20, 3]), 5, 0).max() + 1 == 3


def test_a_class_of_one_gives_a_single_fold_of_zeros():
    assert not stratified_folds(np.repeat([0, 1], [20, 1]), 5, 0).any()


def test_folds_depend_on_the_seed_alone():
    labels = np.arange(60) % 3
    first, again, other = (stratified_folds(labels, 5, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_a_validation_part_holds_some_of_each_class_and_never_all():
    labels = np.repeat([0, 1, 2, 3], [20, 5, 2, 1])
    held_out = validation_part(labels, 0.2, 0)
    assert np.bincount(labels[held_out], minlength=4).tolist() == [4, 1, 1, 0]
    assert np.array_equal(held_out, validation_part(labels, 0.2, 0))
    assert not np.array_equal(held_out, validation_part(labels, 0.2, 1))
    assert np.bincount(labels[validation_part(labels, 0.99, 0)], minlength=4).tolist() == [19, 4, 1, 0]


def test_a_validation_part_is_empty_where_every_class_has_one_member():
    assert not validation_part(np.arange(5), 0.2, 0).any()
    assert validation_part(np.array([0, 1, 1]), 0.2, 0).sum() == 1


@st.composite
def groupings(draw):
    """Labels and groups of 1 to 9 samples, in random order."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=25))
    rng = np.random.default_rng(draw(seeds))
    groups = rng.permutation(np.repeat([f"g{i}" for i in range(len(sizes))], sizes))
    return rng.integers(0, draw(st.integers(1, 4)), len(groups)), groups


@examples
@given(groupings(), seeds)
def test_whole_groups_are_nested_and_never_too_many(case, seed):
    labels, groups = case
    smaller: set[int] = set()
    for n in range(1, len(labels) + 1):
        try:
            drawn = subset_indices(labels, n, seed, "groups", groups)
        except SettingError:
            assert not smaller  # n is smaller than the group that is drawn first
            continue
        assert 1 <= len(drawn) <= n
        assert not set(groups[drawn]) & set(np.delete(groups, drawn))
        assert drawn.tolist() == sorted(drawn.tolist())
        assert smaller <= set(drawn.tolist())
        smaller = set(drawn.tolist())
    assert len(smaller) == len(labels)


@examples
@given(groupings(), seeds)
def test_groups_are_drawn_alike_whatever_they_are_called_first(case, seed):
    labels, groups = case
    n = max(9, len(labels) // 2)
    again = subset_indices(labels, n, seed, "groups", np.char.add("x", groups))
    assert subset_indices(labels, n, seed, "groups", groups).tolist() == again.tolist()


def test_subsets_of_groups_are_as_mixed_as_all_samples():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 10)
    labels = (np.repeat(rng.random(200), 10) < 0.3).astype(int)  # each group is of one class
    for n in (100, 300, 1000):
        for seed in range(5):
            drawn = subset_indices(labels, n, seed, "groups", groups)
            assert abs(labels[drawn].mean() - labels.mean()) <= 10 / n


@examples
@given(groupings(), st.integers(2, 6), seeds)
def test_folds_of_groups_hold_whole_ones_and_never_all_of_a_class(case, folds, seed):
    labels, groups = case
    found = group_folds(labels, folds, seed, groups)
    plain = stratified_folds(labels, folds, seed)
    whole = all(len(set(found[groups == name])) == 1 for name in np.unique(groups))
    assert whole or found.tolist() == plain.tolist()  # no two folds of whole groups can be
    if whole and found.max() > 0:
        assert all(len(set(found[labels == label])) > 1 for label in np.unique(labels))
    assert stratified_folds(labels, folds, seed, groups).tolist() == found.tolist()
    held_out = validation_part(labels, 1 / folds, seed, groups)
    assert held_out.tolist() == ((found == 0) & (found.max() > 0)).tolist()


def test_folds_of_many_groups_are_even():
    groups = np.repeat(np.arange(60), 5)
    found = group_folds(np.repeat(np.arange(60) % 3, 5), 5, 0, groups)
    assert np.bincount(found).tolist() == [60] * 5


def test_many_groups_take_seconds_at_most():
    groups = np.arange(30_000) // 2
    labels = np.random.default_rng(0).integers(0, 10, 30_000)
    assert len(subset_indices(labels, 10_000, 0, "groups", groups)) == 10_000


def test_an_n_below_the_first_group_is_refused_with_one_that_does():
    groups = np.array(["a"] * 4 + ["b"] * 6)
    with pytest.raises(SettingError, match=r"n=3 is smaller than the group that is drawn first \((4|6) samples of"):
        subset_indices(np.arange(10) % 2, 3, 0, "groups", groups)


def test_without_groups_none_can_be_drawn():
    with pytest.raises(SettingError, match="the data set names no groups, expected a column group"):
        subset_indices(np.arange(10) % 2, 4, 0, "groups")


def test_groups_of_mixed_classes_are_not_preferred():
    counts = np.array([[1, 1]] * 30 + [[2, 0]] * 30 + [[0, 2]] * 30)
    first = np.concatenate([group_order(counts, seed)[:20] for seed in range(10)])
    assert np.mean(first < 30) == pytest.approx(1 / 3, abs=0.1)
