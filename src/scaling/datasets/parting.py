"""Two parts of a data set: as they are given, or held out by content; groups that must not be in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.core.duplicates import keys
from scaling.core.errors import DataError
from scaling.core.parting import held_out
from scaling.core.reading import Bounds, Checked
from scaling.datasets.base import Split
from scaling.tasks.base import Task

#: The column that names groups.
GROUP = "group"
#: The way on for data without a test part.
HOLD_OUT = "Name test samples, or hold a fifth out: dataset.test=0.2"


@dataclass(frozen=True, kw_only=True)
class Parting(Checked):
    """How a data set's parts come about.

    Attributes:
        test: share of the samples, or of their groups, that is held out as test part where there is none.
        test_seed: another one holds out others.
        shared_groups: whether a group may be in both parts.
    """

    test: Annotated[float, Bounds(0, 1, ends=False)] | None = None
    test_seed: Annotated[int, Bounds(0)] = 0
    shared_groups: bool = False

    node: ClassVar[str] = "dataset"

    def parts(self, train: Split, test: Split | None, task: Task, source: object) -> tuple[Split, Split, list[str]]:
        """Return both parts, and what to say of how they came about.

        Raises:
            DataError: there is no test part and none is to be held out, or both, or a group is in both parts.
        """
        if self.test is None:
            if test is None or not len(test):
                raise DataError(f"the test part in {source} holds no sample.\n{HOLD_OUT}")
            return train, test, self._across(train, test, source)
        if test is not None and len(test):
            raise DataError(
                f"dataset.test={self.test}: {source} has a test part already, of {len(test)} samples.\n"
                "Leave dataset.test out; or make all samples train, and let it part them."
            )
        units = train.samples.keys() if train.groups is None else named_keys(train.groups)
        out = held_out(units, task.strata(train.targets), self.test, self.test_seed)
        what = "samples" if train.groups is None else f"samples in {len(np.unique(train.groups[out]))} groups"
        note = f"{source}: {int(out.sum())} of {len(out)} {what} are held out by content as test part"
        return train.taken(~out), train.taken(out), [note]

    def _across(self, train: Split, test: Split, source: object) -> list[str]:
        if train.groups is None or test.groups is None:
            return []
        both = np.intersect1d(train.groups, test.groups)
        if not len(both):
            return []
        said = f"{source}: {len(both)} groups are in both parts, such as {both[0]}"
        if self.shared_groups:
            return [f"{said}: the test score says little of groups that are new"]
        raise DataError(
            f"{said}.\nMove each to one part, leave the split out and set dataset.test=0.2, or allow it:"
            " dataset.shared_groups=true"
        )


def named_keys(names: NDArray[Any]) -> NDArray[np.int64]:
    """Return 64 bits of each name."""
    return keys((str(name).encode() for name in names), len(names))


def group_names(values: Sequence[Any] | None, places: Sequence[str]) -> NDArray[np.str_] | None:
    """Return the names of groups as text; None where there are none.

    Args:
        values: one a sample, text or numbers.
        places: where each stands, for messages.

    Raises:
        DataError: one is missing.
    """
    if values is None:
        return None
    for value, place in zip(values, places, strict=True):
        if value is None or value != value or not str(value).strip():
            raise DataError(f"{place}: the group has no value.\nGive each sample one, or leave the column {GROUP} out.")
    return np.array([str(value).strip() for value in values])
