"""Where one curve overtakes another, with an interval, or a refusal where it can't be told who leads."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from scaling.core.variance import NOISE, spread

Floats = NDArray[np.float64]

#: Central share of the interval.
COVERAGE = 0.9
#: Curves that are drawn for the interval.
DRAWS = 4000


@dataclass(frozen=True)
class Differences:
    """The difference of two curves at k sizes, a − b.

    Attributes:
        n: sizes, ascending, shape (k,).
        mean: differences, means over seeds, positive where a is better, shape (k,).
        shared: covariance of the means from the test set, shape (k, k).
        draws: variance of each mean from the draws, shape (k,).
        freedom: degrees of freedom that `draws` rest on; endless where there are none.
    """

    n: Floats
    mean: Floats
    shared: Floats
    draws: Floats
    freedom: float

    def sample(self, count: int = DRAWS) -> Floats:
        """Draw differences around the measured ones, always the same for the same points, shape (count, k)."""
        generator = np.random.default_rng(0)
        values, vectors = np.linalg.eigh(self.shared)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        common = generator.standard_normal((count, len(self.n))) @ root.T
        own = generator.standard_normal((count, len(self.n))) * np.sqrt(self.draws)
        if np.isfinite(self.freedom):  # a variance that few seeds tell is uncertain itself
            own *= np.sqrt(self.freedom / generator.chisquare(self.freedom, count))[:, None]
        return self.mean + common + own


def differences(
    n: Floats,
    by_seed: Sequence[Floats],
    samples: NDArray[np.floating] | None,
    residual: Floats,
    drawn: NDArray[np.bool_] | None = None,
) -> Differences:
    """Put the differences of two curves together.

    Args:
        n: sizes, ascending, shape (k,).
        by_seed: differences of the scores at each n, one a seed.
        samples: differences at each n of the test samples' values, averaged over seeds, shape (k, m); None where
            predictions can't be had: the test set is then taken as it is.
        residual: what of the variance of each row's mean over samples belongs to single seeds and is counted with
            the draws, shape (k,).
        drawn: whether subsets were drawn at each n, shape (k,); False where all seeds have the whole training set.

    The variance of a draw is v0 + v1 / n over all sizes, so that few seeds at each n tell it together.
    """
    mean = np.array([values.mean() for values in by_seed])
    counts = np.array([len(values) for values in by_seed])
    squared = np.array([((values - values.mean()) ** 2).sum() for values in by_seed])
    one, freedom = spread(n, counts, squared)
    if freedom == inf and (residual > NOISE).any() and (counts > 1).any():  # seeds came to one mean by chance
        one, freedom = residual * counts, float((counts - 1).sum())
    shared = np.zeros((len(n), len(n)))
    if samples is not None:
        centred = samples - samples.mean(1, dtype=np.float64)[:, None]
        shared = centred @ centred.T / (samples.shape[1] * (samples.shape[1] - 1))
        shared[np.diag_indices(len(n))] = np.maximum(np.diagonal(shared) - residual, 0.0)
    draws = np.where(True if drawn is None else drawn, one / counts, 0.0)
    return Differences(n, mean, shared.astype(np.float64), draws, freedom)


@dataclass(frozen=True)
class Crossing:
    """The last change of the lead that the points can tell.

    Attributes:
        n, low, high: where, and the central 90 % interval; None where no change can be told.
        overtaken: whether a led before it, and b after.
        changes: how many changes of the lead can be told.
        sure: the sizes at which it can be told who leads.
    """

    n: float | None
    low: float | None
    high: float | None
    overtaken: bool
    changes: int
    sure: tuple[float, ...]


def crossing(seen: Differences) -> Crossing:
    """Find where two curves cross, between the last n where one surely leads and the first where the other does.

    "Surely" is a one-sided chance of at most 5 %, divided by the number of sizes that are looked at. The curves are
    straight lines over log n between the sizes. The interval holds the first and the last place at which drawn
    curves cross: noise at single sizes widens it.
    """
    spread = np.sqrt(np.maximum(np.diagonal(seen.shared) + seen.draws, 1e-18))
    drawn = seen.sample()
    # The share of draws counts the uncertain variance, the normal tail reaches below what draws can show.
    doubt = np.maximum(ndtr(-np.abs(seen.mean) / spread), np.minimum((drawn > 0).mean(0), (drawn < 0).mean(0)))
    sure = np.flatnonzero(doubt <= (1 - COVERAGE) / 2 / len(seen.n))
    sizes = tuple(seen.n[sure].tolist())
    leads = [list(group) for _, group in groupby(sure, key=lambda i: seen.mean[i] > 0)]
    if len(leads) < 2:
        return Crossing(None, None, None, False, 0, sizes)
    start, end = leads[-2][-1], leads[-1][0]
    sign = np.sign(seen.mean[start])
    x = np.log(seen.n[start : end + 1])
    first, last = _crossings(x, sign * drawn[:, start : end + 1])
    middle = np.mean(_crossings(x, sign * seen.mean[None, start : end + 1]))
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(first, tail), np.quantile(last, 1 - tail)
    n, least, most = (float(np.exp(np.clip(place, x[0], x[-1]))) for place in (middle, low, high))
    return Crossing(n, least, most, bool(sign > 0), len(leads) - 1, sizes)


def _crossings(x: Floats, d: Floats) -> tuple[Floats, Floats]:
    """Return the first and last place where each row of d (r, k) changes from positive to not, on the line over x.

    A row that never changes crosses beyond the end that it points to.
    """
    d = np.concatenate([np.ones((len(d), 1)), d, -np.ones((len(d), 1))], axis=1)
    falls = (d[:, :-1] > 0) & (d[:, 1:] <= 0)
    places = np.concatenate([x[:1], x, x[-1:]])
    share = d[:, :-1] / np.where(falls, d[:, :-1] - d[:, 1:], 1.0)
    at = places[:-1] + np.where(falls, share, 0.0) * np.diff(places)
    rows = np.arange(len(d))
    return at[rows, falls.argmax(1)], at[rows, falls.shape[1] - 1 - falls[:, ::-1].argmax(1)]
