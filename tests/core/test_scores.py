import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score, recall_score

from scaling.core.scores import Predictions, Score, at_chance, class_recalls, macro_f1, score, wilson_interval

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
    result = score(predictions([0, 1], [0, 1]), predictions([0, 1, 0, 1], [0, 0, 0, 0]), ("a", "b"))
    assert (result.train_accuracy, result.test_accuracy) == (1.0, 0.5)
    assert result.upgradeability == -0.5
    assert result.metrics()["upgradeability"] == -0.5


def test_nll_is_the_mean_negative_natural_logarithm_of_the_true_class():
    result = score(predictions([0, 1], [0, 1], [0.5, 0.25]), predictions([0], [0], 0.1), ("a", "b"))
    assert result.details["train/nll"] == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert result.details["test/nll"] == pytest.approx(np.log(10))


def test_nll_is_averaged_in_double_precision():
    many = 1_000_000
    part = Predictions(np.zeros(many, int), np.zeros(many, int), np.full(many, -0.1, np.float32))
    assert score(part, part, ("a",)).details["test/nll"] == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_top5_accuracy_is_given_where_there_are_more_outputs_than_that():
    train = predictions([0], [0])
    test = predictions([0, 1, 1, 0], [0, 1, 0, 1], in_top_k=[True, True, True, False])
    assert score(train, test, ("a", "b")).details["test/top5_accuracy"] == 0.75
    assert "test/top5_accuracy" not in score(train, predictions([0, 1], [0, 1]), ("a", "b")).details


def test_predictions_outside_the_classes_are_wrong_and_nothing_else():
    labels, predicted = [0, 0, 1, 1], [0, 999, 1, 7]
    result = score(predictions([0], [3]), predictions(labels, predicted), ("a", "b"))
    assert (result.train_accuracy, result.test_accuracy) == (0.0, 0.5)
    assert result.details["test/balanced_accuracy"] == 0.5
    assert result.details["test/macro_f1"] == pytest.approx(2 / 3)


def test_each_class_has_its_accuracy_by_name_but_for_absent_ones():
    details = score(predictions([0], [0]), predictions([0, 0, 2], [0, 2, 2]), ("cat", "dog", "owl")).details
    by_class = {key: value for key, value in details.items() if key.startswith("test/class_accuracy/")}
    assert by_class == {"test/class_accuracy/cat": 0.5, "test/class_accuracy/owl": 1.0}
    assert details["test/balanced_accuracy"] == 0.75


def test_the_interval_is_of_the_test_accuracy_and_n_of_the_training_samples():
    result = score(predictions([0] * 7, [0] * 7), predictions([0] * 10, [0] * 9 + [1]), ("a", "b"))
    assert (result.test_accuracy_low, result.test_accuracy_high) == wilson_interval(9, 10)
    assert result.n == 7


def test_metrics_are_logged_under_names_that_stay():
    metrics = Score(0.9, 0.8, 0.7, 0.85, 10, {"test/nll": 1.5}).metrics()
    assert metrics == {
        "train/accuracy": 0.9, "test/accuracy": 0.8, "test/accuracy_low": 0.7, "test/accuracy_high": 0.85,
        "upgradeability": pytest.approx(-0.1), "n": 10.0, "test/nll": 1.5,
    }  # fmt: skip


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
    details = score(train, predictions([0, 1], [1, 0]), ["a", "b"]).details
    assert details["train/balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert details["train/macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)


@pytest.mark.parametrize(("correct", "flagged"), [(0, True), (50, True), (55, True), (70, False), (100, False)])
def test_an_accuracy_that_the_largest_class_explains_is_at_chance(correct, flagged):
    labels = np.repeat([0, 1], [50, 50])
    predicted = np.where(np.arange(100) < correct, labels, 1 - labels)
    test = Predictions(labels, predicted, np.zeros(100, np.float32))
    assert bool(at_chance(score(test, test, ["a", "b"]), labels)) == flagged


def test_what_is_said_of_chance_names_both_accuracies():
    test = Predictions(np.array([0, 0, 0, 1]), np.zeros(4, int), np.zeros(4, np.float32))
    said = at_chance(score(test, test, ["a", "b"]), test.labels)
    assert said == "test accuracy 0.7500 is at chance: always the largest class gives 0.7500"


@pytest.mark.parametrize(("tested", "right", "needed"), [(20, 13, 43), (100, 55, 385), (12, 8, 35)])
def test_an_accuracy_above_chance_that_few_test_samples_cannot_tell_from_it_says_how_many_would(tested, right, needed):
    labels = np.repeat([0, 1], tested // 2)
    predicted = np.where(np.arange(tested) < right, labels, 1 - labels)
    test = Predictions(labels, predicted, np.zeros(tested, np.float32))
    said = at_chance(score(test, test, ["a", "b"]), labels)
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
