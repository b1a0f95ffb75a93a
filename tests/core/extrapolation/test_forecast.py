import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from scaling.core.errors import DataError
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.forecast import heaviest, mixture_quantiles
from scaling.core.extrapolation.gate import learned

examples = settings(max_examples=40, deadline=None, derandomize=True, database=None)
N = 100 * 2.0 ** np.arange(8)
errors = st.lists(st.floats(0, 1), min_size=1, max_size=7)
losses = st.lists(st.floats(0, 1000), min_size=1, max_size=7)


def power_law(n, a=0.05, b=2.0, c=0.5):
    return a + b * n**-c


def bounds(made):
    return np.array([made.lower90, made.lower50, made.error, made.upper50, made.upper90])


@examples
@given(st.one_of(errors, losses), st.floats(-6, 10))
def test_bounds_are_in_order_and_within_what_is_possible(values, octaves):
    fitted = forecast(N[: len(values)], values)
    found = bounds(fitted.predict(N[len(values) - 1] * 2.0 ** np.array([octaves, 1, 60])))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=0) >= -1e-12).all()
    assert found.min() >= 0
    if max(values) <= 1:
        assert found.max() <= 1


@examples
@given(errors, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_bit(values, random):
    n = np.repeat(N, 2)[: len(values)]
    order = list(range(len(values)))
    random.shuffle(order)
    one = forecast(n, values).predict(2 * N)
    two = forecast(n[order], np.array(values)[order]).predict(2 * N)
    np.testing.assert_array_equal(bounds(one), bounds(two))


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_many_repeats_changes_no_bit(seed):
    rng = np.random.default_rng(seed)
    n = np.repeat(N[:4], 7)
    values, order = power_law(n) + rng.uniform(0, 0.05, 28), rng.permutation(28)
    one, two = forecast(n, values).predict(2 * N), forecast(n[order], values[order]).predict(2 * N)
    np.testing.assert_array_equal(bounds(one), bounds(two))


@examples
@given(st.lists(st.floats(1e-3, 1), min_size=3, max_size=7), st.lists(st.floats(0.1, 1e5), min_size=1, max_size=40))
def test_other_targets_change_no_bit(values, targets):
    fitted = forecast(N[: len(values)], values)
    together = bounds(fitted.predict(targets))
    apart = np.concatenate([bounds(fitted.predict(target)) for target in targets], axis=1)
    np.testing.assert_array_equal(together, apart)


@examples
@given(st.lists(st.floats(0.02, 0.9), min_size=3, max_size=7), st.sampled_from([0, 0.02]))
def test_intervals_widen_with_the_distance(values, noise):
    fitted = forecast(N[: len(values)], values, np.full(len(values), noise) if noise else None)
    levels = fitted.quantiles(fitted.observations.largest * 2.0 ** np.arange(0, 7), [0.05, 0.25, 0.75, 0.95])
    u = fitted.observations.to_log(levels)
    free = (levels[:, -1] < 1) & (levels[:, 0] > 0)  # where the possible ends, nothing widens
    for low, high in ((0, 3), (1, 2)):
        width = u[:, high] - u[:, low]
        assert (np.diff(width)[free[1:]] > -1e-6).all()


def test_the_unit_of_a_loss_changes_nothing_but_the_unit():
    values = np.array([8.0, 6.0, 5.0, 4.4])
    one, ten = (forecast(N[:4], values * unit).predict(2 * N) for unit in (1, 16))
    np.testing.assert_allclose(16 * bounds(one), bounds(ten), rtol=1e-9)


def test_the_unit_of_n_matters_little():
    one, million = (forecast(N[:4] * unit, power_law(N[:4])).predict(4 * N * unit).error for unit in (1, 1e6))
    np.testing.assert_allclose(one, million, rtol=0.35)


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 1.0, 0.3), (0.05, 2.0, 0.5), (0.1, 1.0, 0.25), (0.0, 3.0, 0.5)])
def test_a_power_law_with_asymptote_is_continued(a, b, c):
    made = forecast(N, power_law(N, a, b, c)).predict(N[-1] * np.array([2, 4, 8]))
    truth = power_law(made.n, a, b, c)
    assert made.error == pytest.approx(truth, rel=0.15)
    assert ((made.lower90 <= truth) & (truth <= made.upper90)).all()


def test_a_dense_curve_is_continued():
    n = np.geomspace(1e3, 1e6, 300)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.01, 300))
    made = forecast(n, power_law(n, 0.1, 3.0, 0.3) * noise).predict([1.5e6, 2e6])
    assert made.error == pytest.approx(power_law(made.n, 0.1, 3.0, 0.3), rel=0.03)


def test_measured_points_are_met_where_they_are_precise():
    values = power_law(N)
    made = forecast(N, values, np.full(8, 1e-4)).predict(N)
    assert made.error == pytest.approx(values, rel=0.05)


def test_more_noise_means_wider_intervals():
    narrow, wide = (forecast(N[:5], power_law(N[:5]), np.full(5, s)).predict(4 * N[4]) for s in (0.001, 0.03))
    assert wide.upper90 - wide.lower90 > 1.2 * (narrow.upper90 - narrow.lower90)


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ([0.3], ("few_sizes",)),
        ([0.5, 0.3], ("few_sizes",)),
        ([0.3] * 4, ("flat",)),
        ([0.0] * 4, ("flat", "zero_error")),
        ([2.0, 2.0, 2.0], ("loss", "flat")),
    ],
)
def test_what_shows_no_trend_is_answered_by_a_wide_constant(values, flags):
    fitted = forecast(N[: len(values)], values)
    made = fitted.predict(N[len(values) - 1] * np.array([2.0, 8.0]))
    assert (fitted.form, fitted.flags) == ("constant", flags)
    assert made.error.tolist() == pytest.approx([values[-1]] * 2, abs=1e-12)
    width = made.upper90 - made.lower90
    assert 0 < width[0] < width[1]
    assert width[1] > 0.5 * values[-1]


@pytest.mark.parametrize(("values", "flag"), [([0.5, 0.3, 0.2, 0.4], "rises"), ([0.5, 0.3, 0.45, 0.2], "peaks")])
def test_ill_behaved_curves_are_flagged(values, flag):
    assert flag in forecast(N[:4], values, [0.005] * 4).flags
    assert flag not in forecast(N[:4], values, [0.3] * 4).flags


def test_quantiles_are_those_of_the_predictions():
    fitted = forecast(N[:4], power_law(N[:4]))
    made, found = fitted.predict([1e4]), fitted.quantiles([1e4], [0.05, 0.25, 0.75, 0.95])
    expected = [made.lower90, made.lower50, made.upper50, made.upper90]
    assert found[0] == pytest.approx(np.concatenate(expected), rel=1e-6)


def test_paths_agree_with_the_quantiles():
    fitted = forecast(N[:5], power_law(N[:5]))
    ahead = N[4] * np.array([2.0, 4.0])
    drawn = np.median(fitted.paths(ahead), axis=0)
    assert drawn == pytest.approx(fitted.quantiles(ahead, [0.5])[:, 0], rel=0.03)
    np.testing.assert_array_equal(fitted.paths(ahead), fitted.paths(ahead))


def test_quantiles_of_a_mixture_are_where_its_distribution_says():
    rng = np.random.default_rng(0)
    mean, deviation, weights = rng.normal(size=(2, 5)), rng.uniform(0.1, 1, (2, 5)), rng.dirichlet(np.ones(5))
    levels = np.array([0.05, 0.5, 0.9])
    found = mixture_quantiles(mean, deviation, weights, levels)
    mass = (weights * norm.cdf((found[:, :, None] - mean[:, None]) / deviation[:, None])).sum(-1)
    assert mass == pytest.approx(np.broadcast_to(levels, (2, 3)), abs=1e-6)


def test_the_heaviest_experts_are_kept_in_order():
    assert heaviest(np.array([0.001, 0.5, 0.0005, 0.4985])).tolist() == [1, 3]


def test_calibration_keeps_the_middle_and_the_order():
    levels = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
    mapped = learned().calibrated(levels)
    assert mapped[3] == 0.5
    assert (np.diff(mapped) > 0).all()
    assert mapped == pytest.approx(1 - mapped[::-1])


@pytest.mark.parametrize("values", [[0.3, 0.1, 0.02, 0], [0.4, 0.3, 0.2, 0.1, 0.05, 0], [30, 12, 3, 0]])
def test_a_curve_that_ends_without_error_keeps_room_above_it(values):
    fitted = forecast(N[: len(values)], values)
    assert "ends_in_zero" in fitted.flags
    made = fitted.predict(N[len(values) - 1] * np.array([2, 8]))
    assert (made.upper90 > 0.01 * fitted.observations.scale).all()
    assert made.upper90[0] < made.upper90[1]


def test_values_below_1_may_be_those_of_a_loss():
    values = np.array([0.8, 0.85, 0.92, 0.97])
    loss, rate = (forecast(N[:4], values, bounded=bounded).predict(8 * N[3:4]).upper90 for bounded in (False, True))
    assert rate <= 1 < loss
    with pytest.raises(DataError, match=r"between 0 and 1; got 1\.5"):
        forecast(N[:2], [1.5, 0.2], bounded=True)


def test_losses_of_any_size_end_in_numbers():
    for values in ([1e99, 1, 1e-99], [1e99, 2e99, 1e99, 9e98]):
        made = forecast(N[[0, 0, 1, 2]][: len(values)] if len(values) == 4 else N[:3], values).predict(4 * N[:4])
        assert np.isfinite([made.error, made.lower90, made.upper90]).all()


def test_the_largest_n_of_a_dense_curve_is_the_one_that_was_given():
    n = np.arange(1, 501)
    observations = forecast(n, 0.5 * n**-0.4).observations
    assert observations.largest < observations.top == 500


def test_an_error_that_goes_up_as_a_whole_is_flagged_as_an_accuracy_would_be():
    accuracies = np.array([0.80, 0.84, 0.865, 0.88, 0.89])
    for bounded, whole in ((None, 1), (True, 1), (None, 100)):
        assert "rises_overall" in forecast(N[:5], whole * accuracies, bounded=bounded).flags
        assert "rises_overall" not in forecast(N[:5], whole * (1 - accuracies), bounded=bounded).flags
    assert forecast(N[:2], [0.3, 0.5]).flags == ("few_sizes", "rises", "rises_overall")
    repeats = np.repeat(N[:3], 2)
    assert "rises_overall" in forecast(repeats, [0.5, 0.52, 0.6, 0.61, 0.7, 0.68]).flags
    assert "rises_overall" not in forecast(repeats, [0.3, 0.7, 0.31, 0.7, 0.32, 0.7]).flags
