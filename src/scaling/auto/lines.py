"""The curves that n=auto measures: which points they may have, and where they begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from scaling.core.errors import AdaptationError, SettingError
from scaling.core.identity import GridPoint
from scaling.runs.job import Job
from scaling.runs.spec import RunSpec

#: Overrides and settings of grid points.
Points = Sequence[tuple[Sequence[str], RunSpec]]

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
        full = n >= self.pool
        found = []
        for overrides, spec in self.points[:1] if full or seed is not None else self.points:
            changed, point = spec.at(None if full else n, spec.seed if seed is None else seed)
            names = {text.partition("=")[0] for text in changed}
            kept = [text for text in overrides if text.partition("=")[0].lstrip("+") not in names]
            found.append(([*kept, *changed], point))
        return found

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


def _possible(spec: RunSpec) -> bool:
    try:
        Job(spec).check()
    except (AdaptationError, SettingError):
        return False
    return True


def lines(candidates: Points) -> list[Line]:
    """Group a grid of n=auto into curves.

    Raises:
        ScalingError: even the whole training set can't be run as it is set.
    """
    groups: dict[str, list[tuple[Sequence[str], RunSpec]]] = {}
    found: dict[str, GridPoint] = {}
    for overrides, spec in candidates:
        point = Job(spec).check()
        found[point.curve_id] = point
        groups.setdefault(point.curve_id, []).append((overrides, spec))
    return [
        Line(curve_id, f"{point.model} {point.dataset} {point.adaptation}", point.n, groups[curve_id])
        for curve_id, point in found.items()
    ]
