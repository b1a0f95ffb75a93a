"""Where the rows of samples lie in an entry of the store: one sample after the other, each with as many as it has."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of rows.

    Attributes:
        sizes: rows that each sample has, (N,), none 0.
    """

    sizes: NDArray[np.int64]

    @classmethod
    def single(cls, count: int) -> "Layout":
        """Return the layout of samples of one row each."""
        return cls(np.ones(count, np.int64))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Number of rows up to the end of each sample, (N,)."""
        return np.cumsum(self.sizes)

    def rows(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places of all rows of some samples, one sample after the other.

        >>> Layout(np.array([1, 3, 2])).rows(np.array([2, 0])).tolist()
        [4, 5, 0]
        """
        sizes = self.sizes[samples]
        before = np.cumsum(sizes) - sizes
        return np.repeat(self.ends[samples] - sizes - before, sizes) + np.arange(sizes.sum())

    def samples(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the samples that some rows are of, ascending, each once."""
        return np.unique(np.searchsorted(self.ends, rows, side="right"))

    def whole(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Say of which samples all rows are marked, (N,)."""
        return np.logical_and.reduceat(rows, self.ends - self.sizes)
