"""What is held out is fixed by content: nothing moves when samples come or go, and nothing stands on both sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core.duplicates import keys
from scaling.core.parting import held_out, places

examples = settings(max_examples=60, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**31)


def contents(number, first=0):
    return keys((f"sample {i}".encode() for i in range(first, first + number)), number)


def test_places_are_pinned_and_even():
    """Another value here would move samples of every published split."""
    assert keys([b"one", b"two"], 2).tolist() == [-3957126355335908812, 218224992319827701]
    assert places(np.array([0, 1, -1]), 0).round(6).tolist() == [0.862058, 0.227099, 0.402508]
    found = places(contents(20_000), 3)
    assert np.histogram(found, 10, (0, 1))[0] == pytest.approx(2000, abs=200)


@examples
@given(st.integers(50, 300), st.integers(1, 300), st.integers(2, 5), seeds)
def test_more_samples_move_none(number, more, classes, seed):
    units, strata = contents(number + more), np.arange(number + more) % classes
    order = np.random.default_rng(seed).permutation(number + more)
    before = held_out(units[:number], strata[:number], 0.3, seed)
    after = held_out(units[order], strata[order], 0.3, seed)
    moved = after[np.argsort(order)][:number] != before
    # A class of which chance held nothing out gave its outermost, which others may replace.
    bare = [c for c in range(classes) if not (places(units[:number], seed) < 0.3)[strata[:number] == c].any()]
    assert not moved[~np.isin(strata[:number], bare)].any()


@examples
@given(st.lists(st.integers(2, 40), min_size=2, max_size=6), st.floats(0.02, 0.98), seeds)
def test_each_class_is_on_both_sides(sizes, share, seed):
    strata = np.repeat(np.arange(len(sizes)), sizes)
    out = held_out(contents(len(strata)), strata, share, seed)
    assert set(strata[out]) == set(strata[~out]) == set(range(len(sizes)))


@examples
@given(st.integers(5, 60), st.integers(1, 8), seeds)
def test_a_group_stays_whole(groups, size, seed):
    names = contents(groups)
    units = np.repeat(names, size)
    out = held_out(units, np.arange(groups * size) % 2, 0.2, seed).reshape(groups, size)
    assert (out.all(1) | ~out.any(1)).all()


def test_each_class_gives_its_share_and_another_seed_holds_out_others():
    strata = np.repeat([0, 1], [9000, 1000])
    out = held_out(contents(10_000), strata, 0.2, 0)
    assert out[:9000].mean() == pytest.approx(0.2, abs=0.02)
    assert out[9000:].mean() == pytest.approx(0.2, abs=0.05)
    assert (held_out(contents(10_000), strata, 0.2, 1) & out).mean() == pytest.approx(0.04, abs=0.01)


def test_several_labels_a_sample():
    has = np.zeros((300, 4), np.uint8)
    has[np.arange(300), np.arange(300) % 3] = 1
    has[[7, 8], 3] = 1  # a rare label
    out = held_out(contents(300), has, 0.01, 0)
    assert (has[out].sum(0) > 0).all()
    assert (has[~out].sum(0) > 0).all()
