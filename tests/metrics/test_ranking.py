"""Areas and precisions of single classes, and their means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from scaling.metrics.ranking import auroc, average_precision, by_class

examples = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def ranked(seed, m=200, digits=1, share=0.3):
    """Whether samples are of a class, and scores that tell something of it, ties among them."""
    rng = np.random.default_rng(seed)
    positive = rng.random(m) < share
    positive[:2] = True, False
    return positive, np.round(rng.normal(size=m) + positive, digits)


@examples
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(0, 2))
def test_both_equal_scikit_learns_with_any_ties(seed, m, digits):
    positive, scores = ranked(seed, m, digits)
    assert auroc(positive, scores).mean() == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    expected = average_precision_score(positive, scores)
    assert average_precision(positive, scores).mean() == pytest.approx(expected, abs=1e-12)


def test_the_variance_of_an_area_is_delongs():
    positive, scores = ranked(1, 400)
    wins = (scores[positive][:, None] > scores[~positive]) + 0.5 * (scores[positive][:, None] == scores[~positive])
    by_positive, by_negative = wins.mean(1), wins.mean(0)
    delong = by_positive.var(ddof=1) / positive.sum() + by_negative.var(ddof=1) / (~positive).sum()
    samples = auroc(positive, scores)
    assert samples.var() / len(samples) == pytest.approx(delong, rel=0.02)


@pytest.mark.parametrize("values_of", [auroc, average_precision])
def test_their_variance_is_that_of_the_bootstrap(values_of):
    (positive, scores), rng = ranked(2, 400), np.random.default_rng(0)
    places = (rng.integers(0, 400, 400) for _ in range(300))
    resampled = [values_of(positive[i], scores[i]).mean() for i in places]
    assert values_of(positive, scores).std() / 20 == pytest.approx(np.std(resampled), rel=0.15)


def test_a_side_without_samples_tells_nothing():
    scores = np.array([0.1, 0.2])
    assert np.isnan(auroc(np.array([False, False]), scores)).all()
    assert np.isnan(auroc(np.array([True, True]), scores)).all()
    assert np.isnan(average_precision(np.array([False, False]), scores)).all()
    assert average_precision(np.array([True, True]), scores).mean() == 1


def test_means_over_classes_leave_out_what_is_not_told():
    one, scores = ranked(3)
    none, every = np.zeros(200, bool), np.ones(200, bool)
    found = by_class([one, none, every], np.stack([scores] * 3, 1), ("a", "b", "c"))
    assert set(found) == {"auroc", "auroc/a", "average_precision", "average_precision/a", "average_precision/c"}
    assert found["auroc"].mean() == found["auroc/a"].mean()
    assert found["average_precision"].mean() == pytest.approx((found["average_precision/a"].mean() + 1) / 2)
    assert by_class([none], scores[:, None], ("a",)) == {}
