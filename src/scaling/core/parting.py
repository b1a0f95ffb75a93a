"""Which samples are held out as a test part: fixed by what they hold, whatever else the data set holds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def places(units: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return a number from 0 to 1 for each unit, (N,): even over units, equal for equal ones, another for each seed.

    Args:
        units: 64 bits each of what a sample holds, or of its group's name.

    Source: Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators, OOPSLA; its last step.
    """
    with np.errstate(over="ignore"):
        mixed = units.astype(np.uint64) ^ np.random.SeedSequence([seed, 5]).generate_state(1, np.uint64)[0]
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64


def held_out(units: NDArray[np.int64], strata: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """Mark the samples of the test part, (N,).

    A unit is held out where its place lies below the share: so a unit stays where it is when others come or go, copies
    stay together, and each class gives its share but for chance. Only a class of which nothing would be on one side
    gives its outermost unit, where it has two.

    Args:
        units: what is parted as a whole: 64 bits each of what a sample holds, or of its group's name, (N,).
        strata: a class a sample, (N,), or which labels it has, (N, k) of 0 and 1.
        share: of the samples, between 0 and 1.
        seed: another seed holds out others.
    """
    place = places(units, seed)
    out = place < share
    has = (strata == label for label in np.unique(strata)) if strata.ndim == 1 else strata.astype(bool).T
    for members in has:
        own = place[members]
        if not len(own) or own.min() == own.max():
            continue
        if not out[members].any():
            out[place == own.min()] = True
        elif out[members].all():
            out[place == own.max()] = False
    return out
