"""The vote against scikit-learn's and against brute force in double precision."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier

from scaling.adapt import knn
from scaling.adapt.base import Context, Subset
from scaling.adapt.knn import Knn
from scaling.core.errors import AdaptationError, SettingError
from scaling.core.reporter import SilentReporter
from scaling.datasets.base import Dataset, Split
from scaling.modalities.images import ArrayImages
from scaling.modalities.vectors import Vectors
from scaling.tasks import Multilabel

CLASSES = 4


class Rows:
    """Stands in for the feature provider."""

    def __init__(self, train, test):
        self.splits = {"train": train, "test": test}

    def rows(self, split, indices):
        return self.splits[split][indices]


def make_task(train, labels, test, test_labels, classes=CLASSES):
    def split(labels):
        return Split(ArrayImages(np.zeros((len(labels), 1, 1, 1), np.uint8)), labels)

    names = tuple("abcdefghij"[:classes])
    dataset = Dataset("toy", names, split(labels), split(test_labels), "toy", "here")
    trainer = {"accelerator": "cpu", "devices": 1}
    return Context(dataset, None, Rows(train, test), "32-true", trainer, SilentReporter())


def run(settings, train, labels, test=None, test_labels=None, indices=None):
    test, test_labels = (train, labels) if test is None else (test, test_labels)
    indices = np.arange(len(labels)) if indices is None else indices
    return settings.run(make_task(train, labels, test, test_labels), Subset(indices, labels[indices], 0))


def samples(n, d=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    return (rng.normal(size=(CLASSES, d))[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


def vote(distances, labels, k, weights):
    """Predict each row of distances by its k nearest columns; the smaller class wins a tie."""
    predicted = []
    for row in distances:
        nearest = np.argsort(row, kind="stable")[:k]
        weight = np.ones(len(nearest)) if weights == "uniform" else 1 / np.maximum(row[nearest], 1e-6)
        predicted.append(np.bincount(labels[nearest], weight, minlength=CLASSES).argmax())
    return np.array(predicted)


def leave_one_out(features, labels, k, metric, weights="uniform"):
    distances = pairwise_distances(features.astype(np.float64), metric=metric)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(vote(distances, labels, min(k, len(labels) - 1), weights) == labels))


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_predictions_equal_scikit_learns(k, metric, weights):
    (train, labels), (test, test_labels) = samples(40), samples(200, seed=1)
    outcome = run(Knn(k, metric, weights), train, labels, test, test_labels)
    reference = KNeighborsClassifier(k, metric=metric, weights=weights, algorithm="brute").fit(train, labels)
    np.testing.assert_array_equal(outcome.test.predicted, reference.predict(test))
    np.testing.assert_array_equal(outcome.train.predicted, reference.predict(train))
    np.testing.assert_array_equal(outcome.test.labels, test_labels)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_with_fewer_samples_than_k_all_of_them_vote(metric, weights):
    (train, labels), (test, test_labels) = samples(7), samples(50, seed=1)
    few, all_of_them = (run(Knn(k, metric, weights), train, labels, test, test_labels) for k in (500, 7))
    np.testing.assert_array_equal(few.test.predicted, all_of_them.test.predicted)
    np.testing.assert_array_equal(few.test.log_prob, all_of_them.test.log_prob)
    assert few.params == {"chosen.k": 7}


def test_only_the_subset_votes():
    (train, labels), (test, test_labels) = samples(60), samples(100, seed=1)
    indices = np.arange(0, 60, 3)
    outcome = run(Knn(3, "euclidean"), train, labels, test, test_labels, indices)
    reference = KNeighborsClassifier(3, algorithm="brute").fit(train[indices], labels[indices])
    np.testing.assert_array_equal(outcome.test.predicted, reference.predict(test))
    assert len(outcome.train.labels) == 20


def test_the_single_nearest_neighbour_of_a_training_sample_is_itself():
    assert run(Knn(1), *samples(50)).train.primary == 1.0


@pytest.mark.parametrize("k", [1, 4, 29, 500])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_leave_one_out_accuracy_equals_brute_force(k, metric, weights):
    features, labels = samples(30)
    got = run(Knn(k, metric, weights), features, labels).metrics["train/accuracy_leave_one_out"]
    assert got == leave_one_out(features, labels, k, metric, weights)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leave_one_out_keeps_the_twin_of_a_sample(k, metric):
    features, labels = samples(20)
    twice, labels = np.tile(features, (2, 1)), np.tile(labels, 2)
    got = run(Knn(k, metric), twice, labels).metrics["train/accuracy_leave_one_out"]
    assert got == leave_one_out(twice, labels, k, metric)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leave_one_out_leaves_out_the_sample_itself_not_its_twin_of_another_class(metric):
    features, _ = samples(20)
    outcome = run(Knn(1, metric), np.tile(features, (2, 1)), np.repeat([0, 1], 20))
    assert outcome.metrics["train/accuracy_leave_one_out"] == 0.0


@pytest.mark.parametrize("k", [1, 3, 11])
def test_leave_one_out_among_many_identical_rows_counts_k_others(k):
    features, labels = samples(40)
    features[:12], labels[:12] = features[0], 2  # more of them than votes: a sample may not see itself
    got = run(Knn(k, "euclidean"), features, labels).metrics["train/accuracy_leave_one_out"]
    assert got == leave_one_out(features, labels, k, "euclidean")


def test_two_samples_leave_each_other_out():
    features = np.eye(2, dtype=np.float32)
    assert run(Knn(5), features, np.array([0, 1])).metrics["train/accuracy_leave_one_out"] == 0.0
    assert run(Knn(5), features, np.array([1, 1])).metrics["train/accuracy_leave_one_out"] == 1.0


def test_one_sample_has_no_leave_one_out_accuracy():
    outcome = run(Knn(), np.ones((1, 3), np.float32), np.array([2]))
    assert outcome.metrics == {}
    assert outcome.train.predicted.tolist() == [2]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("elements", [1, 100])
def test_blocks_change_nothing(monkeypatch, metric, elements):
    (train, labels), (test, test_labels) = samples(40), samples(90, seed=1)
    whole = run(Knn(5, metric), train, labels, test, test_labels)
    monkeypatch.setattr(knn, "BLOCK_ELEMENTS", elements)
    parts = run(Knn(5, metric), train, labels, test, test_labels)
    assert parts.metrics == whole.metrics
    for one, other in ((parts.train, whole.train), (parts.test, whole.test)):
        np.testing.assert_array_equal(one.predicted, other.predicted)
        np.testing.assert_allclose(one.log_prob, other.log_prob, rtol=1e-6)


def test_log_probability_is_the_smoothed_share_of_votes():
    train, labels = np.array([[0.0], [0.1], [0.2], [9.0]], np.float32), np.array([0, 0, 1, 2])
    test, test_labels = np.zeros((4, 1), np.float32), np.arange(4)
    outcome = run(Knn(3, "euclidean", smoothing=2.0), train, labels, test, test_labels)
    votes = np.array([2, 1, 0, 0])
    np.testing.assert_allclose(np.exp(outcome.test.log_prob), (votes + 2.0 / 4) / (3 + 2.0), rtol=1e-6)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_probabilities_of_all_classes_sum_to_one(weights):
    (train, labels), (one, _) = samples(40), samples(1, seed=1)
    outcome = run(Knn(7, "euclidean", weights), train, labels, np.repeat(one, 4, axis=0), np.arange(4))
    assert np.exp(outcome.test.log_prob).sum() == pytest.approx(1, rel=1e-6)


def test_smoothing_changes_no_prediction():
    (train, labels), (test, test_labels) = samples(40), samples(90, seed=1)
    little, much = (run(Knn(5, smoothing=s), train, labels, test, test_labels).test for s in (1e-3, 50.0))
    np.testing.assert_array_equal(little.predicted, much.predicted)


def test_an_exact_match_outvotes_all_others_under_distance_weights():
    train = np.array([[1.0, 0.0], [1.0, 0.02], [1.0, -0.02]], np.float32)
    outcome = run(Knn(3, "euclidean", "distance"), train, np.array([0, 1, 1]), train[:1], np.array([0]))
    assert outcome.test.predicted.tolist() == [0]


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("k", 0, "positive whole number"),
        ("k", 1.5, "positive whole number"),
        ("k", True, "positive whole number"),
        ("metric", "manhattan", "one of cosine, euclidean"),
        ("weights", "rank", "one of uniform, distance"),
        ("smoothing", 0, "positive number"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_expected(setting, value, expected):
    with pytest.raises(SettingError) as error:
        Knn(**{setting: value})
    assert f"adaptation.{setting}={value}: expected" in str(error.value)
    assert expected in str(error.value)


@pytest.mark.parametrize("change", [{"k": 1}, {"metric": "euclidean"}, {"weights": "distance"}, {"smoothing": 0.5}])
def test_every_setting_counts_for_identity(change):
    assert Knn(**change).identity() != Knn().identity() == Knn(5, "cosine", "uniform", 1.0).identity()


def test_a_common_offset_of_the_features_does_not_disturb_euclidean_distances():
    (train, labels), (test, test_labels) = samples(200, d=64), samples(100, d=64, seed=1)
    train, test = train + np.float32(1000), test + np.float32(1000)
    outcome = run(Knn(5, "euclidean"), train, labels, test, test_labels)
    reference = KNeighborsClassifier(5, algorithm="brute").fit(train.astype(np.float64), labels)
    assert np.mean(outcome.test.predicted == reference.predict(test.astype(np.float64))) > 0.98


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_several_k_are_judged_from_one_search_as_if_each_were_alone(metric):
    train, labels = samples(80, seed=3)
    test, test_labels = samples(60, seed=4)
    ks = (1, 3, 9, 200)
    alone = {k: run(Knn(k=k, metric=metric), train, labels, test, test_labels) for k in ks}
    together = run(Knn(k=ks, metric=metric), train, labels, test, test_labels)
    table = together.tables["neighbours"]
    assert [row["k"] for row in table] == [1, 3, 9, 80]  # 200 are all 80
    for row, outcome in zip(table, alone.values(), strict=True):
        assert row["leave_one_out_accuracy"] == outcome.metrics["train/accuracy_leave_one_out"]
        assert row["train_accuracy"] == outcome.train.primary
    best = max(table, key=lambda row: row["leave_one_out_accuracy"])
    assert [row["k"] for row in table if row["chosen"]] == [best["k"]] == [together.params["chosen.k"]]
    chosen = alone[200 if best["k"] == 80 else best["k"]]
    np.testing.assert_array_equal(together.test.predicted, chosen.test.predicted)
    np.testing.assert_array_equal(together.train.predicted, chosen.train.predicted)


def test_a_list_of_k_is_known_by_what_is_in_it():
    assert Knn(k=(5,)).identity() == Knn(k=5).identity() == Knn().identity()
    assert Knn(k=(5, 1, 5)).identity() == Knn(k=(1, 5)).identity() != Knn(k=(1, 3)).identity()


@pytest.mark.parametrize("wrong", [(), (0, 1), (1, 2.5), (True,), "3"])
def test_a_list_of_k_holds_positive_whole_numbers(wrong):
    with pytest.raises(SettingError, match=r"adaptation\.k="):
        Knn(k=wrong)


def test_one_sample_is_everybodys_neighbour_whatever_the_choices():
    outcome = run(Knn(k=(1, 5)), *samples(1), *samples(10, seed=1))
    assert outcome.params["chosen.k"] == 1
    assert outcome.metrics == {}


def test_features_that_are_handed_in_stay_as_they_are_for_others():
    train, labels = samples(30)
    kept = train.copy()
    run(Knn(), train, labels)
    np.testing.assert_array_equal(train, kept)


#: Exact powers of two, so that nothing but over- and underflow can tell the scaled features from the others.
SCALES = [2.0**exponent for exponent in (-130, -66, -40, 66, 120)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_unit_of_the_features_changes_nothing(metric, weights, scale):
    train, labels = samples(80)
    test, test_labels = samples(60, seed=1)
    settings, unit = Knn(3, metric, weights), np.float32(scale)
    plain = run(settings, train, labels, test, test_labels)
    scaled = run(settings, train * unit, labels, test * unit, test_labels)
    for one, other in ((plain.train, scaled.train), (plain.test, scaled.test)):
        np.testing.assert_array_equal(one.predicted, other.predicted)
        # An exact match has a finite weight, which is taken of scaled distances; below 2^-126 there are fewer digits.
        np.testing.assert_allclose(one.log_prob, other.log_prob, atol=1e-5 if scale > 2.0**-126 else 1e-2)


def test_a_column_in_large_units_decides_over_distances_as_in_double_precision():
    (train, labels), (test, test_labels) = samples(80), samples(60, seed=1)
    train[:, 0], test[:, 0] = train[:, 0] * 1e25, test[:, 0] * 1e25
    outcome = run(Knn(5, "euclidean"), train, labels, test, test_labels)
    distances = pairwise_distances(test.astype(float), train.astype(float))
    np.testing.assert_array_equal(outcome.test.predicted, vote(distances, labels, 5, "uniform"))


def test_angles_are_the_same_whatever_the_length_of_each_row():
    (train, labels), (test, test_labels) = samples(80), samples(60, seed=1)
    plain = run(Knn(), train, labels, test, test_labels)
    train[::2], test[::3] = train[::2] * np.float32(2.0**-100), test[::3] * np.float32(2.0**90)
    outcome = run(Knn(), train, labels, test, test_labels)
    np.testing.assert_array_equal(outcome.test.log_prob, plain.test.log_prob)


@pytest.mark.parametrize("offset", [100, 1e3, 1e4, 1e5])
def test_a_common_offset_of_the_features_does_not_disturb_angles(offset):
    (train, labels), (test, test_labels) = samples(200, d=64), samples(100, d=64, seed=1)
    train, test = train + np.float32(offset), test + np.float32(offset)
    outcome = run(Knn(5, "cosine"), train, labels, test, test_labels)
    # Half the square of the distance of rows of length 1, which loses nothing in double precision.
    rows = [part.astype(float) / np.linalg.norm(part.astype(float), axis=1, keepdims=True) for part in (test, train)]
    expected = vote(pairwise_distances(*rows) ** 2, labels, 5, "uniform")
    assert np.mean(outcome.test.predicted == expected) > 0.97


def test_identical_rows_are_no_trouble_for_angles():
    train, labels = np.tile(np.float32([3, 4, 0]), (4, 1)), np.array([0, 1, 1, 1])
    outcome = run(Knn(4, weights="distance"), train, labels, np.eye(3, dtype=np.float32), np.array([0, 1, 2]))
    np.testing.assert_array_equal(outcome.test.predicted, 1)
    assert np.isfinite(outcome.test.log_prob).all()


def test_angles_from_0_are_refused_where_columns_were_shifted():
    def part(shifted):
        return Split(Vectors(np.zeros((2, 3), np.float32), shifted), np.array([0, 1]))

    columns = ("a", "b", "c", "d", "e", "f", "g")
    moved = Dataset("toy", ("x", "y"), part(columns), part(columns), None, "here")
    with pytest.raises(AdaptationError) as error:
        Knn().check(moved, None, 2)
    assert "in columns a, b, c, d, e and 2 more of toy" in str(error.value)
    assert "adaptation.metric=euclidean" in str(error.value)
    Knn(metric="euclidean").check(moved, None, 2)
    Knn().check(Dataset("toy", ("x", "y"), part(()), part(()), None, "here"), None, 2)


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_of_several_labels_each_gets_the_share_of_neighbours_that_have_it(k, weights):
    (train, _), (test, _) = samples(90), samples(30, seed=1)
    rng = np.random.default_rng(2)
    has, wanted = (rng.random((n, 3)) < [0.1, 0.4, 0.8] for n in (90, 30))
    context = make_task(train, has.astype(np.uint8), test, wanted.astype(np.uint8), classes=3)
    context.dataset = replace(context.dataset, kind=Multilabel)
    settings = Knn(k, metric="euclidean", weights=weights, smoothing=1e-9)
    outcome = settings.run(context, Subset(np.arange(90), has.astype(np.uint8), 0))
    reference = KNeighborsClassifier(k, weights=weights, algorithm="brute").fit(train, has)
    shares = np.stack([given[:, 1] for given in reference.predict_proba(test)], 1)
    np.testing.assert_allclose(np.exp(outcome.test.log_probs), shares, atol=1e-4)
    assert outcome.params == {"chosen.k": k}


def test_of_several_numbers_of_neighbours_the_one_with_the_best_primary_metric_is_taken():
    train, _ = samples(90)
    has = np.column_stack([train[:, 0] > 0, train[:, 1] > 1]).astype(np.uint8)
    context = make_task(train, has, train, has, classes=2)
    context.dataset = replace(context.dataset, kind=Multilabel)
    outcome = Knn((1, 9, 60)).run(context, Subset(np.arange(90), has, 0))
    rows = outcome.tables["neighbours"]
    (chosen,) = [row for row in rows if row["chosen"]]
    assert chosen["leave_one_out_average_precision"] == max(row["leave_one_out_average_precision"] for row in rows)
    assert outcome.metrics == {"train/average_precision_leave_one_out": chosen["leave_one_out_average_precision"]}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rows", [1, 7, 16, 80])
def test_a_bank_that_is_searched_in_parts_has_the_same_neighbours(metric, rows, monkeypatch):
    train, test = samples(80), samples(60, seed=1)
    settings = Knn((1, 5, 20), metric, "distance")
    whole = run(settings, *train, *test)
    monkeypatch.setattr(knn, "BANK_ROWS", rows)
    monkeypatch.setattr(knn, "BLOCK_ELEMENTS", 100)  # of the rows that ask too
    parts = run(settings, *train, *test)
    for one, other in zip(parts.tables["neighbours"], whole.tables["neighbours"], strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    np.testing.assert_array_equal(parts.train.predicted, whole.train.predicted)
    np.testing.assert_allclose(parts.test.log_probs, whole.test.log_probs, atol=1e-4)
