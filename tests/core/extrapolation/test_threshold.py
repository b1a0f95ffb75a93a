import numpy as np
import pytest

from scaling.core.errors import SettingError
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.statements import data_requirement, local_exponent, saturation
from scaling.core.extrapolation.threshold import Threshold, measurable
from scaling.core.limits import limit

N = 50 * 2.0 ** np.arange(6)


def seen(error, stderr=0.002):
    return forecast(N, error, np.full(len(N), stderr))


FALLING = seen(2 * N**-0.35)  # 0.178 at the largest n, and 0.109 at 4 times as many
LEVEL = seen(0.2 + 50 * N**-2.0, 0.0003)


def test_a_fall_that_a_small_test_set_cannot_show_is_no_saturation():
    found = saturation(FALLING, tested=140)
    resolved = measurable(2 * N[-1] ** -0.35, 140)
    assert (found.told, found.estimate) == (False, None)
    assert found.details["threshold"] == pytest.approx(resolved, rel=1e-3)
    assert found.details["gain"] < resolved
    needed = 140 * (resolved / found.details["gain"]) ** 2
    assert 140 * found.details["times_tested"] == pytest.approx(needed, rel=1e-3)
    assert found.text.startswith(
        "Cannot be told from this test set: from n = 1,600 to 6,400 the error is expected to fall"
    )
    enough = f"about {np.ceil(needed):.0f} test samples would."
    assert f"less than the {resolved:.4f} that 140 test samples can measure; {enough}" in found.text


def test_the_test_samples_that_are_asked_for_tell_it():
    needed = 140 * saturation(FALLING, tested=140).details["times_tested"]
    assert not saturation(FALLING, tested=int(0.5 * needed)).text.startswith("Saturated")
    assert saturation(FALLING, tested=int(3 * needed)).text.startswith("Not saturated")


@pytest.mark.parametrize("tested", [140, 3000])
def test_a_level_curve_is_saturated_whatever_the_test_set(tested):
    """What is left is less than 10 % of the error: small in itself, and not by what can be measured alone."""
    found = saturation(LEVEL, tested=tested)
    assert found.text.startswith("Saturated from n = ")
    small = min(0.1 * 0.2, measurable(0.2, tested))
    assert found.details["small"] == pytest.approx(small, rel=0.01)
    true = (50 / small) ** 0.5
    assert found.estimate <= 2 * true
    assert "10 % of the error" in found.text


def test_a_curve_that_falls_by_more_than_can_be_measured_is_not_saturated():
    assert saturation(FALLING, tested=100_000).text.startswith("Not saturated")
    assert "more than the 0.0031 that 100,000 test samples can measure." in saturation(FALLING, tested=100_000).text


def test_a_small_fall_that_is_sure_says_what_would_measure_it():
    n = 100 * 2.0 ** np.arange(8)
    found = saturation(forecast(n, 0.2 * (n / n[-1]) ** -0.02, np.full(8, 0.0001)), tested=2000)
    assert found.details["gain_low"] > 0
    assert found.text.startswith("Saturated from")
    needed = 2000 * (found.details["threshold"] / found.details["gain"]) ** 2
    assert f"It takes about {float(f'{np.ceil(needed):.3g}'):,.0f} test samples to measure that." in found.text


def test_what_matters_is_taken_at_its_word():
    assert saturation(FALLING, 0.2).text.endswith(", less than 0.2000.")
    assert saturation(FALLING, 0.2).told


def test_without_their_number_test_samples_are_told_as_a_factor():
    found = saturation(FALLING, Threshold.of_test_set(0.1, 0.18, None))
    assert "less than the 0.1000 that this test set can measure; a test set " in found.text
    assert found.text.endswith(" times as large would.")


def test_no_error_at_all_is_one_that_a_finite_test_set_missed():
    assert 0 < measurable(0.0, 100) < measurable(0.02, 100)
    nothing = Threshold.of_test_set(0.03, 0.0, 100)
    assert 0 < nothing.small < nothing.told
    ends = forecast(N[:4], [0.3, 0.1, 0.02, 0.0])
    assert saturation(ends, tested=100).text


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_what_matters_is_above_nothing(value):
    with pytest.raises(SettingError, match="expected a gain above 0"):
        Threshold.given(value)


def test_changes_that_a_test_set_cannot_show_do_not_saturate_the_limit():
    train = seen(np.full(6, 0.01) * (1 + 0.01 * np.arange(6)))
    small = limit(FALLING, train, Threshold.of_test_set(0.2, 0.178, 60))
    assert (small.told, small.details["verdict"]) == (False, "open")
    assert small.text.startswith(
        "Cannot be told from this test set: up to n = 6,400 neither the test nor the train error"
    )
    assert "the 0.2000 that 60 test samples can measure; about " in small.text
    assert limit(FALLING, train, 0.2).details["verdict"] == "saturated"
    n = 100 * 2.0 ** np.arange(8)
    flat = forecast(n, 0.2 + 5 * n**-1.5, np.full(8, 0.0003))
    level = limit(flat, forecast(n, np.full(8, 0.05)), Threshold.of_test_set(0.2, 0.2, 60))
    assert level.details["verdict"] == "saturated"
    assert "changes by more than 0.0200, 10 % of the error" in level.text


def test_a_gap_that_does_not_close_says_what_would_count():
    found = limit(seen(4 * N**-0.4), seen(3.6 * N**-0.4), 0.03)
    assert found.details["verdict"] == "not_closing"
    assert "The gap closes by less than 0.0300, if at all." in found.text


def test_a_target_is_reached_where_another_test_set_would_say_so_too():
    sure = data_requirement(FALLING, 0.2)
    assert sure.estimate == 800  # 2 · 800^−0.35 = 0.193
    lucky = data_requirement(FALLING, 0.2, noise=0.03, tested=160)
    assert (lucky.told, lucky.estimate) == (False, None)
    distance = 0.2 - 2 * N[-1] ** -0.35 + 0
    needed = 160 * (1.6448536 * 0.03 / (0.2 - FALLING.observations.error[-1])) ** 2
    assert distance > 0
    assert lucky.text.startswith("Cannot be told from this test set: at n = 1,600 the error is 0.15")
    assert f"which may be above 0.2; about {np.ceil(needed):.0f} test samples would tell." in lucky.text


def test_a_target_that_is_nearly_reached_may_be_so_already():
    found = data_requirement(FALLING, 0.14, noise=0.03, tested=160)
    assert "It may be reached already: at n = 1,600 the error is" in found.text
    assert "already" not in data_requirement(FALLING, 0.14).text


def test_an_exponent_that_may_be_of_either_sign_says_so():
    flat = forecast(N, [0.2, 0.21, 0.19, 0.2, 0.205, 0.2], np.full(6, 0.01))
    assert local_exponent(flat).text.endswith("Whether it falls or rises is not certain.")
    assert "not certain" not in local_exponent(FALLING).text
