"""Metrics of several labels a sample, against scikit-learn's and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from scaling.core.errors import SettingError
from scaling.metrics import metric_of, primary_metric
from scaling.metrics.multilabel import METRICS, Predictions, at_chance, measure, scored

NAMES = ("cat", "dog", "owl", "fox")


def predictions(seed=0, m=300, k=4, skill=1.5, digits=1):
    """Labels from rare to frequent, rows without any among them, and logits that tell something, with ties."""
    rng = np.random.default_rng(seed)
    has = rng.random((m, k)) < [0.05, 0.2, 0.4, 0.7][:k]
    has[0] = True
    logits = np.round(rng.normal(size=(m, k)) + skill * (has - 0.5), digits)
    return Predictions(has.astype(np.uint8), -np.logaddexp(0, -logits).astype(np.float32))


def again(found, places):
    return Predictions(found.labels[places], found.log_probs[places])


@pytest.mark.parametrize("seed", range(3))
def test_values_equal_scikit_learns(seed):
    found = predictions(seed)
    values, has, scores = measure(found, NAMES).values, found.labels, found.log_probs
    predicted = scores > np.log(0.5)
    assert values["average_precision"] == pytest.approx(average_precision_score(has, scores, average="macro"), abs=1e-9)
    assert values["auroc"] == pytest.approx(roc_auc_score(has, scores, average="macro"), abs=1e-9)
    assert values["micro_f1"] == pytest.approx(f1_score(has, predicted, average="micro"), abs=1e-9)
    assert values["macro_f1"] == pytest.approx(f1_score(has, predicted, average="macro", zero_division=0), abs=1e-9)
    assert values["label_accuracy"] == pytest.approx((has == predicted).mean(), abs=1e-9)
    assert values["brier"] == pytest.approx(((np.exp(scores) - has) ** 2).mean(), abs=1e-6)
    losses = [log_loss(has[:, c], np.exp(scores[:, c], dtype=float)) for c in range(4)]
    assert values["nll"] == pytest.approx(np.mean(losses), abs=1e-6)
    for c, name in enumerate(NAMES):
        expected = average_precision_score(has[:, c], scores[:, c])
        assert values[f"average_precision/{name}"] == pytest.approx(expected, abs=1e-9)
        assert values[f"auroc/{name}"] == pytest.approx(roc_auc_score(has[:, c], scores[:, c]), abs=1e-9)


@pytest.mark.parametrize(
    "name", ["average_precision", "auroc", "micro_f1", "macro_f1", "nll", "brier", "average_precision/owl", "auroc/dog"]
)
def test_the_values_of_samples_have_the_metric_as_mean_and_the_bootstraps_variance(name):
    found, rng = predictions(2, m=500), np.random.default_rng(0)
    whole = measure(found, NAMES)
    assert whole.samples[name].mean(dtype=float) == pytest.approx(whole.values[name], abs=1e-9)
    resampled = [measure(again(found, rng.integers(0, 500, 500)), NAMES).values[name] for _ in range(250)]
    # 250 resamples tell a standard deviation to 4.5 %; the precision of a label with 25 positives is hardly linear.
    assert whole.samples[name].std(dtype=float) / np.sqrt(500) == pytest.approx(np.std(resampled), rel=0.2)


def test_every_metric_but_those_of_labels_has_a_value_and_an_interval():
    found = scored(predictions(1), predictions(2), NAMES)
    names = {metric.name for metric in METRICS if not metric.name.endswith("/")}
    assert names <= found.test.keys()
    assert names == found.train.keys()
    for name in [*names, "auroc/cat", "average_precision/fox"]:
        low, high = found.intervals[name]
        assert low < found.test[name] < high
    assert found.metric == "average_precision"
    assert found.test_score == pytest.approx(predictions(2).primary)
    assert found.n == 300


def test_a_label_that_no_sample_has_counts_in_no_mean_over_labels():
    found = predictions()
    has = found.labels.copy()
    has[:, 0] = 0
    values, rest = (
        measure(Predictions(has, found.log_probs), NAMES).values,
        measure(Predictions(has[:, 1:], found.log_probs[:, 1:]), NAMES[1:]).values,
    )
    for name in ("average_precision", "auroc", "macro_f1"):
        assert values[name] == pytest.approx(rest[name])
    assert "average_precision/cat" not in values
    assert "auroc/cat" not in values
    assert values["brier"] != pytest.approx(rest["brier"])  # that it is nowhere can be told well or badly


def test_without_any_label_there_is_no_score_and_f1_is_0():
    nothing = Predictions(np.zeros((5, 4), np.uint8), np.full((5, 4), -3, np.float32))
    values = measure(nothing, NAMES).values
    assert np.isnan(values["average_precision"])
    assert np.isnan(nothing.primary)
    assert values["micro_f1"] == 0
    assert "macro_f1" not in values
    assert np.isnan(scored(nothing, predictions(), NAMES).train_score)


def test_losses_stay_numbers_where_probabilities_are_rounded():
    sure = Predictions(np.array([[0, 1]], np.uint8), np.array([[0.0, -200.0]], np.float32))
    assert sure.finite
    assert sure.log_loss == pytest.approx((103.28 + 200) / 2, abs=0.01)
    assert not Predictions(np.array([[0]], np.uint8), np.array([[np.nan]], np.float32)).finite


def test_what_is_kept_tells_the_primary_metric():
    found = predictions(4)
    kept = found.kept()
    assert {name: array.dtype for name, array in kept.items()} == {
        "labels": np.uint8, "predicted": np.uint8, "log_probs": np.float32,
    }  # fmt: skip
    assert average_precision_score(kept["labels"], kept["log_probs"], average="macro") == pytest.approx(found.primary)


def test_parts_and_shares_join_by_rows():
    found = predictions(m=7)
    parts = Predictions.concatenate([again(found, slice(0, 4)), again(found, slice(4, 7))])
    woven = Predictions.interleaved([again(found, slice(0, None, 2)), again(found, slice(1, None, 2))])
    for joined in (parts, woven):
        np.testing.assert_array_equal(joined.labels, found.labels)
        np.testing.assert_array_equal(joined.log_probs, found.log_probs)


def test_scores_that_say_nothing_are_at_chance():
    test = predictions(5, m=200, skill=0)
    said = at_chance(scored(test, test, NAMES), test.labels)
    base_rates = average_precision_score(test.labels, np.zeros(test.labels.shape), average="macro")
    assert f"the base rates of the labels give {base_rates:.4f}" in said
    good = predictions(5, m=200, skill=4)
    assert at_chance(scored(good, good, NAMES), good.labels) == ""


def test_metrics_are_found_by_the_family_of_their_primary_one():
    assert metric_of("brier", ["average_precision"]).bounds == (0.0, 1.0)
    assert metric_of("brier", ["accuracy"]).bounds == (0.0, 2.0)
    assert primary_metric("average_precision").title == "macro average precision"
    assert metric_of("test/auroc/cat", ["average_precision"]).words == "test AUROC of label cat"
    with pytest.raises(SettingError, match=r"(?s)metric=accuracy: .*There are: test/average_precision, test/auroc"):
        metric_of("accuracy", ["average_precision"])
