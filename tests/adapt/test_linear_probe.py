import weakref
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from scaling.adapt import linear_probe, softmax
from scaling.adapt.base import Context, Subset
from scaling.adapt.linear_probe import LinearProbe
from scaling.core.errors import SettingError
from scaling.core.reporter import SilentReporter
from scaling.core.subsets import validation_part
from scaling.datasets.base import Dataset, Split
from scaling.modalities.images import ArrayImages

CLASSES = 3


class Rows:
    """Stands in for the feature provider."""

    def __init__(self, train, test):
        self.splits = {"train": train, "test": test}

    def rows(self, split, indices):
        return self.splits[split][indices]


def samples(n, seed=0, distance=0.4, d=20):
    """Classes of overlapping Gaussians, as equal in size as they can be; the centres don't depend on the seed."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % CLASSES)
    centres = distance * np.random.default_rng(99).normal(size=(CLASSES, d))
    return (centres[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


def run(settings=None, train=None, test=None, seed=0, provider=Rows):
    train, test = train or samples(90), test or samples(200, seed=1)

    def split(labels):
        return Split(ArrayImages(np.zeros((len(labels), 1, 1, 1), np.uint8)), labels)

    dataset = Dataset("toy", ("a", "b", "c"), split(train[1]), split(test[1]), "toy", "here")
    trainer = {"accelerator": "cpu", "devices": 1}
    context = Context(dataset, None, provider(train[0], test[0]), "32-true", trainer, SilentReporter())
    return (settings or LinearProbe()).run(context, Subset(np.arange(len(train[1])), train[1], seed))


def with_a_class_of_one():
    features, labels = samples(60)
    keep = np.flatnonzero((labels != 2) | (np.cumsum(labels == 2) == 1))
    return features[keep], labels[keep]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"penalties": ()}, "adaptation.penalties=[]: expected a list of positive numbers"),
        ({"penalties": (0.0, 1.0)}, "adaptation.penalties=[0.0, 1.0]: expected a list of positive numbers"),
        ({"penalties": (1.0, float("inf"))}, "adaptation.penalties=[1.0, inf]: expected a list of positive numbers"),
        ({"penalties": (float("nan"),)}, "adaptation.penalties=[nan]: expected a list of positive numbers"),
        ({"penalties": ("weak",)}, "adaptation.penalties=['weak']: expected a list of positive numbers"),
        ({"penalties": (1.0, 0.1)}, "adaptation.penalties=[1.0, 0.1]: expected ascending, without repeats"),
        ({"penalties": (0.1, 0.1)}, "adaptation.penalties=[0.1, 0.1]: expected ascending, without repeats"),
        ({"default_penalty": -1.0}, "adaptation.default_penalty=-1.0: expected a number above 0"),
        ({"penalties": 0.1}, "adaptation.penalties=0.1: expected a list of positive numbers"),
        ({"stop_ratio": "abc"}, "adaptation.stop_ratio=abc: expected a number above 1"),
        ({"folds": 1}, "adaptation.folds=1: expected a whole number from 2 up"),
        ({"folds": 2.5}, "adaptation.folds=2.5: expected a whole number from 2 up"),
        ({"folds": True}, "adaptation.folds=True: expected a whole number from 2 up"),
        ({"stop_ratio": 1.0}, "adaptation.stop_ratio=1.0: expected a number above 1"),
        ({"search_tolerance": 0.0}, "adaptation.search_tolerance=0.0: expected a number between 0 and 1"),
        ({"tolerance": 1.0}, "adaptation.tolerance=1.0: expected a number between 0 and 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_expected(changes, message):
    with pytest.raises(SettingError) as error:
        LinearProbe(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"penalties": (1.0,)}, {"folds": 3}, {"default_penalty": 1.0}, {"stop_ratio": 2.0},
        {"search_tolerance": 1e-3}, {"tolerance": 1e-5},
    ],
)  # fmt: skip
def test_every_setting_counts_for_identity(change):
    assert LinearProbe(**change).identity() != LinearProbe().identity()


def test_penalties_given_as_whole_numbers_are_the_same_setting():
    assert repr(LinearProbe((1, 10)).identity()) == repr(LinearProbe((1.0, 10.0)).identity())


def test_predictions_equal_scikit_learns_at_the_chosen_penalty():
    (train, labels), (test, test_labels) = samples(90), samples(200, seed=1)
    outcome = run(LinearProbe(tolerance=1e-8), (train, labels), (test, test_labels))
    mean, std = train.mean(0), train.std(0)
    reference = LogisticRegression(C=outcome.params["chosen.penalty"], tol=1e-9, max_iter=10_000)
    reference.fit((train - mean) / std, labels)
    expected = reference.predict_log_proba((test - mean) / std)
    np.testing.assert_allclose(outcome.test.log_prob, expected[np.arange(200), test_labels], atol=5e-3)
    np.testing.assert_array_equal(outcome.test.labels, test_labels)


def test_train_and_test_are_predicted_by_one_head():
    outcome = run(test=samples(90))
    np.testing.assert_array_equal(outcome.train.log_prob, outcome.test.log_prob)
    np.testing.assert_array_equal(outcome.train.predicted, outcome.test.predicted)


def test_the_penalty_of_the_lowest_held_out_loss_is_chosen_and_logged():
    outcome = run(LinearProbe(stop_ratio=1e9))
    best = min(outcome.tables["penalty_path"], key=lambda row: row["cv_log_loss"])
    assert best["chosen"]
    assert outcome.params == {"chosen.penalty": best["C"], "chosen.folds": 5}
    assert outcome.metrics == {"adaptation/penalty": best["C"]}


def test_the_path_has_a_row_for_each_penalty_tried():
    settings = LinearProbe(stop_ratio=1e9)
    path = run(settings).tables["penalty_path"]
    assert [row["C"] for row in path] == list(settings.penalties)
    assert [row["chosen"] for row in path].count(True) == 1
    for row in path:
        assert list(row) == ["C", "cv_log_loss", "cv_accuracy", "iterations", "converged", "chosen"]
        assert 0 < row["cv_log_loss"] < 10
        assert 0 <= row["cv_accuracy"] <= 1
        assert row["iterations"] >= 1
        assert row["converged"] is True


def test_the_path_ends_where_weaker_penalties_lose_too_much():
    settings = LinearProbe(stop_ratio=1.1)
    path = run(settings, train=samples(60, distance=0.1)).tables["penalty_path"]
    assert 1 < len(path) < len(settings.penalties)
    assert path[-1]["cv_log_loss"] > 1.1 * min(row["cv_log_loss"] for row in path)


def test_a_choice_inside_the_path_needs_no_remark():
    assert run().tags == {}


@pytest.mark.parametrize(("penalties", "end"), [((0.5, 1.0), "strong"), ((1e-6, 1e-5), "weak")])
def test_a_choice_at_an_end_of_the_path_is_remarked(penalties, end):
    assert run(LinearProbe(penalties)).tags == {"scaling.penalty": f"at the {end} end of the path"}


def test_a_fit_that_missed_its_tolerance_is_remarked(monkeypatch):
    monkeypatch.setattr(softmax, "fit", partial(softmax.fit, max_iterations=0))
    outcome = run(LinearProbe((1.0,)), samples(30))
    assert outcome.tags["scaling.fit"] == "not all fits reached the tolerance"


def test_a_class_of_one_takes_the_default_penalty_and_says_so():
    outcome = run(LinearProbe(default_penalty=0.03), with_a_class_of_one())
    assert outcome.params == {"chosen.penalty": 0.03, "chosen.folds": 1}
    assert outcome.tags["scaling.penalty"] == "default: a class has a single sample, so no cross-validation"
    assert outcome.tables == {}


def test_a_class_of_three_lowers_the_folds():
    features, labels = samples(60)
    keep = np.flatnonzero((labels != 2) | (np.cumsum(labels == 2) <= 3))
    assert run(train=(features[keep], labels[keep])).params["chosen.folds"] == 3


def test_a_class_that_the_subset_lacks_is_never_predicted():
    features, labels = samples(60)
    keep = labels != 2
    outcome = run(train=(features[keep], labels[keep]))
    assert set(outcome.test.predicted) == {0, 1}
    assert np.all(np.isfinite(outcome.test.log_prob))


def test_test_labels_change_neither_the_head_nor_the_penalty():
    features, labels = samples(200, seed=1)
    shuffled = np.random.default_rng(5).permutation(labels)
    one, other = run(test=(features, labels)), run(test=(features, shuffled))
    assert one.params == other.params
    assert one.tables == other.tables
    np.testing.assert_array_equal(one.train.log_prob, other.train.log_prob)
    np.testing.assert_array_equal(one.test.predicted, other.test.predicted)


def test_test_features_change_neither_the_head_nor_the_penalty():
    one, other = run(), run(test=(100 * samples(200, seed=2)[0] + 7, samples(200)[1]))
    assert one.tables == other.tables
    np.testing.assert_array_equal(one.train.log_prob, other.train.log_prob)


def test_stored_features_are_left_as_they_are():
    train = samples(90)
    before = train[0].copy()
    run(train=train)
    np.testing.assert_array_equal(train[0], before)


class CountedRows(Rows):
    """Counts how many of the arrays handed out for the training split are alive when another is asked for."""

    def __init__(self, train, test):
        super().__init__(train, test)
        self.handed_out, CountedRows.alive = [], []

    def rows(self, split, indices):
        features = super().rows(split, indices)
        if split == "train":
            CountedRows.alive.append(sum(array() is not None for array in self.handed_out))
            self.handed_out.append(weakref.ref(features))
        return features


def test_features_of_the_subset_are_never_held_twice():
    run(provider=CountedRows)
    assert len(CountedRows.alive) >= 2
    assert not any(CountedRows.alive)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_folds():
    first, again, other = run(seed=0), run(seed=0), run(seed=1)
    assert first.tables == again.tables != other.tables
    np.testing.assert_array_equal(first.test.log_prob, again.test.log_prob)


@pytest.mark.parametrize("exponent", [-135, -66, 66, 120])
def test_the_unit_of_the_features_changes_nothing(exponent):
    unit = np.float32(2.0**exponent)
    (train, labels), (test, test_labels) = samples(90), samples(200, seed=1)
    plain, scaled = run(), run(train=(train * unit, labels), test=(test * unit, test_labels))
    assert scaled.params == plain.params
    # At the far ends a few digits are lost to numbers of less precision.
    np.testing.assert_allclose(scaled.test.log_prob, plain.test.log_prob, atol=1e-6 if exponent > -126 else 1e-2)


def test_columns_in_units_of_their_own_are_as_good_as_any():
    units = (10.0 ** np.linspace(-36, 36, 20)).astype(np.float32)
    (train, labels), (test, test_labels) = samples(90), samples(200, seed=1)
    own = run(train=(train * units, labels), test=(test * units, test_labels))
    np.testing.assert_allclose(own.test.log_prob, run().test.log_prob, atol=1e-4)


@pytest.mark.parametrize(("offset", "atol"), [(1e3, 1e-3), (1e5, 0.05), (2e6, 0.5)])
def test_a_common_offset_costs_no_more_than_the_rounding_of_the_features(offset, atol):
    (train, labels), (test, test_labels) = samples(90), samples(200, seed=1)
    moved = [part + np.float32(offset) for part in (train, test)]
    found = run(train=(moved[0], labels), test=(moved[1], test_labels))
    expected = run(
        train=((moved[0].astype(float) - offset).astype(np.float32), labels),
        test=((moved[1].astype(float) - offset).astype(np.float32), test_labels),
    )
    np.testing.assert_allclose(found.test.log_prob, expected.test.log_prob, atol=5e-3)
    assert np.abs(found.test.log_prob - run().test.log_prob).max() < atol


@pytest.fixture
def large(monkeypatch):
    """Let ninety samples be many."""
    monkeypatch.setattr(linear_probe, "LARGE", 90)


def reference(penalty, features, labels):
    """Return scikit-learn's fit on standardised features, and what standardises them."""
    mean, std = features.mean(0), features.std(0)
    fitted = LogisticRegression(C=penalty, tol=1e-9, max_iter=10_000).fit((features - mean) / std, labels)
    return fitted, lambda rows: (rows - mean) / std


def test_many_samples_hold_one_part_out_and_choose_by_its_loss(large):
    (train, labels), settings = samples(90), LinearProbe(stop_ratio=1e9, search_tolerance=1e-8)
    outcome = run(settings, (train, labels), seed=3)
    held = validation_part(labels, 1 / 5, 3)
    assert held.sum() == 18
    mean, std = train.mean(0), train.std(0)  # of all n, as in the cross-validation
    rows = (train - mean) / std
    for row in outcome.tables["penalty_path"]:
        fitted = LogisticRegression(C=row["C"], tol=1e-9, max_iter=10_000).fit(rows[~held], labels[~held])
        log_prob = fitted.predict_log_proba(rows[held])
        assert row["cv_log_loss"] == pytest.approx(-log_prob[np.arange(18), labels[held]].mean(), abs=2e-3)
        if row["C"] >= 1e-2:  # with the strongest penalties classes are all but tied
            assert row["cv_accuracy"] == pytest.approx(np.mean(log_prob.argmax(1) == labels[held]))
    best = min(outcome.tables["penalty_path"], key=lambda row: row["cv_log_loss"])
    assert outcome.params == {"chosen.penalty": best["C"], "chosen.folds": 1}


def test_many_samples_are_all_in_the_final_fit(large):
    (train, labels), (test, test_labels) = samples(90), samples(200, seed=1)
    outcome = run(LinearProbe(search_tolerance=1e-8), (train, labels), (test, test_labels))
    fitted, scaled = reference(outcome.params["chosen.penalty"], train, labels)
    expected = fitted.predict_log_proba(scaled(test))
    np.testing.assert_allclose(outcome.test.log_prob, expected[np.arange(200), test_labels], atol=5e-3)


def test_a_rare_class_leaves_many_samples_their_choice(large):
    features, labels = samples(150)
    keep = np.flatnonzero((labels != 2) | (np.cumsum(labels == 2) == 1))
    outcome = run(train=(features[keep], labels[keep]))
    assert len(keep) >= 90
    assert len(outcome.tables["penalty_path"]) > 1
    assert outcome.tags.get("scaling.fit") is None


def test_many_samples_that_are_all_of_their_own_class_take_the_default_penalty(monkeypatch):
    monkeypatch.setattr(linear_probe, "LARGE", 3)
    outcome = run(LinearProbe(default_penalty=0.03), (samples(3)[0], np.arange(3)))
    assert outcome.params == {"chosen.penalty": 0.03, "chosen.folds": 1}
    assert "default" in outcome.tags["scaling.penalty"]


@pytest.mark.parametrize(("n", "expected"), [(1, 0), (19_999, 0), (20_000, 4), (1_000_000, 4)])
def test_the_method_is_revised_from_twenty_thousand_samples_up(n, expected):
    assert LinearProbe().revision(None, n) == expected


def test_one_part_held_out_costs_a_fraction_of_five_folds():
    few, many = (LinearProbe().cost(n, 100, 512, 10).multiply_adds for n in (19_999, 20_000))
    assert many < few / 2
