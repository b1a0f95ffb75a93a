import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_rel

from scaling.core.comparisons import holm, mcnemar, merged, over_seeds, paired
from scaling.core.variance import Measured, estimates

examples = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def right(rng, share, seeds=1, tested=300, hard=0.2):
    """Whether predictors of one skill are right: hard samples are hard for all of them."""
    easy = rng.random(tested) > hard
    return ((rng.random((seeds, tested)) < share) & easy).astype(np.float32)


def difference(a, b, rates=True):
    """The difference at one n, with its error."""
    return estimates([100.0], [Measured.of(paired(a, b, rates))])[0]


@examples
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_mcnemar_is_the_binomial_test_of_scipy(seed, tested):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, tested)) < 0.5
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected)
    assert mcnemar(a, b) == pytest.approx(mcnemar(b, a))


@examples
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_a_difference_turns_its_sign_with_its_sides_and_knows_no_order(seed, seeds, rates):
    rng = np.random.default_rng(seed)
    a, b = right(rng, 0.8, seeds, 40), right(rng, 0.6, seeds, 40)
    one, other = difference(a, b, rates), difference(b, a, rates)
    assert one.centre == pytest.approx(-other.centre)
    assert one.interval(0.05) == pytest.approx(tuple(-end for end in other.interval(0.05)[::-1]))
    assert one.p == pytest.approx(other.p)
    rows, columns = rng.permutation(seeds), rng.permutation(40)
    shuffled = difference(a[rows][:, columns], b[rows][:, columns], rates)
    assert (*one.interval(0.05), one.p) == pytest.approx((*shuffled.interval(0.05), shuffled.p), abs=1e-6)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_covers_the_true_difference_as_often_as_it_says(seeds):
    rng, truth, covered = np.random.default_rng(seeds), 0.8 * (0.9 - 0.8), []
    for _ in range(600):
        # Each draw of a subset gives predictors of another skill; the test samples are new each time.
        skill = 0.01 * rng.standard_normal((2, seeds, 1)) * (seeds > 1)
        easy = rng.random(300) > 0.2
        a, b = (((rng.random((seeds, 300)) < p + s) & easy) for p, s in zip((0.9, 0.8), skill, strict=True))
        low, high = difference(a.astype(np.float32), b.astype(np.float32)).interval(0.1)
        covered.append(low <= truth <= high)
    assert 0.87 <= np.mean(covered) <= 0.985


@pytest.mark.parametrize("seeds", [1, 3])
def test_without_a_difference_p_is_below_the_level_as_rarely_as_it_says(seeds):
    rng = np.random.default_rng(10 + seeds)
    p = []
    for _ in range(600):
        both = right(rng, 0.8, 2 * seeds)
        p.append(difference(both[:seeds], both[seeds:]).p)
    assert np.mean(np.array(p) <= 0.05) <= 0.07


def test_pairing_tells_what_two_separate_intervals_would_not():
    rng = np.random.default_rng(0)
    a = right(rng, 0.9, hard=0.4, tested=2000)
    b = a.copy()
    b[0, np.flatnonzero(a[0])[:40]] = 0  # 2 % are lost, nothing is won
    found = difference(a, b)
    apart = 1.96 * np.sqrt(a.var() / 2000 + b.var() / 2000)
    assert found.centre == pytest.approx(0.02, rel=0.01)
    assert found.centre < apart
    assert found.interval(0.05)[0] > 0
    assert mcnemar(a[0], b[0]) < 1e-6


def test_its_interval_is_that_of_the_paired_bootstrap():
    rng = np.random.default_rng(1)
    a, b = right(rng, 0.8, 2, 500), right(rng, 0.7, 2, 500)
    found = difference(a[:1], b[:1])
    d = a[0] - b[0]
    low, high = np.quantile([d[rng.integers(0, 500, 500)].mean() for _ in range(3000)], [0.05, 0.95])
    assert found.interval(0.1) == pytest.approx((low, high), abs=0.005)


def test_predictors_that_never_differ_leave_a_little_open():
    a = right(np.random.default_rng(2), 0.8)
    found = difference(a, a)
    assert (found.centre, found.p) == (0, 1)
    low, high = found.interval(0.05)
    assert low < 0 < high < 0.02
    assert difference(a, a, rates=False) is None


def test_seeds_alone_are_a_paired_t_test():
    a, b = np.array([0.8, 0.82, 0.85]), np.array([0.7, 0.75, 0.74])
    (found,), expected = estimates([100.0], [over_seeds(a, b)]), ttest_rel(a, b)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval(0.05) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert estimates([100.0], [over_seeds(a[:1], b[:1])]) == [None]
    assert estimates([100.0], [over_seeds(a, a - 0.1)]) == [None]  # no spread: three seeds can't be that sure


def test_holm_is_what_it_is_by_hand():
    # 0.01 × 4 = 0.04; 0.02 × 3 = 0.06; 0.03 × 2 = 0.06; 0.5 × 1 = 0.5
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.01, 0.02], family=10) == pytest.approx([0.1, 0.18])
    assert holm([0.01], family=0) == pytest.approx([0.01])
    assert holm([]).tolist() == []


@examples
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 30))
def test_holm_never_lowers_a_p_nor_changes_their_order(p, more):
    adjusted = holm(p, len(p) + more)
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert adjusted.max() <= 1
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= -1e-12).all()


def test_asking_for_a_choice_of_pairs_finds_nothing_that_asking_for_all_would_not():
    rng = np.random.default_rng(3)
    p = rng.random(20) ** 3
    some = np.sort(rng.choice(20, 6, replace=False))
    assert (holm(p[some], 20) >= holm(p)[some] - 1e-12).all()


def test_p_values_that_depend_on_each_other_are_merged_by_twice_their_mean():
    assert merged([0.01, 0.03]) == pytest.approx(0.04)
    assert merged([0.2]) == 0.2
    assert merged([0.9, 0.9]) == 1
