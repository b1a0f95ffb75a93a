import numpy as np
import pytest
from benchmarks.baselines.forms import FORMS

from scaling.core.extrapolation.forms import fit_form, non_negative
from scaling.core.extrapolation.observations import observe

N = np.geomspace(100, 1e5, 24)
Z = N / N[-1]
CURVES = {
    "constant": 0.3 + 0 * Z,
    "power_law": 0.05 * Z**-0.35,
    "power_law_asymptote": 0.04 + 0.06 * Z**-0.4,
    "m4": (0.1 + 0.9 * 0.2 * Z**-0.8) / (1 + 0.2 * Z**-0.8),  # alpha = 1
    "bnsl": 0.02 + 0.1 * Z**-0.1 * (1 + (Z / 2**-3) ** (1 / 0.4)) ** (-0.5 * 0.4),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_finds_its_own_curve(name):
    fit = fit_form(FORMS[name], observe(N, CURVES[name]))
    assert fit.predict(N) == pytest.approx(CURVES[name], rel=0.02)
    ahead = fit.predict(2 * N[-1:])
    assert 0 < ahead[0] <= CURVES[name][-1] + 1e-9


def test_parameters_are_recovered():
    fit = fit_form(FORMS["power_law_asymptote"], observe(N, CURVES["power_law_asymptote"]))
    assert fit.parameters["c"] == pytest.approx(0.4, abs=1e-3)
    assert fit.coefficients == pytest.approx((0.04, 0.06), abs=1e-4)


def test_m4_solves_its_equation():
    fit = fit_form(FORMS["m4"], observe(N, CURVES["m4"]))
    low, high = fit.coefficients
    c, log2_b, alpha = fit.parameters.values()
    share = (fit.predict(N) - low) / (high - low)
    assert share / (1 - share) ** alpha == pytest.approx(2**log2_b * Z**-c, rel=1e-6)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("values", [[0.5], [0.5, 0.9], [0.0, 0.0, 0.0], [0.9, 0.2, 0.8, 0.1], [5.0, 1.0, 9.0]])
def test_no_form_diverges(name, values):
    seen = observe(N[: len(values)], values)
    found = fit_form(FORMS[name], seen).predict(N[-1] * np.array([1e-3, 1.0, 1e3]))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= seen.limit).all()


def test_non_negative_least_squares_agrees_with_scipys():
    from scipy.optimize import nnls

    rng = np.random.default_rng(0)
    for _ in range(50):
        basis, y = rng.uniform(0, 1, (6, 2)), rng.normal(size=6)
        expected, distance = nnls(basis, y)
        found, loss = non_negative(basis, y)
        assert found == pytest.approx(expected, abs=1e-9)
        assert loss == pytest.approx(distance**2)
