"""Batch sizes that are found on the way, with times that the tests make up; reading ahead, proven with barriers."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.features.batches import DEFAULT_SIZE, TRIALS, WORTH_TRYING, Batches, BatchSizer

SIZES = (32, 64, 128, 256)
WAIT = 300  # seconds after which something that should happen at once is taken to hang
examples = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def run(sizer, total, seconds):
    """Go through `total` images with a size taking `seconds(size)`; return the sizes proposed."""
    proposed = []
    while total:
        proposed.append(sizer.propose(total))
        sizer.record(proposed[-1], seconds(proposed[-1]))
        total -= proposed[-1]
    return proposed


@pytest.mark.parametrize("fastest", SIZES)
def test_the_fastest_size_is_found(fastest):
    sizer = BatchSizer(SIZES)
    rate = {size: 1 + SIZES.index(size) if size <= fastest else 0.5 for size in SIZES}
    run(sizer, 10_000, lambda size: size / rate.get(size, 1))
    assert sizer.best == fastest
    assert sizer.propose(10_000) == fastest


def test_larger_ones_are_not_tried_once_they_gain_nothing():
    proposed = run(BatchSizer(SIZES), 10_000, lambda size: size / min(size, 64))
    assert proposed[: 3 * TRIALS] == [32] * TRIALS + [64] * TRIALS + [128] * TRIALS
    assert set(proposed[3 * TRIALS :]) <= {64, proposed[-1]}


def test_each_size_is_tried_and_the_first_batch_of_it_does_not_count():
    sizer = BatchSizer(SIZES)
    first = dict.fromkeys(SIZES, True)

    def seconds(size):
        return (1e-9 if size == 32 else 1e6) if size in first and first.pop(size) else 1.0

    proposed = run(sizer, 10_000, seconds)
    assert proposed[: 4 * TRIALS] == [size for size in SIZES for _ in range(TRIALS)]
    assert sizer.best == 256


def test_a_single_size_is_taken_as_it_is():
    sizer = BatchSizer((48,))
    for _ in range(2 * TRIALS):
        assert run(sizer, 100, lambda size: 1 / size) == [48, 48, 4]
    assert sizer.propose(1000) == 48


def test_ends_of_earlier_passes_are_no_trial():
    sizer = BatchSizer(SIZES)
    for _ in range(2 * TRIALS):
        assert run(sizer, 10, lambda size: 1e-9) == [10]
    run(sizer, 10_000, lambda size: 1.0)
    assert sizer.best == 256


def test_few_images_take_the_default():
    assert BatchSizer(SIZES).propose(WORTH_TRYING * 32 - 1) == DEFAULT_SIZE
    assert BatchSizer(SIZES).propose(WORTH_TRYING * 32) == 32
    assert BatchSizer((8, 16)).propose(20) == 16


def test_records_of_sizes_that_were_never_tried_change_nothing():
    sizer = BatchSizer(SIZES)
    for _ in range(2 * TRIALS):
        sizer.record(7, 1e-9)
    assert sizer.best == DEFAULT_SIZE
    assert sizer.propose(10_000) == 32


def test_sizes_that_were_read_ahead_are_judged_when_their_times_come():
    sizer = BatchSizer(SIZES)
    ahead = [sizer.propose(10_000) for _ in range(4 * TRIALS)]
    for size in ahead:
        sizer.record(size, size / (100 if size == 128 else 10))
    assert sizer.best == 128


def test_shrinking_halves_down_to_nothing():
    sizer, sizes, failed = BatchSizer((64,)), [], 64
    while (half := sizer.shrink(failed)) > 0:
        failed = sizer.propose(1000)
        assert failed == half
        sizes.append(half)
    assert sizes == [32, 16, 8, 4, 2, 1]


def test_a_sizer_that_shrank_to_nothing_still_proposes_an_image():
    sizer = BatchSizer((1,))
    assert sizer.shrink(1) == 0
    assert sizer.propose(10) == 1


def test_a_trial_that_fails_costs_no_more_than_that_size():
    sizer = BatchSizer((64, 128, 256, 512))
    proposed = [sizer.propose(100_000) for _ in range(2 * TRIALS + 1)]
    for size in proposed[:-1]:
        sizer.record(size, 1.0)
    assert (sizer.best, proposed[-1]) == (128, 256)
    assert sizer.shrink(256) == 128
    assert sizer.propose(100_000) == 128


def test_shrinking_ends_the_trials():
    sizer = BatchSizer(SIZES)
    sizer.shrink(64)
    assert set(run(sizer, 10_000, lambda size: 1.0)[:-1]) == {32}


@examples
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5, unique=True),
    st.integers(1, 20_000),
    st.lists(st.floats(0, 10), min_size=1, max_size=20),
    st.integers(0, 40),
)
def test_proposals_fit_what_is_left(sizes, left, seconds, shrink_at):
    sizer = BatchSizer(sorted(sizes))
    for step in range(60):
        if left == 0:
            break
        size = sizer.propose(left)
        assert 1 <= size <= left
        sizer.shrink(size) if step == shrink_at else sizer.record(size, seconds[step % len(seconds)])
        left -= size


def numbers(count):
    """Return a read function over images that hold their own index, and the indices."""
    return lambda indices: {"images": torch.from_numpy(indices).view(-1, 1)}, np.arange(10, 10 + count)


@examples
@given(
    st.integers(0, 300), st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True), st.integers(0, 4)
)  # fmt: skip
def test_every_index_comes_once_and_in_order(count, sizes, workers):
    read, indices = numbers(count)
    got = list(Batches(read, indices, BatchSizer(sorted(sizes)), workers))
    assert [int(i) for part, _ in got for i in part] == indices.tolist()
    assert all(torch.equal(part, batch["images"][:, 0]) for part, batch in got)


def test_batches_can_be_gone_through_again():
    batches = Batches(*numbers(20), BatchSizer((6,)), 2)
    assert [len(part) for part, _ in batches] == [len(part) for part, _ in batches] == [6, 6, 6, 2]


def test_workers_read_at_the_same_time_and_ahead_of_use():
    """Each read waits for another: with one thread, or with reading on demand only, none of them would return."""
    together = threading.Barrier(2)

    def read(indices):
        together.wait(WAIT)
        return {"images": torch.from_numpy(indices)}

    assert len(list(Batches(read, np.arange(8), BatchSizer((1,)), 2))) == 8


def test_no_more_is_read_ahead_than_there_are_workers_and_one():
    seen = []
    batches = iter(
        Batches(lambda i: seen.append(i) or {"images": torch.from_numpy(i)}, np.arange(100), BatchSizer((1,)), 3)
    )
    next(batches)
    assert len(seen) <= 4
    batches.close()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_comes_at_its_batch_and_ends_the_reading(workers):
    seen = []

    def read(indices):
        seen.append(int(indices[0]))
        if indices[0] == 5:
            raise ValueError("image 5")
        return {"images": torch.from_numpy(indices)}

    before, good = set(threading.enumerate()), []
    with pytest.raises(ValueError, match="image 5"):
        good.extend(int(part[0]) for part, _ in Batches(read, np.arange(1000), BatchSizer((1,)), workers))
    assert max(seen) <= 5 + workers
    assert set(threading.enumerate()) <= before  # others may end meanwhile


def test_an_iterator_that_is_left_early_ends_its_threads():
    before = set(threading.enumerate())
    batches = iter(Batches(*numbers(1000), BatchSizer((1,)), 4))
    next(batches)
    assert set(threading.enumerate()) - before
    closing = threading.Thread(target=batches.close)
    closing.start()
    closing.join(WAIT)
    assert not closing.is_alive()
    assert set(threading.enumerate()) <= before


def test_without_workers_everything_is_read_where_it_is_used():
    names = []
    read = lambda indices: names.append(threading.current_thread()) or {"images": torch.from_numpy(indices)}  # noqa: E731
    list(Batches(read, np.arange(5), BatchSizer((2,)), 0))
    assert names == [threading.current_thread()] * 3


def test_long_samples_come_in_smaller_batches_of_the_same_size():
    lengths = np.array([8.0, 8, 8, 3, 3, 2, 1, 1, 1, 1, 1])
    read, indices = numbers(len(lengths))
    batches = Batches(read, indices, BatchSizer((8,)), 0, lengths)
    assert [len(part) for part, _ in batches] == [1, 1, 1, 2, 3, 3]
    assert list(batches.proposed) == [8, 8, 8, 8, 6, 3]
    assert [len(part) for part, _ in Batches(read, indices, BatchSizer((4,)), 2, lengths)] == [1, 1, 1, 1, 1, 2, 4]
