"""Columns so far from 0 that 32-bit floats lose what they say: found, and shifted in the file's own numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError

#: Share of a column's range by which rounding may change its values.
LOSS = 1e-4
#: A column of 64-bit floats whose range is a smaller share of its values varies by rounding alone already.
NOISE = 2.0**-47
#: Columns that are named.
NAMED = 5

#: Reads a file's features from their first row on, some rows at a time.
Blocks = Callable[[], Iterator[NDArray[Any]]]


@dataclass(frozen=True)
class Part:
    """Features of a file, or of its training or test part.

    Attributes:
        features: (N, d), what rounding to 32 bits left of the file's numbers.
        range: smallest and largest number of each column, (2, d), in the file's own type; None where 32-bit floats
            hold every number of that type.
        blocks: reads the file's numbers again, some rows at a time.
    """

    features: NDArray[np.float32]
    range: NDArray[Any] | None
    blocks: Blocks

    def beside(self, columns: NDArray[np.intp]) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield some columns of the file's numbers, block by block, and which rows they are."""
        start = 0
        for block in self.blocks():
            yield slice(start, start + len(block)), block[:, columns]
            start += len(block)


def shift(parts: Sequence[Part], names: Sequence[str], path: Path) -> tuple[str, ...]:
    """Subtract from each column that rounding destroyed its smallest number, in all parts.

    Args:
        names: of all columns.

    Returns:
        The names of these columns.

    Raises:
        DataError: a column varies by less than 32-bit floats can hold at all.
    """
    ranges = [part.range for part in parts if part.range is not None]
    if not ranges:
        return ()
    low, high = np.min(ranges, axis=(0, 1)), np.max(ranges, axis=(0, 1))
    largest, span = np.maximum(np.abs(low.astype(float)), np.abs(high.astype(float))), _span(low, high)
    columns = np.flatnonzero(_lost(largest, span) & (span > (low.dtype.kind == "f") * NOISE * largest))
    if not len(columns):
        return ()
    kept = np.ones(len(columns), np.bool_)
    for part in parts:
        for rows, block in part.beside(columns):
            with np.errstate(invalid="ignore"):
                kept &= (part.features[rows, columns].astype(block.dtype) == block).all(0)
    columns = columns[~kept]
    if len(tiny := columns[_lost(span, span)[columns]]):
        raise DataError(
            f"{path}: in {listed([names[i] for i in tiny.tolist()])} of the features, values differ by"
            f" {span[tiny].max():.1g} at most, too little for 32-bit floats.\n"
            "Scale the features up, or leave out what is nearly constant."
        )
    for part in parts:
        for rows, block in part.beside(columns):
            part.features[rows, columns] = block - low[columns]
    return tuple(names[i] for i in columns.tolist())


def range_of(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return smallest and largest number of each column, as `Part` has them."""
    return None if np.can_cast(array.dtype, np.float32) else np.stack([array.min(0), array.max(0)])


def listed(columns: Sequence[str]) -> str:
    """Name columns, the first few and how many there are."""
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(columns[:NAMED])}{more}"


def _span(low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.float64]:
    """Return the range of each column; of whole numbers exactly, whatever their size."""
    if low.dtype.kind in "iu":  # modulo 2^64, so that nothing overflows
        low, high = low.astype(np.uint64), high.astype(np.uint64)
    return (high - low).astype(np.float64)


def _lost(largest: NDArray[np.float64], span: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say where numbers up to `largest`, rounded to 32 bits, may be off by more than a share of their range."""
    return np.spacing(largest.astype(np.float32)).astype(np.float64) / 2 > LOSS * span
