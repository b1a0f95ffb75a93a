import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from scaling.metrics.classification import (
    Predictions,
    at_chance,
    class_recalls,
    macro_f1,
    measure,
    scored,
    wilson_interval,
)

examples = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def predictions(labels, predicted, probability=1.0, in_top_k=None):
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    log_prob = np.log(np.broadcast_to(probability, labels.shape)).astype(np.float32)
    return Predictions(labels, predicted, log_prob, None if in_top_k is None else np.asarray(in_top_k))


def random_labels(seed, classes, outputs):
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, 60), rng.integers(0, outputs, 60)


@examples
@given(st.integers(1, 20_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_equals_scipys(case):
    correct, total = case
    expected = binomtest(correct, total).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson_interval(correct, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # Newcombe (1998), Two-sided confidence intervals for the single proportion, Stat. Med. 17, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_equals_the_published_values(correct, total, low, high):
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("total", [1, 7, 10_000])
def test_wilson_interval_reaches_the_edges_exactly(total):
    assert wilson_interval(0, total)[0] == 0.0
    assert wilson_interval(total, total)[1] == 1.0


@pytest.mark.parametrize("outputs", [4, 9])
@pytest.mark.parametrize("seed", range(3))
def test_macro_f1_equals_scikit_learns(seed, outputs):
    labels, predicted = random_labels(seed, 4, outputs)
    expected = f1_score(labels, predicted, labels=range(4), average="macro", zero_division=0)
    assert macro_f1(labels, predicted, 4) == pytest.approx(expected)


def test_macro_f1_counts_a_class_that_nobody_has_or_claims_as_0():
    assert macro_f1([0, 1], [0, 1], classes=4) == 0.5


@pytest.mark.parametrize("outputs", [4, 9])
@pytest.mark.parametrize("seed", range(3))
def test_class_recalls_equal_scikit_learns(seed, outputs):
    labels, predicted = random_labels(seed, 4, outputs)
    expected = recall_score(labels, predicted, labels=range(4), average=None, zero_division=0)
    np.testing.assert_allclose(class_recalls(labels, predicted, 4), expected)


def test_the_recall_of_a_class_without_samples_is_nan():
    np.testing.assert_array_equal(class_recalls([0, 0, 2], [0, 1, 2], 4), [0.5, np.nan, 1.0, np.nan])


def test_upgradeability_is_test_minus_train():
    result = scored(predictions([0, 1], [0, 1]), predictions([0, 1, 0, 1], [0, 0, 0, 0]), ("a", "b"))
    assert (result.train_accuracy, result.test_accuracy) == (1.0, 0.5)
    assert result.upgradeability == -0.5
    assert result.metrics()["upgradeability"] == -0.5


def test_nll_is_the_mean_negative_natural_logarithm_of_the_true_class():
    result = scored(predictions([0, 1], [0, 1], [0.5, 0.25]), predictions([0], [0], 0.1), ("a", "b"))
    assert result.metrics()["train/nll"] == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert result.metrics()["test/nll"] == pytest.approx(np.log(10))


def test_nll_is_averaged_in_double_precision():
    many = 1_000_000
    part = Predictions(np.zeros(many, int), np.zeros(many, int), np.full(many, -0.1, np.float32))
    assert scored(part, part, ("a",)).metrics()["test/nll"] == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_top5_accuracy_is_given_where_there_are_more_outputs_than_that():
    train = predictions([0], [0])
    test = predictions([0, 1, 1, 0], [0, 1, 0, 1], in_top_k=[True, True, True, False])
    assert scored(train, test, ("a", "b")).metrics()["test/top5_accuracy"] == 0.75
    assert "test/top5_accuracy" not in scored(train, predictions([0, 1], [0, 1]), ("a", "b")).metrics()


def test_predictions_outside_the_classes_are_wrong_and_nothing_else():
    labels, predicted = [0, 0, 1, 1], [0, 999, 1, 7]
    result = scored(predictions([0], [3]), predictions(labels, predicted), ("a", "b"))
    assert (result.train_accuracy, result.test_accuracy) == (0.0, 0.5)
    assert result.metrics()["test/balanced_accuracy"] == 0.5
    assert result.metrics()["test/macro_f1"] == pytest.approx(2 / 3)


def test_each_class_has_its_accuracy_by_name_but_for_absent_ones():
    details = scored(predictions([0], [0]), predictions([0, 0, 2], [0, 2, 2]), ("cat", "dog", "owl")).metrics()
    by_class = {key: value for key, value in details.items() if key.startswith("test/class_accuracy/")}
    assert by_class == {"test/class_accuracy/cat": 0.5, "test/class_accuracy/owl": 1.0}
    assert details["test/balanced_accuracy"] == 0.75


def test_the_interval_is_of_the_test_accuracy_and_n_of_the_training_samples():
    result = scored(predictions([0] * 7, [0] * 7), predictions([0] * 10, [0] * 9 + [1]), ("a", "b"))
    assert result.intervals["accuracy"] == wilson_interval(9, 10)
    assert result.n == 7


def test_metrics_are_logged_under_names_that_stay():
    logged = scored(predictions([0, 1], [0, 0]), predictions([0, 1], [0, 1]), ("a", "b")).metrics()
    stable = {"train/accuracy": 0.5, "test/accuracy": 1.0, "upgradeability": 0.5, "n": 2.0}
    assert {name: logged[name] for name in stable} == stable
    assert (logged["test/accuracy_low"], logged["test/accuracy_high"]) == wilson_interval(2, 2)


def test_batches_join_in_order():
    joined = Predictions.concatenate(
        [predictions([0, 1], [0, 0], 0.5, [True, False]), predictions([2], [2], 0.25, [True])]
    )
    assert joined.labels.tolist() == [0, 1, 2]
    assert joined.predicted.tolist() == [0, 0, 2]
    np.testing.assert_allclose(joined.log_prob, np.log([0.5, 0.5, 0.25]), rtol=1e-6)
    assert joined.in_top_k is not None
    assert joined.in_top_k.tolist() == [True, False, True]


def test_batches_without_top_k_join_without_it():
    assert Predictions.concatenate([predictions([0], [0]), predictions([1], [1])]).in_top_k is None


def test_train_scores_are_those_of_the_train_predictions():
    train = predictions([0, 0, 0, 1], [0, 0, 1, 1])
    details = scored(train, predictions([0, 1], [1, 0]), ["a", "b"]).metrics()
    assert details["train/balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert details["train/macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)


@pytest.mark.parametrize(("correct", "flagged"), [(0, True), (50, True), (55, True), (70, False), (100, False)])
def test_an_accuracy_that_the_largest_class_explains_is_at_chance(correct, flagged):
    labels = np.repeat([0, 1], [50, 50])
    predicted = np.where(np.arange(100) < correct, labels, 1 - labels)
    test = Predictions(labels, predicted, np.zeros(100, np.float32))
    assert bool(at_chance(scored(test, test, ["a", "b"]), labels)) == flagged


def test_what_is_said_of_chance_names_both_accuracies():
    test = Predictions(np.array([0, 0, 0, 1]), np.zeros(4, int), np.zeros(4, np.float32))
    said = at_chance(scored(test, test, ["a", "b"]), test.labels)
    assert said == "test accuracy 0.7500 is at chance: always the largest class gives 0.7500"


def probabilities(seed, m=400, classes=3, digits=2):
    """Predictions with the probability of every class, ties among them."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.choice(classes, m - classes, p=[0.7, 0.2, 0.1])])
    given = np.round(rng.dirichlet(np.ones(classes), m) + 0.8 * np.eye(classes)[labels], digits) + 1e-3
    given /= given.sum(1, keepdims=True)
    logs = np.log(given).astype(np.float32)
    return Predictions(labels, given.argmax(1), logs[np.arange(m), labels], None, logs)


def again(found, places):
    return Predictions(
        found.labels[places], found.predicted[places], found.log_prob[places], None, found.log_probs[places]
    )


@pytest.mark.parametrize("seed", range(4))
def test_areas_and_precisions_equal_scikit_learns(seed):
    found = probabilities(seed)
    values, given = measure(found, ("a", "b", "c")).values, np.exp(found.log_probs.astype(float))
    one_hot = np.eye(3)[found.labels]
    # Ties are those of the float32 logarithms.
    assert values["auroc"] == pytest.approx(roc_auc_score(one_hot, found.log_probs, average="macro"), abs=1e-9)
    assert values["auroc/b"] == pytest.approx(roc_auc_score(one_hot[:, 1], found.log_probs[:, 1]), abs=1e-9)
    expected = average_precision_score(one_hot, found.log_probs, average="macro")
    assert values["average_precision"] == pytest.approx(expected, abs=1e-9)
    assert values["brier"] == pytest.approx(((given - one_hot) ** 2).sum(1).mean(), abs=1e-6)


@pytest.mark.parametrize("name", ["auroc", "auroc/c", "average_precision", "brier", "ece", "macro_f1"])
def test_the_values_of_samples_have_the_metric_as_mean_and_the_bootstraps_variance(name):
    found, rng, names = probabilities(2), np.random.default_rng(0), ("a", "b", "c")
    whole = measure(found, names)
    assert whole.samples[name].mean(dtype=np.float64) == pytest.approx(whole.values[name], abs=1e-6)
    resampled = [measure(again(found, rng.integers(0, 400, 400)), names).values[name] for _ in range(300)]
    closed = whole.samples[name].std(dtype=np.float64) / np.sqrt(400)
    # 300 resamples tell a standard deviation to 4 %; bins whose gap changes its sign make the ECE less smooth.
    assert closed == pytest.approx(np.std(resampled), rel=0.35 if name == "ece" else 0.15)


def test_the_calibration_error_is_that_of_its_bins():
    confidence, right = np.array([0.62, 0.64, 0.93, 0.95]), np.array([True, False, True, True])
    logs = np.log(np.stack([confidence, 1 - confidence], 1)).astype(np.float32)
    labels = np.where(right, 0, 1)
    found = measure(Predictions(labels, np.zeros(4, int), logs[np.arange(4), labels], None, logs), ("a", "b"))
    by_hand = (abs(1 - 0.62 - 0.64) + abs(2 - 0.93 - 0.95)) / 4
    assert found.values["ece"] == pytest.approx(by_hand, abs=1e-6)


def test_a_class_without_samples_has_no_area_and_counts_in_no_mean():
    logs = np.log(np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.4, 0.5, 0.1]], np.float32))
    labels = np.array([0, 1, 0])
    values = measure(Predictions(labels, logs.argmax(1), logs[[0, 1, 2], labels], None, logs), ("a", "b", "c")).values
    assert values["auroc"] == 1.0
    assert "auroc/c" not in values


def test_a_perfect_area_keeps_an_interval_and_classes_have_theirs():
    labels = np.tile([0, 1], 20)
    logs = np.log(np.where(labels[:, None] == [0, 1], 0.9, 0.1)).astype(np.float32)
    test = Predictions(labels, labels, logs[np.arange(40), labels], None, logs)
    logged = scored(test, test, ("a", "b")).metrics()
    assert logged["test/auroc"] == 1.0
    assert 0.8 < logged["test/auroc_low"] < 1 == logged["test/auroc_high"]
    assert logged["test/auroc/a_low"] == logged["test/auroc_low"]


def test_what_needs_all_probabilities_is_absent_without_them():
    assert "test/auroc" not in scored(predictions([0, 1], [0, 0]), predictions([0, 1], [0, 1]), ("a", "b")).metrics()


@pytest.mark.parametrize(("tested", "right", "needed"), [(20, 13, 43), (100, 55, 385), (12, 8, 35)])
def test_an_accuracy_above_chance_that_few_test_samples_cannot_tell_from_it_says_how_many_would(tested, right, needed):
    labels = np.repeat([0, 1], tested // 2)
    predicted = np.where(np.arange(tested) < right, labels, 1 - labels)
    test = Predictions(labels, predicted, np.zeros(tested, np.float32))
    said = at_chance(scored(test, test, ["a", "b"]), labels)
    expected = f"test accuracy {right / tested:.4f} can't be told from chance by {tested} test samples: "
    assert said.startswith(expected + "always the largest class gives 0.5000")
    assert "is at chance" not in said
    assert said.endswith(f"; about {needed} would do")
    assert wilson_bound(right / tested, needed) > 0.5 > wilson_bound(right / tested, needed - 1)


def wilson_bound(share, total):
    """Lower end of the interval of a share, for a number of samples that need not have it exactly."""
    z = 1.959963984540054
    half = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return (share + z**2 / (2 * total) - half) / (1 + z**2 / total)
