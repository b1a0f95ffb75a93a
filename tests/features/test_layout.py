"""Where rows of samples lie, and which samples rows are of."""

import numpy as np
import pytest

from scaling.features.layout import Layout

LAYOUT = Layout(np.array([1, 3, 2]))


@pytest.mark.parametrize(
    ("samples", "rows"), [([0, 1, 2], [0, 1, 2, 3, 4, 5]), ([2, 0], [4, 5, 0]), ([1], [1, 2, 3]), ([], [])]
)
def test_rows_follow_their_samples(samples, rows):
    assert LAYOUT.rows(np.array(samples, np.int64)).tolist() == rows
    assert LAYOUT.samples(np.array(rows, np.int64)).tolist() == sorted(samples)


def test_a_sample_is_whole_when_all_its_rows_are():
    assert LAYOUT.whole(np.array([1, 1, 0, 1, 1, 1], bool)).tolist() == [True, False, True]
    assert LAYOUT.samples(np.array([2, 3])).tolist() == [1]


def test_samples_of_one_row_each_are_their_rows():
    np.testing.assert_array_equal(Layout.single(5).rows(np.array([3, 1])), [3, 1])
