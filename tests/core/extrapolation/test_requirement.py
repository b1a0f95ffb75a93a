"""The n of a target, on curves whose law is known, and the orders that cost least."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from scaling.core.errors import SettingError
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.collecting import SURE, Price, collection_plan, plan
from scaling.core.extrapolation.requirement import HORIZON, Needed, needed

N = 100 * 2.0 ** np.arange(5)


def law(c=0.5, level=0.0, noise=0.01, seed=0, b=4.0):
    draw = np.random.default_rng(seed).normal(0, noise, len(N))
    return forecast(N, (level + b * N**-c) * np.exp(draw), noise * (level + b * N**-c))


def test_the_n_of_a_target_is_covered_and_near():
    covered, octaves = [], []
    for seed in range(40):
        for c in (0.3, 0.5, 0.7):
            true = 3 * N[-1]
            middle, low, high = needed(law(c, seed=seed), 4.0 * true**-c).interval
            covered.append(low <= true <= high)
            octaves.append(abs(np.log2(middle / true)))
    assert np.mean(covered) > 0.85
    assert np.median(octaves) < 0.6


def test_a_lower_target_takes_more():
    seen = law()
    found = [needed(seen, error).interval for error in (0.15, 0.12, 0.09, 0.07)]
    for one, two in pairwise(found):
        assert all(a < b for a, b in zip(one, two, strict=True))


def test_below_the_asymptote_there_is_none():
    flat = forecast(N, 0.2 + 5 * N**-1.0, np.full(5, 0.002))
    assert needed(flat, 0.02).interval[0] == np.inf
    assert needed(flat, 1e-9).interval == (np.inf, np.inf, np.inf)


def test_a_target_that_is_reached_lies_among_the_points():
    middle, low, high = needed(law(), 4.0 * 300**-0.5).interval
    assert 200 < low <= middle <= high < 450
    assert needed(law(), 0.9).interval == (N[0], N[0], N[0])


@pytest.mark.parametrize("points", [([100.0], [0.3]), ([100.0, 200.0], [0.3, 0.3])])
def test_points_without_a_trend_leave_the_upper_end_open(points):
    middle, low, high = needed(forecast(*points), 0.2).interval
    assert points[0][-1] <= low < middle
    assert high == np.inf
    assert needed(forecast(*points), 0.4).interval[:2] == (100.0, 100.0)


def test_a_target_of_nothing_is_refused():
    with pytest.raises(SettingError, match="error=0: expected a target above 0"):
        needed(law(), 0)


BELIEF = Needed(np.array([100.0, 150.0, 250.0, 500.0, 800.0]), np.array([0.0, 0.3, 0.6, 0.92, 1.0]), 0.8)


def expected_cost(places, price):
    """The expected cost of a sequence of places, term by term."""
    n, left = BELIEF.n, 1 - BELIEF.share
    steps = zip((0, *places), places, strict=False)
    return sum(left[i] * (price.label * (n[j] - n[i]) + price.round) for i, j in steps) + price.short * left[places[-1]]


@pytest.mark.parametrize("price", [Price(), Price(round=0), Price(round=50), Price(1, 40, 1e5), Price(3, 500, 10)])
def test_the_plan_is_the_cheapest_of_all(price):
    ways = [way for k in range(1, 5) for way in combinations(range(1, 5), k) if BELIEF.share[way[-1]] >= SURE]
    best = min(ways, key=lambda way: expected_cost(way, price))
    found = plan(BELIEF, price)
    assert found.totals == tuple(BELIEF.n[list(best)])
    assert found.cost == pytest.approx(expected_cost(best, price))


def test_dear_rounds_make_few_orders_and_dear_shortfalls_large_ones():
    found = needed(law(), 0.09)
    free, dear = plan(found, Price(round=0)), plan(found, Price(round=1e6))
    assert len(free.totals) > len(dear.totals) == 1
    assert dear.totals[-1] >= found.at(SURE) * (1 - 1e-9)
    assert plan(found, Price(round=0, short=1e9)).totals[-1] > free.totals[-1]


def test_what_to_order_is_said():
    said = collection_plan(law(), 0.09, Price(round=500))
    assert said.told
    assert said.text.startswith("For an error of 0.09 order ")
    assert sum(said.details["orders"]) + N[-1] == pytest.approx(said.estimate)
    assert "needs no more labels" in collection_plan(law(), 0.3, Price()).text
    assert f"within {2**HORIZON} times the largest n" in collection_plan(law(), 1e-6, Price()).text


@pytest.mark.parametrize("price", [{"label": 0}, {"round": -1}, {"short": float("nan")}])
def test_prices_that_can_not_be_are_refused(price):
    with pytest.raises(SettingError, match=r"price\.label"):
        Price(**price)
