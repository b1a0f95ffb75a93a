"""How long to train, on which samples at which step, at which rate: pure functions of n, the seed and the step.

Nothing here has a state, so a training that is resumed at a step goes on as if it had never stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, cos, pi

import numpy as np
from numpy.typing import NDArray

#: Streams of random numbers that must not meet: the order of samples, their augmentation, dropout.
ORDER, AUGMENT, NETWORK = 101, 102, 103


@dataclass(frozen=True)
class Budget:
    """The length of a training.

    Attributes:
        batch: samples a step.
        steps: optimiser steps of the whole schedule.
        rounds: ends of the rounds, in steps, ascending; the last is `steps`. A round ends in a validation.
    """

    batch: int
    steps: int
    rounds: tuple[int, ...]

    def until(self, stop: int) -> tuple[int, ...]:
        """Return the ends of the rounds of a training that stops early, after `stop` steps of the schedule."""
        return (*(end for end in self.rounds if end < stop), stop)


def budget(n: int, batch_size: int, epochs: float, least: int, most: int, rounds: int) -> Budget:
    """Return the training that n samples get.

    steps = ⌈epochs · n / batch⌉, at least `least` and at most `most`, with batch = min(batch_size, n).
    """
    batch = min(batch_size, n)
    steps = max(ceil(min(epochs * n / batch, most)), least)
    ends = {ceil(steps * (i + 1) / rounds) for i in range(rounds)}
    return Budget(batch, steps, tuple(sorted(ends)))


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the learning rate of a step as a share of its highest: linear warm-up, then half a cosine to zero.

    Args:
        warmup: share of the steps in which the rate rises.

    Source of the cosine: Loshchilov and Hutter (2017), SGDR, ICLR, without restarts.
    """
    rising = ceil(warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + cos(pi * (step - rising) / max(1, steps - rising)))


def batch_positions(n: int, batch: int, step: int, seed: int) -> NDArray[np.int64]:
    """Return which of n samples a step takes, shape (batch,): consecutive places of one shuffle after the other."""
    places = np.arange(step * batch, (step + 1) * batch)
    return np.concatenate(
        [_shuffled(n, int(epoch), seed)[places[places // n == epoch] % n] for epoch in np.unique(places // n)]
    )


def sample_seeds(step: int, batch: int, seed: int) -> NDArray[np.int64]:
    """Return a seed for the augmentation of each sample of a step, shape (batch,)."""
    return np.random.default_rng([seed, AUGMENT, step]).integers(1 << 62, size=batch)


def network_seed(step: int, part: int, seed: int) -> int:
    """Return the seed of what the network itself draws in a part of a step, such as dropout."""
    return int(np.random.default_rng([seed, NETWORK, step, part]).integers(1 << 62))


def parts(batch: int, micro_batch: int | None) -> list[slice]:
    """Cut a batch into parts of at most `micro_batch` samples, as equal as can be; their gradients are summed."""
    count = 1 if micro_batch is None else ceil(batch / micro_batch)
    return [slice(batch * part // count, batch * (part + 1) // count) for part in range(count)]


def fewest_at_once(batch: int, micro_batch: int | None, processes: int) -> int:
    """Return the samples in a process's smallest share of a part; 0 where some process has none."""
    return min(part.stop - part.start for part in parts(batch, micro_batch)) // processes


def best_round(losses: Sequence[float]) -> int:
    """Return the position of the lowest loss, the first of equals; one that is not a number is the worst."""
    return int(np.argmin([loss if np.isfinite(loss) else np.inf for loss in losses]))


@lru_cache(maxsize=4)
def _shuffled(n: int, epoch: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, ORDER, epoch]).permutation(n)
