import numpy as np
import pytest

from scaling.core.ranks import association, concordance


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
    assert (found.tau, found.told) == (pytest.approx(1), True)
    assert found.p == pytest.approx(2 / 120)
    assert association(sizes, np.ones(5).tolist()).tau is None
    assert association([1.0], [2.0]).tau is None


def test_four_models_are_too_few_even_in_perfect_order():
    found = association([1, 2, 3, 4], [1, 2, 3, 4])
    assert found.tau == pytest.approx(1)
    assert not found.told
    assert found.p == pytest.approx(2 / 24)
