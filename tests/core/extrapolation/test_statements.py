import json
from itertools import permutations

import numpy as np
import pytest

from scaling.core.errors import SettingError
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.statements import (
    asymptote,
    data_requirement,
    local_exponent,
    marginal_value,
    measurable,
    saturation,
)  # fmt: skip
from scaling.core.extrapolation.trend import inversion_distribution, trend

N = 100 * 2.0 ** np.arange(8)


def curve(a=0.0, b=1.0, c=0.3, k=8, stderr=0.0005):
    return forecast(N[:k], a + b * N[:k] ** -c, np.full(k, stderr))


FLAT = forecast(N[:3], [0.2, 0.2, 0.2])


def test_the_exponent_of_a_power_law_is_found():
    found = local_exponent(curve(c=0.3))
    assert found.low <= 0.3 <= found.high
    assert found.estimate == pytest.approx(0.3, abs=0.04)
    assert "falls like n^-0.3" in found.text or "falls like n^-0.2" in found.text


def test_the_asymptote_is_found_where_the_curve_bends_and_refused_where_it_does_not():
    told = asymptote(forecast(N, 0.1 + 3 * N**-0.7, np.full(8, 0.0005)))
    assert told.told
    assert told.low <= 0.1 <= told.high
    assert told.estimate == pytest.approx(0.1, abs=0.01)
    refused = asymptote(forecast(N[:4], [0.5, 0.42, 0.36, 0.31], np.full(4, 0.02)))
    assert (refused.told, refused.estimate) == (False, None)
    assert refused.text.startswith("Cannot be told from these points")


def test_three_points_have_no_asymptote():
    assert "needs 4 sizes; there are 3" in asymptote(curve(k=3)).text


def test_a_steep_curve_is_not_saturated_and_a_level_one_is():
    growing = saturation(curve(c=0.3), threshold=0.001)
    assert growing.text.startswith("Not saturated")
    assert growing.high == float("inf")
    level = saturation(forecast(N, 0.2 + 50 * N**-1.5, np.full(8, 0.0003)), threshold=0.03)
    assert level.text.startswith("Saturated from")
    # There the remaining gain to 4 times the largest n is the threshold.
    true = (50 / 0.03) ** (1 / 1.5)
    assert level.low <= true <= level.high
    assert level.estimate <= 2 * true


def test_saturation_between_the_two_is_refused():
    seen = curve(c=0.3)
    gain = saturation(seen, threshold=1e-3).details["gain"]
    between = saturation(seen, threshold=gain)
    assert not between.told
    assert "on both sides" in between.text


def test_saturation_takes_what_the_test_set_can_measure():
    assert measurable(0.5, 10_000) == pytest.approx(1.96 * np.sqrt(0.5 / 10_000), rel=1e-3)
    found = saturation(curve(), tested=10_000)
    assert found.details["threshold"] == pytest.approx(measurable(N[-1] ** -0.3, 10_000))
    for settings in ({}, {"threshold": 0.0}, {"tested": 0}):
        with pytest.raises(SettingError):
            saturation(curve(), **settings)


def test_the_data_requirement_is_met_found_or_refused():
    seen = curve(c=0.3)
    met = data_requirement(seen, 0.2)
    assert (met.estimate, met.low) == (400.0, None)  # 200^-0.3 = 0.204
    found = data_requirement(seen, (2 * N[-1]) ** -0.3)
    assert found.low <= 2 * N[-1] <= found.high
    far = data_requirement(seen, 0.001)
    assert not far.told
    assert far.text.startswith("Cannot be told from these points")
    assert "is reached within 410,000 samples with a chance of 0.0" in far.text
    with pytest.raises(SettingError, match="expected a target above 0"):
        data_requirement(seen, 0)


def test_the_value_of_the_next_labels():
    seen = curve(c=0.3)
    found = marginal_value(seen, 10_000)
    truth = N[-1] ** -0.3 - (N[-1] + 10_000) ** -0.3
    assert found.low <= truth <= found.high
    assert found.estimate == pytest.approx(truth, rel=0.2)
    assert "caution" not in found.text
    assert "caution" in marginal_value(seen, 100_000).text
    with pytest.raises(SettingError, match="labels=0"):
        marginal_value(seen, 0)


def test_without_a_trend_nothing_is_told():
    for found in (local_exponent(FLAT), asymptote(FLAT), saturation(FLAT, 0.01), marginal_value(FLAT, 100)):
        assert not found.told
        assert "they are flat" in found.text


def test_inversions_are_counted_as_by_hand():
    for k in (1, 2, 5):
        counts = [sum(a > b for i, a in enumerate(p) for b in p[i + 1 :]) for p in permutations(range(k))]
        assert inversion_distribution(k) == np.bincount(counts).tolist()


def test_the_trend_without_repeats():
    assert trend(N[:3], [0.5, 0.4, 0.3]).text == (
        "Cannot be told from these points: 3 sizes without repeats come in falling order by chance in 1 of 6 cases."
    )
    falling = trend(N[:4], [0.5, 0.4, 0.3, 0.2])
    assert falling.told
    assert falling.details["p"] == pytest.approx(1 / 24)
    assert not trend(N[:4], [0.5, 0.4, 0.3, 0.35]).told
    assert not trend(N[:8], [0.2] * 8).told


def test_the_trend_with_repeats():
    rng = np.random.default_rng(0)
    n = np.repeat([100, 200, 400], 3)
    falling = trend(n, 1 / n + rng.normal(0, 1e-5, 9))
    assert falling.told
    assert falling.details["p"] < 0.01
    assert falling.details["pairs"] == 27
    chance = [trend(n, rng.normal(0.5, 0.1, 9)).details["p"] <= 0.05 for _ in range(400)]
    assert 0.02 < np.mean(chance) < 0.09
    assert "too few for a test" in trend([100, 100], [0.5, 0.4]).text


def test_everything_is_said_in_json_and_the_same_twice():
    def said():
        fitted = curve()
        found = [local_exponent(fitted), asymptote(fitted), saturation(fitted, 0.005)]
        found += [marginal_value(fitted, 1000), data_requirement(fitted, 0.1)]
        return json.dumps([item.as_dict() for item in found], allow_nan=False)

    assert said() == said()
    assert len(json.loads(said())) == 5


RISING = forecast(N, [0.1, 0.13, 0.17, 0.22, 0.28, 0.35, 0.42, 0.5], np.full(8, 0.003))


def test_a_curve_that_surely_rises_is_neither_saturated_nor_worth_labels():
    refused = saturation(RISING, threshold=0.01)
    assert not refused.told
    assert "the error is expected to rise by" in refused.text
    assert "the error rises like n^0." in local_exponent(RISING).text
    assert "labels raise the error by 0." in marginal_value(RISING, 1000).text
    assert asymptote(RISING).text == "Cannot be told from these points: the error rises at the end."


@pytest.mark.parametrize(("b", "c"), [(2, 0.3), (1, 0.5), (100, 1.0)])
def test_the_exponent_is_that_of_the_error_however_small_it_is(b, c):
    told = local_exponent(forecast(N[:6], np.minimum(b * N[:6] ** -c, 1)))
    assert told.estimate == pytest.approx(c, rel=0.15)
    assert told.low < c < told.high


def test_intervals_of_asymptotes_hold_the_truth_without_repeats():
    rng, held, told = np.random.default_rng(0), 0, 0
    assert "needs 6 sizes, where no repeats" in asymptote(forecast(N[:5], 0.1 + 3 * N[:5] ** -0.7)).text
    for _ in range(120):
        n = 100 * 2.0 ** np.arange(8)
        found = asymptote(forecast(n, (0.1 + 0.4 * (n / 100) ** -0.8) * np.exp(rng.normal(0, 0.03, 8))))
        if found.told:
            told += 1
            held += found.low <= 0.1 <= found.high
    assert told > 40
    assert held / told > 0.82


def test_an_asymptote_has_a_width_however_many_points_there_are():
    n = np.arange(1, 501)
    told = asymptote(forecast(n, 0.5 * n**-0.4 + 0.1))
    assert told.low < told.high


def test_a_target_is_reached_where_the_error_stays_below_it_by_more_than_its_noise():
    up_and_down = forecast(N[:4], [0.3, 0.099, 0.2, 0.0899], np.full(4, 0.001))
    assert data_requirement(up_and_down, 0.1).estimate == N[3]
    refused = data_requirement(forecast(N[:4], [0.3, 0.25, 0.2, 0.0999], np.full(4, 0.02)), 0.1)
    assert not refused.told
    assert "the error is 0.0999 ± 0.033, which may be above 0.1" in refused.text
