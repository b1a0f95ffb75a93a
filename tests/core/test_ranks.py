import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, rankdata

from scaling.core.ranks import association, concordance, ranks, tau

examples = settings(max_examples=40, deadline=None, derandomize=True, database=None)
values = st.lists(st.integers(0, 5), min_size=2, max_size=8)


@examples
@given(values)
def test_ranks_are_those_of_scipy_from_the_top(numbers):
    assert ranks(numbers).tolist() == rankdata([-number for number in numbers]).tolist()


@examples
@given(values, st.randoms(use_true_random=False))
def test_tau_is_that_of_scipy_and_has_no_sides(numbers, random):
    other = list(numbers)
    random.shuffle(other)
    expected = kendalltau(numbers, other).statistic if len(set(numbers)) > 1 else None
    assert tau(numbers, other) == (None if expected is None else pytest.approx(expected))
    assert tau(numbers, other) == tau(other, numbers)
    if expected is not None:
        assert tau(numbers, [-number for number in numbers]) == pytest.approx(-1)


def test_concordance():
    same = [[1, 2, 3, 4]] * 3
    assert concordance(same) == 1
    assert concordance([[1, 2, 3, 4], [4, 3, 2, 1]]) == 0
    # By hand: sums 4, 5, 9 about 6 give S = 14; W = 12 · 14 / (9 · 24)
    assert concordance([[1, 2, 3], [2, 1, 3], [1, 2, 3]]) == pytest.approx(12 * 14 / (9 * 24))
    assert concordance([[1.5, 1.5, 3], [1.5, 1.5, 3]]) == 1
    assert concordance([[1, 2, 3]]) is None
    assert concordance([[1.5, 1.5], [1.5, 1.5]]) is None


def test_two_quantities_that_go_together():
    sizes = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = association(sizes, [s**2 for s in sizes])
    assert (found.tau, found.told) == (1, True)
    assert found.p == pytest.approx(2 / 120)
    assert association(sizes, np.ones(5).tolist()).tau is None


def test_four_models_are_too_few_even_in_perfect_order():
    found = association([1, 2, 3, 4], [1, 2, 3, 4])
    assert found.tau == 1
    assert not found.told
    assert found.p == pytest.approx(2 / 24)
