"""Columns so far from 0 that 32-bit floats lose what they say: found, and shifted in the file's own numbers."""

from collections.abc import Sequence
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


def shift(
    parts: Sequence[NDArray[np.float32]], given: Sequence[NDArray[Any]], names: Sequence[str], path: Path
) -> tuple[str, ...]:
    """Subtract from each column that rounding destroyed its smallest number, in all parts.

    Args:
        parts: features of a file, (N, d) each: what rounding left of the numbers given. Written to.
        given: these numbers, in the file's own types.
        names: of all columns.

    Returns:
        The names of these columns.

    Raises:
        DataError: a column varies by less than 32-bit floats can hold at all.
    """
    wide = [numbers for numbers in given if not np.can_cast(numbers.dtype, np.float32)]
    if not wide:
        return ()
    low, high = np.min([part.min(0) for part in wide], axis=0), np.max([part.max(0) for part in wide], axis=0)
    largest, span = np.maximum(np.abs(low.astype(float)), np.abs(high.astype(float))), _span(low, high)
    far = np.flatnonzero(_lost(largest, span) & (span > (low.dtype.kind == "f") * NOISE * largest)).tolist()
    pairs = list(zip(parts, given, strict=True))
    with np.errstate(invalid="ignore"):
        columns = [c for c in far if any((part[:, c].astype(own.dtype) != own[:, c]).any() for part, own in pairs)]
    if tiny := [c for c in columns if _lost(span, span)[c]]:
        raise DataError(
            f"{path}: in {listed([names[c] for c in tiny])} of the features, values differ by"
            f" {span[tiny].max():.1g} at most, too little for 32-bit floats.\n"
            "Scale the features up, or leave out what is nearly constant."
        )
    for part, own in pairs:
        for c in columns:
            part[:, c] = own[:, c] - low[c]
    return tuple(names[c] for c in columns)


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
