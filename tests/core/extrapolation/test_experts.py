import numpy as np
import pytest
from scipy.integrate import dblquad

from scaling.core.extrapolation.experts import EXPERTS, condition, covariance
from scaling.core.extrapolation.observations import observe

X = np.array([-3.0, -1.5, 0.0, 2.0])


@pytest.mark.parametrize(("smooth", "rate"), [(False, 0.5), (True, 0.5), (False, 1.5), (True, 0.15)])
def test_the_covariance_is_that_of_an_integrated_slope(smooth, rate):
    def correlation(s, t):
        z = rate * abs(s - t)
        return (1 + z * smooth) * np.exp(-z)

    found = covariance(smooth, rate, X, X)
    for a, b in ((-3.0, 2.0), (2.0, 2.0), (-1.5, -3.0)):
        expected, _ = dblquad(correlation, 0, a, 0, b, epsabs=1e-8)
        i, j = X.tolist().index(a), X.tolist().index(b)
        assert found[i, j] == pytest.approx(expected, abs=1e-6)


def test_a_covariance_has_no_negative_eigenvalue():
    for expert in EXPERTS:
        assert np.linalg.eigvalsh(covariance(expert.smooth, expert.rate, X, X)).min() > -1e-9


def test_a_prediction_is_the_textbooks():
    seen = observe([100, 200, 400, 800], [0.5, 0.4, 0.33, 0.28], [0.01] * 4)
    conditioned = condition(seen)
    number = 40
    expert, places = EXPERTS[number], np.array([1.0, 3.0])
    kernel = lambda a, b: 100 + expert.slope**2 * covariance(expert.smooth, expert.rate, a, b)  # noqa: E731
    noise = (expert.noise * expert.slope) ** 2
    inner = kernel(seen.x, seen.x) + np.diag(seen.u_variance + noise + 1e-9)
    across, drift = kernel(places, seen.x), expert.drift * expert.slope
    mean = seen.u[-1] + drift * places + across @ np.linalg.solve(inner, seen.u - seen.u[-1] - drift * seen.x)
    spread = kernel(places, places) - across @ np.linalg.solve(inner, across.T)
    found_mean, found_variance = conditioned.predict(places)
    assert found_mean[:, number] == pytest.approx(mean, abs=1e-6)
    assert found_variance[:, number] == pytest.approx(np.diag(spread) + noise, abs=1e-6)
    joint_mean, joint_spread = conditioned.joint(places)
    assert joint_mean[number] == pytest.approx(mean, abs=1e-6)
    assert joint_spread[number] == pytest.approx(spread, abs=1e-6)


def test_the_evidence_prefers_smooth_experts_on_a_power_law_and_rough_ones_on_noise():
    n = 100 * 2.0 ** np.arange(8)
    noisy = 0.3 * np.exp(np.random.default_rng(0).normal(0, 0.2, 8))
    noise = np.array([expert.noise * expert.slope for expert in EXPERTS])
    best = [noise[np.argmax(condition(observe(n, error)).evidence)] for error in (n**-0.3, noisy)]
    assert best[0] < 0.01 < 0.04 < best[1]
