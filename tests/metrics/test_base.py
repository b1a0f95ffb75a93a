import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core.errors import SettingError
from scaling.metrics import metric_of
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
