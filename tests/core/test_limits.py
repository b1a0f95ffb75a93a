import numpy as np
import pytest

from scaling.core.extrapolation import forecast
from scaling.core.limits import limit

N = 100 * 2.0 ** np.arange(8)
FINE = np.full(8, 0.0003)


def fit(errors):
    return forecast(N, errors, FINE)


def test_a_gap_that_closes_from_above_is_limited_by_data():
    found = limit(fit(3 * N**-0.45), fit(np.full(8, 0.002) * (1 + 0.01 * np.arange(8))), threshold=0.005)
    assert (found.told, found.details["verdict"]) == (True, "data_limited")
    truth = 3 * (4 * N[-1]) ** -0.45 - 0.002
    assert found.low <= truth <= found.high
    assert found.text.startswith("Data-limited")


def test_two_flat_errors_are_saturated_and_the_gap_stays():
    found = limit(fit(0.2 + 5 * N**-1.5), fit(0.1 + 0.1 * N**-0.9), threshold=0.05)
    assert found.details["verdict"] == "saturated"
    assert found.low <= 0.1 <= found.high


def test_errors_that_fall_together_do_not_close_the_gap():
    test = 4 * N**-0.4
    found = limit(fit(test), fit(0.9 * test), threshold=0.01)
    assert found.details["verdict"] == "not_closing"


def test_between_them_it_cannot_be_told():
    seen = fit(1 * N**-0.3)
    gain = seen.predict([N[-1], 4 * N[-1]]).error
    found = limit(seen, fit(np.full(8, 0.01)), threshold=float(gain[0] - gain[1]))
    assert (found.told, found.estimate, found.details["verdict"]) == (False, None, "open")
    assert found.text.startswith("Cannot be told from these points")


def test_a_test_error_without_a_trend_tells_nothing():
    found = limit(forecast(N[:2], [0.3, 0.2]), forecast(N[:2], [0.1, 0.1]), 0.01)
    assert not found.told
    assert "there are fewer than 3 sizes" in found.text


@pytest.mark.parametrize("train", [np.zeros(8), np.full(8, 0.05)])
def test_a_train_error_without_a_trend_is_taken_to_stay(train):
    found = limit(fit(3 * N**-0.45), fit(train), threshold=0.005)
    assert found.details["verdict"] == "data_limited"
    assert found.low + train[0] == pytest.approx(found.details["test_error"], abs=0.02)


def test_a_flat_test_error_is_not_saturated_while_the_train_error_still_moves():
    flat = fit(0.2 + 5 * N**-1.5)
    assert limit(flat, fit(0.1 * (N / N[-1]) ** 0.6), threshold=0.05).details["verdict"] == "open"
    assert limit(flat, fit(0.1 + 0.001 * (N / N[-1]) ** 0.6), threshold=0.05).details["verdict"] == "saturated"
