"""How long, which samples, which rate: pure functions, checked by hand-made values."""

import numpy as np
import pytest

from scaling.training.budget import (
    batch_positions,
    best_round,
    budget,
    fewest_at_once,
    network_seed,
    parts,
    rate_factor,
    sample_seeds,
)  # fmt: skip


def test_steps_are_epochs_of_n_within_bounds():
    assert budget(1000, 32, 20, 100, 5000, 10).steps == 625  # 20 · 1000 / 32
    assert budget(50, 32, 20, 100, 5000, 10).steps == 100
    assert budget(60_000, 32, 20, 100, 5000, 10).steps == 5000
    assert budget(60_000, 32, 1e308, 100, 5000, 10).steps == 5000


def test_a_batch_is_no_larger_than_the_subset():
    assert budget(10, 32, 20, 1, 5000, 10).batch == 10
    assert budget(10, 32, 20, 1, 5000, 10).steps == 20


def test_rounds_end_at_the_last_step_and_are_no_more_than_steps():
    assert budget(1000, 32, 20, 100, 5000, 10).rounds[-2:] == (563, 625)
    assert budget(1000, 32, 20, 1, 3, 10).rounds == (1, 2, 3)
    assert budget(1000, 32, 20, 1, 8, 4).until(5) == (2, 4, 5)
    assert budget(1000, 32, 20, 1, 8, 4).until(4) == (2, 4)


def test_the_rate_rises_linearly_and_falls_along_half_a_cosine():
    factors = [rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[99] < 0.001
    assert rate_factor(0, 1, 0.0) == 1.0


def test_each_sample_comes_once_an_epoch_in_another_order_each_time():
    order = np.concatenate([batch_positions(10, 4, step, 0) for step in range(5)])
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10].tolist() != order[10:].tolist()
    assert batch_positions(10, 4, 3, 0).tolist() == order[12:16].tolist()
    assert batch_positions(10, 4, 3, 1).tolist() != order[12:16].tolist()


def test_seeds_differ_by_step_sample_and_seed_and_never_by_anything_else():
    seeds = np.concatenate([sample_seeds(step, 8, seed) for step in range(3) for seed in range(3)])
    assert len(set(seeds.tolist())) == 72
    assert sample_seeds(1, 8, 2).tolist() == sample_seeds(1, 8, 2).tolist()
    assert len({network_seed(step, part, seed) for step in range(3) for part in range(2) for seed in range(3)}) == 18


def test_parts_cover_a_batch():
    assert parts(32, None) == [slice(0, 32)]
    assert parts(32, 12) == [slice(0, 10), slice(10, 21), slice(21, 32)]
    assert parts(12, 11) == [slice(0, 6), slice(6, 12)]  # no single image is left over
    assert parts(4, 12) == [slice(0, 4)]
    assert parts(3, 1) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_the_smallest_share_of_a_part_is_counted():
    assert fewest_at_once(32, None, 1) == 32
    assert fewest_at_once(32, 12, 2) == 5
    assert fewest_at_once(12, 1, 1) == 1
    assert fewest_at_once(12, 1, 2) == 0


def test_the_best_round_is_the_first_of_the_lowest_and_never_one_without_a_number():
    assert best_round([3.0, 1.0, 1.0, 2.0]) == 1
    assert best_round([float("nan"), 5.0]) == 1
