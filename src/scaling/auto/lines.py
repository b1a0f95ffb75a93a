"""The curves that n=auto measures: which points they may have, and where they begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scaling.auto.goal import Points
from scaling.core.errors import AdaptationError, SettingError
from scaling.core.identity import GridPoint
from scaling.core.subsets import FULL
from scaling.evaluate import Job

#: The first sizes, as shares of the whole training set: three are the fewest that show a trend.
FIRST = (1 / 128, 1 / 32, 1 / 8)


@dataclass(frozen=True)
class Line:
    """One curve that is measured: the overrides and settings of its seeds, with n=auto.

    Attributes:
        curve_id: of its points.
        name: model, data set and adaptation.
        pool: size of the whole training set.
    """

    curve_id: str
    name: str
    pool: int
    points: Points

    def at(self, n: int, seed: int | None = None) -> Points:
        """Return its points at an n, one a seed; of the whole training set one, for all seeds share it.

        Args:
            seed: a further one, in place of those that were asked for.
        """
        value = FULL if n >= self.pool else n
        points = self.points[:1] if value == FULL or seed is not None else self.points
        return [replaced(*point, {"n": value} if seed is None else {"n": value, "seed": seed}) for point in points]

    @cached_property
    def first(self) -> list[int]:
        """The sizes to begin with, from the smallest that its adaptation takes."""
        found: list[int] = []
        for share in FIRST:
            n = max(int(float(f"{self.pool * share:.2g}")), 1)
            while n < self.pool and not _possible(self.at(n)[0][1]):
                n *= 2
            while n in found:
                n *= 2
            found.append(min(n, self.pool))
        return sorted(set(found))


def replaced(
    overrides: Sequence[str], settings: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """Return the overrides and settings of a point with other values of some settings."""
    kept = [text for text in overrides if text.partition("=")[0].lstrip("+") not in values]
    return [*kept, *(f"{name}={value}" for name, value in values.items())], {**settings, **values}


def _possible(settings: Mapping[str, Any]) -> bool:
    try:
        Job(settings).check()
    except (AdaptationError, SettingError):
        return False
    return True


def lines(candidates: Points) -> list[Line]:
    """Group a grid of n=auto into curves.

    Raises:
        ScalingError: even the whole training set can't be run as it is set.
    """
    groups: dict[str, list[tuple[Sequence[str], Mapping[str, Any]]]] = {}
    found: dict[str, GridPoint] = {}
    for overrides, settings in candidates:
        point = Job({**settings, "n": FULL}).check()
        found[point.curve_id] = point
        groups.setdefault(point.curve_id, []).append((overrides, settings))
    return [
        Line(curve_id, f"{point.model} {point.dataset} {point.adaptation}", point.n, groups[curve_id])
        for curve_id, point in found.items()
    ]
