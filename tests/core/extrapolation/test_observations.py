import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core.errors import DataError
from scaling.core.extrapolation.observations import MOST_SIZES, observe, variance_model

examples = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def test_repeats_become_means_with_the_variance_of_a_mean():
    seen = observe([200, 100, 100, 200], [0.3, 0.4, 0.6, 0.1])
    assert seen.n.tolist() == [100, 200]
    assert seen.error.tolist() == [0.5, 0.2]
    assert seen.repeats.tolist() == [2, 2]
    assert seen.measured
    # Both sizes scatter by a variance of 0.02, which a mean of two halves.
    assert seen.variance == pytest.approx([0.01, 0.01], rel=0.2)


def test_standard_errors_are_taken_as_they_are_and_missing_ones_from_the_largest():
    seen = observe([100, 200, 400], [0.5, 0.4, 0.3], [0.02, np.nan, 0.01])
    assert seen.variance == pytest.approx([4e-4, 4e-4, 1e-4])
    assert seen.run_variance == pytest.approx(1e-4)


def test_the_variance_model_recovers_both_of_its_laws():
    rng = np.random.default_rng(0)
    sizes, freedom = np.array([100.0, 1000.0, 10000.0]), np.array([400, 400, 400])
    for law in (lambda n: 4e-4 + 0 * n, lambda n: 0.09 / n):
        squared = np.array([law(n) * rng.chisquare(f) for n, f in zip(sizes, freedom, strict=True)])
        v0, v1 = variance_model(sizes, squared, freedom)
        assert v0 + v1 / sizes == pytest.approx(law(sizes), rel=0.25)


def test_equal_repeats_have_no_variance():
    assert variance_model(np.array([10.0]), np.array([0.0]), np.array([3])) == (0.0, 0.0)


def test_values_above_one_make_a_loss_with_a_scale_of_its_own():
    seen = observe([10, 20, 40], [3.0, 2.0, 1.0])
    assert not seen.bounded
    assert seen.limit == float("inf")
    assert seen.scale == 1.0
    assert observe([10, 20], [1.0, 0.5]).bounded


@examples
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.5, 1e9))
def test_the_log_scale_leads_there_and_back(errors, unit):
    seen = observe(unit * np.arange(1, len(errors) + 1), errors)
    assert seen.to_error(seen.u) == pytest.approx(seen.error, abs=1e-12)
    assert seen.x[-1] == 0
    assert np.all(seen.x <= 0)


def test_dense_curves_are_averaged_and_keep_their_range():
    n = np.geomspace(10, 1e6, 1000)
    seen = observe(n, n**-0.1)
    assert 30 < len(seen.n) <= MOST_SIZES
    assert seen.count.sum() == 1000
    assert seen.error == pytest.approx(seen.n**-0.1, rel=1e-3)


@pytest.mark.parametrize(
    ("n", "error", "stderr", "message"),
    [
        ([], [], None, "expected equal"),
        ([1, 2], [0.1], None, "expected equal"),
        ([0, 2], [0.1, 0.1], None, "n must lie above 0"),
        ([1, np.inf], [0.1, 0.1], None, "n must lie above 0"),
        ([1, 2], [0.1, -0.1], None, "not negative"),
        ([1, 2], [0.1, np.nan], None, "must be finite"),
        ([1, 2], [0.1, 0.1], [0.1, -1], "not negative"),
    ],
)
def test_what_no_curve_can_have_is_refused(n, error, stderr, message):
    with pytest.raises(DataError, match=message):
        observe(n, error, stderr)
