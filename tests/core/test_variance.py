from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core.variance import Measured, components, estimates, spread, t_quantile

examples = settings(max_examples=30, deadline=None, derandomize=True, database=None)
DRAW, SAMPLE, REST = 0.02, 0.3, 0.4


def table(rng, seeds=5, tested=400, draw=DRAW):
    """Effects of known standard deviation: of the draw, of the test sample, and of neither."""
    shape = (seeds, tested)
    return (
        0.7 + draw * rng.standard_normal((seeds, 1)) + SAMPLE * rng.standard_normal(tested)
        + REST * rng.standard_normal(shape)
    )  # fmt: skip


def mean_variance(found):
    """Variance of the mean over seeds and test samples, both sources counted once."""
    return found.between / (found.seeds * found.tested) + found.shared_variance


def test_known_variances_are_recovered():
    rng = np.random.default_rng(0)
    found = [components(table(rng)) for _ in range(400)]
    assert np.mean([c.draw_variance for c in found]) == pytest.approx(DRAW**2, rel=0.1)
    assert np.mean([c.test_variance for c in found]) == pytest.approx((SAMPLE**2 + REST**2) / 400, rel=0.05)
    assert np.mean([mean_variance(c) for c in found]) == pytest.approx(np.var([c.mean for c in found]), rel=0.15)


def test_the_bare_variance_between_seeds_would_count_the_test_set_twice():
    rng = np.random.default_rng(1)
    tables = [table(rng, draw=0.0) for _ in range(200)]
    bare = np.mean([rows.mean(1).var(ddof=1) for rows in tables])
    assert bare == pytest.approx(REST**2 / 400, rel=0.15)  # no draw differs, yet it is above 0
    assert np.mean([components(rows).draw_variance for rows in tables]) < 0.35 * bare


def test_seeds_that_tie_by_chance_leave_the_noise_that_they_don_t_share():
    first = np.tile([1.0, 0.0], 100)
    (found,) = estimates([100.0], [Measured.of(components(np.stack([first, first[::-1]])))])
    assert found.freedom == 1
    assert found.variance >= 0.2 / 200


def test_a_lone_seed_takes_its_draws_from_the_other_sizes():
    rng = np.random.default_rng(0)
    several, lone = components(table(rng, draw=0.2)), components(table(rng, seeds=1, draw=0.2))
    both = estimates([100.0, 200.0], [Measured.of(several), Measured.of(lone)])[1]
    alone = estimates([200.0], [Measured.of(lone)])[0]
    assert both.variance > 5 * alone.variance
    assert both.freedom == 4
    assert estimates([100.0, 200.0], [Measured.of(several), Measured.of(lone, drawn=False)])[1] == alone


def estimate(rows, sizes=(100.0,)):
    return estimates(sizes, [Measured.of(components(row)) for row in rows])


@pytest.mark.parametrize(("seeds", "draw"), [(1, 0.0), (2, DRAW), (3, DRAW), (3, 0.1)])
def test_the_interval_covers_at_least_as_often_as_it_says(seeds, draw):
    rng = np.random.default_rng(seeds)
    ends = np.array([estimate([table(rng, seeds, 200, draw)])[0].interval(0.1) for _ in range(800)])
    assert np.mean((ends[:, 0] <= 0.7) & (ends[:, 1] >= 0.7)) >= 0.88


def test_sizes_that_tell_the_spread_together_cover_as_often_as_they_say_and_more_narrowly():
    rng, sizes = np.random.default_rng(7), (100.0, 200.0, 400.0, 800.0, 1600.0)
    covered, widths = [], []
    for _ in range(300):
        rows = [table(rng, 3, 200, 0.05) for _ in sizes]
        ends = np.array([item.interval(0.1) for item in estimate(rows, sizes)])
        covered.append((ends[:, 0] <= 0.7) & (ends[:, 1] >= 0.7))
        widths.append(np.diff(ends[:1])[0, 0] / np.diff(estimate(rows[:1])[0].interval(0.1))[0])
    assert 0.87 <= np.mean(covered) <= 0.96
    assert np.mean(widths) < 0.9


@pytest.mark.parametrize("draw", [0.0, 0.15])
def test_two_seeds_do_not_make_a_p_far_smaller_than_it_may_be(draw):
    rng = np.random.default_rng(8)
    p = np.array([estimate([table(rng, 2, 100, draw) - 0.7])[0].p for _ in range(1500)])
    assert np.mean(p <= 0.05) <= 0.065
    assert np.mean(p <= 0.01) <= 0.016


@pytest.mark.parametrize(("v0", "v1"), [(1e-4, 0.0), (0.0, 0.04)])
def test_the_spread_may_be_the_same_at_all_sizes_or_fall_with_n(v0, v1):
    n, seeds = np.array([100.0, 400.0, 1600.0]), np.array([200, 200, 200])
    truth = v0 + v1 / n
    found, freedom = spread(n, seeds, truth * (seeds - 1))
    assert found == pytest.approx(truth, rel=0.01)
    assert freedom == 597


def test_what_nothing_tells_has_no_estimate():
    assert estimates([1.0], [Measured(0.5, 1, 0.0, 0.0, None)]) == [None]
    assert estimates([1.0], [Measured(0.5, 3, 0.0, 0.0, None)]) == [None]
    (alone,) = estimates([1.0], [Measured(0.5, 1, 0.0, 0.0, 0.01)])
    assert alone.interval(0.05) == pytest.approx((0.5 - 0.196, 0.5 + 0.196), abs=1e-3)


def test_the_mean_squares_are_those_of_the_definition():
    rows = np.random.default_rng(2).random((3, 7))
    found, mean = components(rows), rows.mean()
    by_seed, by_sample = rows.mean(1), rows.mean(0)
    rest = rows - by_seed[:, None] - by_sample + mean
    assert found.between == pytest.approx(7 * ((by_seed - mean) ** 2).sum() / 2)
    assert found.samples == pytest.approx(3 * ((by_sample - mean) ** 2).sum() / 6)
    assert found.residual == pytest.approx((rest**2).sum() / 12)
    assert found.test_variance == pytest.approx(rows.var(1, ddof=1).mean() / 7)


@examples
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(2, 30))
def test_nothing_depends_on_the_order_of_seeds_or_samples(seed, seeds, tested):
    rng = np.random.default_rng(seed)
    rows = rng.random((seeds, tested))
    one = components(rows)
    two = components(rows[rng.permutation(seeds)][:, rng.permutation(tested)])
    for name in ("mean", "between", "samples", "residual", "shared_variance"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), abs=1e-9)


def test_one_seed_tells_nothing_of_draws():
    rows = np.random.default_rng(3).random((1, 50))
    found = components(rows)
    assert found.draw_variance is None
    assert mean_variance(found) == pytest.approx(rows.var(ddof=1) / 50) == found.test_variance
    assert Measured.of(found).alone == pytest.approx(mean_variance(found))


def test_seeds_that_agree_in_everything_add_no_freedom_and_no_variance():
    rows = np.repeat(np.random.default_rng(4).random((1, 50)), 3, axis=0)
    found = components(rows)
    assert estimates([1.0], [Measured.of(found)])[0].freedom == inf
    assert found.draw_variance == 0
    assert mean_variance(found) == pytest.approx(rows[0].var(ddof=1) / 50)


def test_pseudo_samples_count_like_samples_that_all_seeds_share():
    rows = np.random.default_rng(5).random((3, 20))
    longer = np.concatenate([rows, np.tile([0.0, 1.0], (3, 1))], axis=1)
    one, two = components(rows, (0.0, 1.0)), components(longer)
    assert one.tested == 22
    assert mean_variance(one) == pytest.approx(mean_variance(two))
    assert one.mean == pytest.approx(two.mean)


def test_quantiles_of_t():
    assert t_quantile(2, 0.975) == pytest.approx(4.3027, abs=1e-4)
    assert t_quantile(inf, 0.975) == pytest.approx(1.959964, abs=1e-5)
