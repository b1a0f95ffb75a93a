"""Batches of samples for a forward pass: their size is found on the way, and they are read ahead."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling import machine
from scaling.modalities.base import Batch, Read, row_bytes

#: Indices of samples, and the samples.
Numbered = tuple[Tensor, Batch]

DEFAULT_SIZE = 64
#: Batches of each size that are tried; the first of them warms up and is not timed.
TRIALS = 3
#: A size is tried where at least this many batches of it are left to compute: the trial has to pay.
WORTH_TRYING = 8
#: Larger batches are no longer tried once they gain less than this factor.
GAIN = 1.03
#: Bytes of samples that are read ahead, at most, and as a share of the memory; one batch always is.
AHEAD_BYTES, AHEAD_SHARE = 1 << 30, 0.1


class BatchSizer:
    """Finds the batch size with the most samples a second, by trying sizes on batches that are needed anyway."""

    def __init__(self, sizes: Sequence[int]) -> None:
        """Start with the sizes to try, ascending; a single one is taken as it is."""
        self.untried = list(sizes) if len(sizes) > 1 else []
        self.best = sizes[0] if len(sizes) == 1 else min(DEFAULT_SIZE, sizes[-1])
        self.rate = 0.0
        self.proposed = 0
        self.timings: dict[int, list[float]] = {}

    def propose(self, left: int) -> int:
        """Return the size of the next batch, with so many samples left."""
        if self.untried and left >= WORTH_TRYING * self.untried[0]:
            size = self.untried[0]
            self.timings.setdefault(size, [])
            self.proposed += 1
            if self.proposed == TRIALS:
                self.untried.pop(0)
                self.proposed = 0
            return size
        return min(self.best, left)

    def record(self, size: int, seconds: float) -> None:
        """Learn how long a batch took; only the sizes that are tried count, not what was left at an end."""
        timings = self.timings.get(size)
        if timings is None or len(timings) == TRIALS:  # judged already
            return
        timings.append(seconds)
        if len(timings) < TRIALS:
            return
        rate = size / max(min(timings[1:]), 1e-15)
        if rate < GAIN * self.rate:
            self.untried.clear()
        if rate > self.rate:
            self.best, self.rate = size, rate

    def shrink(self, failed: int) -> int:
        """Propose at most half of a size that memory did not hold, and at least 1; return that half."""
        self.untried.clear()
        self.timings.clear()
        self.best = max(1, min(self.best, failed // 2))
        return failed // 2


class Batches:
    """Iterates over (indices, samples) in batches, read in threads ahead of their use where that helps.

    Decoding releases Python's global lock, so threads overlap with each other and with the forward pass, without
    the copies of the process that a DataLoader's workers are.

    Attributes:
        lengths: of the samples, from 1 up, the longest first; as many go into a batch as make its size when each is
            as long as its longest. None where all have length 1.
        proposed: sizes of the batches that were begun and are not yet recorded.
    """

    def __init__(
        self, read: Read, indices: NDArray[np.int64], sizer: BatchSizer, workers: int,
        lengths: NDArray[np.floating] | None = None,
    ) -> None:  # fmt: skip
        self.read, self.indices, self.sizer, self.workers, self.lengths = read, indices, sizer, workers, lengths
        self.proposed: deque[int] = deque()

    def __iter__(self) -> Iterator[Numbered]:
        if self.workers == 0:
            yield from map(self._load, self._parts())
            return
        parts = self._parts()
        with ThreadPoolExecutor(self.workers) as pool:
            waiting: deque[Future[Numbered]] = deque()
            each = 0  # bytes of a sample, known once one is read
            room = min(AHEAD_BYTES, int(AHEAD_SHARE * (machine.memory() or inf)))
            try:
                for part in parts:
                    waiting.append(pool.submit(self._load, part))
                    while len(waiting) > max(1, min(self.workers, room // max(1, each * len(part)))):
                        done = waiting.popleft().result()
                        each = row_bytes(done[1])
                        yield done
                while waiting:
                    yield waiting.popleft().result()
            finally:  # where a batch can't be read, or nobody wants the rest
                for future in waiting:
                    future.cancel()

    def _parts(self) -> Iterator[NDArray[np.int64]]:
        self.proposed.clear()
        start = 0
        while start < len(self.indices):
            size = self.sizer.propose(len(self.indices) - start)
            self.proposed.append(size)
            count = size if self.lengths is None else max(1, int(size / self.lengths[start]))
            yield self.indices[start : start + count]
            start += count

    def _load(self, part: NDArray[np.int64]) -> Numbered:
        return torch.from_numpy(part), self.read(part)
