import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core.errors import SettingError
from scaling.metrics import Metric, metric_of
from scaling.metrics.base import Measures, grouped, interval, over_groups, score
from scaling.metrics.classification import Predictions, measure, scored

examples = settings(max_examples=30, deadline=None, derandomize=True, database=None)
CLASSES = ("a", "b", "c", "d")
NAMES = ("test/accuracy", "test/balanced_accuracy", "test/macro_f1", "test/nll")


def predictions(seed=0, m=300, classes=4, right=0.7):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.choice(classes, m - classes, p=[0.6, 0.2, 0.15, 0.05])])
    predicted = np.where(rng.random(m) < right, labels, rng.integers(0, classes + 1, m))
    return Predictions(labels, predicted, np.log(rng.uniform(0.01, 1, m)).astype(np.float32))


def logged(test, name):
    return scored(test, test, CLASSES).metrics()[name]


@examples
@given(st.integers(0, 10_000), st.sampled_from(NAMES))
def test_the_values_of_the_samples_have_the_logged_metric_as_their_mean(seed, name):
    test = predictions(seed)
    values = measure(test, CLASSES).samples[metric_of(name).name]
    assert values.shape == test.labels.shape
    assert values.mean(dtype=np.float64) == pytest.approx(logged(test, name), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_their_variance_is_that_of_the_bootstrap_over_test_samples(name):
    test, rng = predictions(3, m=400), np.random.default_rng(0)

    def again():
        i = rng.integers(0, 400, 400)
        return logged(Predictions(test.labels[i], test.predicted[i], test.log_prob[i]), name)

    bootstrap = np.std([again() for _ in range(600)])
    closed = measure(test, CLASSES).samples[metric_of(name).name].std(dtype=np.float64) / np.sqrt(400)
    # 600 resamples tell a standard deviation to 3 %; macro-F1 and balanced accuracy are only smooth, not linear.
    assert closed == pytest.approx(bootstrap, rel=0.12)


def test_what_predictions_do_not_tell_has_no_values():
    assert measure(predictions(), CLASSES).samples.keys() == {metric_of(name).name for name in NAMES}


@pytest.mark.parametrize(
    ("name", "logged_as", "title", "bounded"),
    [
        ("test/accuracy", "test/accuracy", "test accuracy", True),
        ("balanced_accuracy", "test/balanced_accuracy", "test balanced accuracy", True),
        ("nll", "test/nll", "test negative log-likelihood", False),
        ("test/class_accuracy/cat/dog", "test/class_accuracy/cat/dog", "test accuracy on class cat/dog", True),
    ],
)
def test_a_metric_knows_its_direction(name, logged_as, title, bounded):
    metric = metric_of(name)
    assert (metric.key, metric.words, metric.bounded, metric.higher_is_better) == (logged_as, title, bounded, bounded)
    assert metric.value(metric.error(0.3)) == pytest.approx(0.3)
    assert metric.error(0.3) == pytest.approx(0.7 if bounded else 0.3)
    assert metric.train_key.startswith("train/")


@pytest.mark.parametrize("name", ["n", "upgradeability", "memory/peak_bytes", "test/class_accuracy", "test/nll/x", ""])
def test_what_is_no_metric_of_a_curve_is_refused(name):
    with pytest.raises(SettingError, match=r"(?s)metric=.*There are: test/accuracy, .*test/nll"):
        metric_of(name)


def test_values_over_groups_keep_the_mean_and_take_the_variance_of_groups():
    rng = np.random.default_rng(0)
    values, groups = rng.random(300), np.array([f"g{i}" for i in rng.integers(0, 40, 300)])
    found = over_groups(values, groups)
    assert found.mean() == pytest.approx(values.mean())
    sums = np.array([(values - values.mean())[groups == name].sum() for name in np.unique(groups)])
    variance = len(sums) / (len(sums) - 1) * (sums**2).sum() / 300**2
    assert found.var(ddof=1) / 300 == pytest.approx(variance)
    other = rng.random(300)
    np.testing.assert_allclose(over_groups(values - other, groups), found - over_groups(other, groups), atol=1e-12)


def test_each_sample_a_group_changes_nothing():
    values = np.random.default_rng(0).random(50)
    np.testing.assert_allclose(over_groups(values, np.arange(50)), values, rtol=1e-3)


def test_intervals_over_groups_hold_the_truth_where_those_over_samples_do_not():
    rng, over, plain = np.random.default_rng(0), 0, 0
    metric, groups = Metric("accuracy", "accuracy", counts=True), np.repeat(np.arange(40), 25)
    for _ in range(400):
        right = (rng.random(1000) < np.repeat(rng.beta(4, 1, 40), 25)).astype(float)  # 0.8 on the mean
        for low, high, kind in (
            (*interval(over_groups(right, groups), metric), "over"), (*interval(right, metric), "plain"),
        ):  # fmt: skip
            over += kind == "over" and low <= 0.8 <= high
            plain += kind == "plain" and low <= 0.8 <= high
    assert 0.91 <= over / 400 <= 0.98
    assert plain / 400 < 0.75


def test_a_score_over_groups_has_no_interval_that_is_not():
    metrics = (Metric("accuracy", "accuracy", counts=True), Metric("part/", "part"))
    right = np.array([1, 1, 0, 0, 1, 1, 1, 0.0])
    test = Measures({"accuracy": 0.625}, {"accuracy": right, "part/a": right[:3]}, {"accuracy": (0.3, 0.9)})
    found = score(Measures({"accuracy": 1.0}), test, 4, metrics)
    over = grouped(found, np.array(list("aabbccdd")), metrics)
    assert set(over.intervals) == set(over.samples) == {"accuracy"}
    assert over.intervals["accuracy"] == interval(over.samples["accuracy"], metrics[0]) != (0.3, 0.9)
    assert grouped(found, np.array(list("aaaaaaaa")), metrics).intervals == {}
