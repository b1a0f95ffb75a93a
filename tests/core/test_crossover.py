from dataclasses import replace

import numpy as np
import pytest

from scaling.core.crossover import Differences, crossing, differences

N = 100 * 2.0 ** np.arange(6)
X = np.log2(N / 100)


def seen(truth, rng, seeds=3, tested=500, draw=0.01):
    """Differences of two curves of known truth: a draw's effect at each n and seed, a test sample's shared by all n."""
    sample = 0.3 * rng.standard_normal(tested)
    rows = [
        t + draw * rng.standard_normal((seeds, 1)) + sample + 0.3 * rng.standard_normal((seeds, tested)) for t in truth
    ]
    residual = np.full(len(truth), 0.09 / (seeds * tested) if seeds > 1 else 0.0)
    return differences(N, [row.mean(1) for row in rows], np.stack([row.mean(0) for row in rows]), residual)


def test_a_clear_crossover_is_found_where_it_is():
    truth = 0.2 - 0.1 * X  # crosses at x = 2, n = 400
    found = crossing(seen(truth, np.random.default_rng(0)))
    assert found.overtaken
    assert found.changes == 1
    assert found.low <= 400 <= found.high
    assert found.n == pytest.approx(400, rel=0.15)


@pytest.mark.parametrize(("seeds", "draw"), [(1, 0.0), (3, 0.02)])
def test_its_interval_covers_the_truth_as_often_as_it_says(seeds, draw):
    rng, told, covered = np.random.default_rng(1), 0, 0
    at = 100 * 2**2.5
    for _ in range(150):
        found = crossing(seen(0.15 - 0.06 * X, rng, seeds, draw=draw))
        if found.n is not None:
            told += 1
            covered += found.low <= at <= found.high
    assert told > 130
    assert 0.85 <= covered / told <= 1


def test_curves_that_are_the_same_are_hardly_ever_said_to_cross():
    rng = np.random.default_rng(2)
    found = [crossing(seen(0 * X, rng)) for _ in range(150)]
    assert np.mean([item.n is not None for item in found]) < 0.05


def test_the_sides_may_be_swapped():
    one = seen(0.2 - 0.1 * X, np.random.default_rng(3))
    other = crossing(replace(one, mean=-one.mean))
    first = crossing(one)
    assert (first.overtaken, other.overtaken) == (True, False)
    assert other.n == pytest.approx(first.n)
    assert (other.low, other.high) == pytest.approx((first.low, first.high), rel=0.05)


def test_a_lead_that_is_never_lost_is_no_crossover():
    found = crossing(seen(0.2 + 0 * X, np.random.default_rng(4)))
    assert (found.n, found.changes) == (None, 0)
    assert len(found.sure) == len(N)


def test_of_several_changes_the_last_is_told():
    truth = np.array([0.2, 0.2, -0.2, -0.2, 0.2, 0.2])
    found = crossing(seen(truth, np.random.default_rng(5)))
    assert found.changes == 2
    assert not found.overtaken
    assert 800 < found.low <= found.n <= found.high < 1600


def test_it_stays_between_the_sizes_at_which_the_lead_is_sure():
    truth = np.array([0.3, 0.3, 0.3, 0.001, -0.3, -0.3])
    found = crossing(seen(truth, np.random.default_rng(6), draw=0.03))
    assert 400 <= found.low <= found.n <= found.high <= 1600


def test_seeds_alone_suffice():
    rng = np.random.default_rng(7)
    truth = 0.2 - 0.1 * X
    by_seed = [t + 0.01 * rng.standard_normal(3) for t in truth]
    alone = crossing(differences(N, by_seed, None, np.zeros(6)))
    assert alone.low <= 400 <= alone.high


def test_where_nothing_is_drawn_draws_add_no_doubt():
    by_seed = [np.array([0.1, 0.2, 0.3])] * 5 + [np.array([0.2])]
    drawn = np.array([True] * 5 + [False])
    found = differences(N, by_seed, None, np.zeros(6), drawn)
    assert found.draws[:-1].min() > 0
    assert found.draws[-1] == 0
    assert differences(N, by_seed, None, np.zeros(6)).draws[-1] > 0


def test_a_variance_that_few_seeds_tell_widens_what_is_drawn():
    zero, shared = np.zeros(6), np.zeros((6, 6))
    few, many = (Differences(N, zero, shared, np.ones(6), freedom).sample() for freedom in (10, 10_000))
    assert few.var() == pytest.approx(10 / 8, rel=0.06)  # of Student's t with 10 degrees of freedom
    assert many.var() == pytest.approx(1, rel=0.05)
    assert Differences(N, zero, shared + 0.25, zero, np.inf).sample().std(0) == pytest.approx(0.5, rel=0.05)


def test_it_is_the_same_twice():
    one, two = (crossing(seen(0.2 - 0.1 * X, np.random.default_rng(8))) for _ in "12")
    assert one == two
