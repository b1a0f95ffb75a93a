"""What makes data unfit to tell anything, found in arrays made so that the answer is known."""

import numpy as np
import pytest

from scaling.core.audit import Check, constant, in_order, lines, near_pairs, not_finite, rare, repeated

RNG = np.random.default_rng(0)
BANK = RNG.normal(size=(300, 16)).astype(np.float32)
KEYS = np.arange(300)


def test_a_sample_with_little_noise_is_near_and_others_are_not():
    queries = RNG.normal(size=(40, 16)).astype(np.float32)
    queries[7] = BANK[123] + 0.01 * queries[7]
    found = near_pairs(queries, BANK, 1000 + np.arange(40), KEYS)
    assert (found.searched, found.found) == (40, 1)
    ((query, other, cosine),) = found.pairs
    assert (query, other) == (7, 123)
    assert cosine > 0.99


def test_exact_copies_are_counted_elsewhere_and_a_sample_is_not_near_itself():
    assert near_pairs(BANK, BANK, KEYS, KEYS).found == 0
    assert near_pairs(BANK[:5], BANK, KEYS[:5], KEYS).found == 0


def test_a_pair_within_the_bank_is_shown_once():
    bank = np.concatenate([BANK, BANK[5:6] * 1.001])
    found = near_pairs(bank, bank, np.arange(301), np.arange(301))
    assert found.found == 2
    assert [set(pair[:2]) for pair in found.pairs] == [{5, 300}]


def test_what_all_samples_share_makes_none_near():
    assert near_pairs(BANK[:50] + 100, BANK + 100, 1000 + np.arange(50), np.arange(300) + 5000, 0.9).found == 50
    apart = RNG.normal(size=(50, 16)).astype(np.float32)
    assert near_pairs(apart + 100, BANK + 100, 1000 + np.arange(50), KEYS).found == 0


def test_a_bounded_search_says_how_many_it_looked_at():
    found = near_pairs(BANK, BANK, KEYS, KEYS, budget=10 * BANK.size)
    assert found.searched == 10


def test_rows_without_direction_are_near_nothing():
    flat = np.ones((5, 4), np.float32)
    assert near_pairs(flat, flat, np.arange(5), 10 + np.arange(5)).found == 0


def test_dead_features_and_broken_rows():
    rows = np.array([[1, 2, 3], [1, 5, np.nan], [1, 2, np.inf]], np.float32)
    assert constant(rows).tolist() == [0]
    assert not_finite(rows).tolist() == [1, 2]
    assert repeated(np.array([4, 4, 2, 4])) == 2


@pytest.mark.parametrize("classes", [2, 5, 50])
def test_sorted_labels_are_in_order_and_shuffled_ones_are_not(classes):
    labels = np.sort(np.arange(600) % classes)
    assert in_order(labels)
    assert not any(in_order(np.random.default_rng(seed).permutation(labels)) for seed in range(20))


def test_too_few_labels_tell_no_order():
    assert not in_order(np.array([0, 0, 1, 1]))
    assert not in_order(np.zeros(100, int))


def test_classes_are_rare_for_an_n():
    counts = np.array([500, 12, 488])
    assert rare(counts, 1000, 100).tolist() == [1]  # 1.2 of it
    assert rare(counts, 1000, 200).tolist() == []  # 2.4
    assert rare(counts, 1000, 3).tolist() == [1, 2, 0]
    assert rare(counts, 1000, 10_000).tolist() == []


def test_lines_fit_a_terminal():
    checks = [Check("copies", "fine", "none"), Check("rare", "look", "word " * 40, ("1.000  a  b",))]
    found = list(lines(checks))
    assert found[0] == "ok    copies: none"
    assert found[1].startswith("LOOK  rare: word")
    assert found[-1] == "        1.000  a  b"
    assert max(map(len, found)) <= 80
