"""Is a data set fit to tell anything? Arrays in, what was found out; each check says how much of the data it saw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: Rows whose products are taken at a time.
BLOCK = 1024
#: Products of numbers that a search for near duplicates may take: seconds on two cores.
BUDGET = 2 * 10**11
#: Cosine of centred features from which on two samples count as near duplicates.
NEAR = 0.98
#: A class of which a subset holds fewer has none to learn from once one is held out.
FEWEST = 2
#: Labels stand in order where they change less often than this share of what chance gives, by so many deviations.
SHARE_OF_CHANGES, DEVIATIONS = 0.5, 4.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        state: "fine", "look" (it may change what scores mean), or "open" (it could not be looked at).
        text: what was found, as a phrase.
        examples: a few places, a line each.
    """

    name: str
    state: Literal["fine", "look", "open"]
    text: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class NearPairs:
    """Samples that have a near duplicate which is no exact copy.

    Attributes:
        searched: queries that were looked at.
        found: how many of them have one.
        pairs: the closest, as position of the query, position in the bank, cosine; the closest first.
    """

    searched: int
    found: int
    pairs: tuple[tuple[int, int, float], ...]


def near_pairs(
    queries: NDArray[np.float32], bank: NDArray[np.float32], query_keys: NDArray[np.int64],
    bank_keys: NDArray[np.int64], near: float = NEAR, budget: int = BUDGET, shown: int = 5,
) -> NearPairs:  # fmt: skip
    """Find the queries that lie close to a sample of the bank with another content.

    The cosine is that of features from which the bank's mean is subtracted: features of rectified networks all point
    the same way otherwise.

    Args:
        queries, bank: features, shapes (q, d) and (N, d).
        query_keys, bank_keys: numbers of their contents; equal contents are exact copies, counted elsewhere.
        near: smallest cosine that counts.
        budget: products that the search may take; evenly spaced queries are looked at where all would take more.
    """
    count = int(max(1, min(len(queries), budget // max(1, bank.size))))
    taken = np.unique(np.linspace(0, len(queries) - 1, count).round().astype(np.int64))
    mean = bank.mean(0, dtype=np.float64).astype(np.float32)
    against, best = _directions(bank, mean), np.full(len(taken), -1.0, np.float32)
    partner = np.zeros(len(taken), np.int64)
    for start in range(0, len(taken), BLOCK):
        rows = slice(start, start + BLOCK)
        mine = _directions(queries[taken[rows]], mean)
        for first in range(0, len(bank), 8 * BLOCK):
            part = slice(first, first + 8 * BLOCK)
            cosine = mine @ against[part].T
            cosine[query_keys[taken[rows], None] == bank_keys[None, part]] = -1.0
            where = cosine.argmax(1)
            top = np.take_along_axis(cosine, where[:, None], 1)[:, 0]
            better = top > best[rows]
            best[rows] = np.where(better, top, best[rows])
            partner[rows] = np.where(better, first + where, partner[rows])
    close = np.flatnonzero(best >= near)
    seen: dict[frozenset[int], tuple[int, int, float]] = {}
    for place in close[np.argsort(-best[close], kind="stable")].tolist():
        pair = (int(query_keys[taken[place]]), int(bank_keys[partner[place]]))
        seen.setdefault(frozenset(pair), (int(taken[place]), int(partner[place]), float(min(best[place], 1.0))))
    return NearPairs(len(taken), len(close), tuple(seen.values())[:shown])


def _directions(rows: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - mean
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)


def repeated(keys: NDArray[np.int64]) -> int:
    """Return how many samples repeat an earlier one.

    >>> repeated(np.array([3, 1, 3, 3]))
    2
    """
    return len(keys) - len(np.unique(keys))


def constant(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the features that are the same in all rows, (k,)."""
    return np.flatnonzero((rows == rows[:1]).all(0))


def not_finite(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rows that hold something that is no finite number, (k,)."""
    return np.flatnonzero(~np.isfinite(rows).all(1))


def in_order(codes: NDArray[np.int64]) -> bool:
    """Say whether labels stand in an order: they change from row to row far less often than in a shuffled file.

    Args:
        codes: a number for each sample in stored order, equal for equal labels, shape (N,).

    Source: Wald and Wolfowitz (1940), On a test whether two samples are from the same population, Annals of
        Mathematical Statistics 11(2), for any number of classes; the variance is that of independent neighbours.
    """
    _, counts = np.unique(codes, return_counts=True)
    pairs, shares = len(codes) - 1, counts / len(codes)
    chance = 1 - float((shares**2).sum())
    expected, changes = pairs * chance, int((codes[1:] != codes[:-1]).sum())
    deviation = sqrt(pairs * chance * (1 - chance)) if pairs > 0 else 0.0
    return changes < SHARE_OF_CHANGES * expected and expected - changes > DEVIATIONS * deviation


def rare(counts: NDArray[np.int64], total: int, n: int) -> NDArray[np.int64]:
    """Return the classes of which n samples, drawn in proportion, hold fewer than two, (k,); the rarest first.

    Args:
        counts: training samples of each class.
        total: all training samples.
    """
    found = np.flatnonzero(counts * min(n, total) < FEWEST * total)
    return found[np.argsort(counts[found], kind="stable")]


def lines(checks: Sequence[Check], width: int = 80) -> Iterator[str]:
    """Yield the checks as a terminal shows them, no line longer than `width` but those of long places."""
    import textwrap

    marks = {"fine": "ok  ", "look": "LOOK", "open": "-   "}
    for check in checks:
        yield from textwrap.wrap(
            f"{marks[check.state]}  {check.name}: {check.text}", width, subsequent_indent=" " * 6,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        yield from (f"        {example}" for example in check.examples)
