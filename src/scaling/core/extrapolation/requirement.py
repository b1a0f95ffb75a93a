"""How many samples a target takes: the forecast read the other way round."""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from scaling.core.errors import SettingError
from scaling.core.extrapolation.experts import Floats
from scaling.core.extrapolation.forecast import Forecast

#: How far beyond the largest n a target is sought, in octaves (a factor of 32), and places an octave.
HORIZON, STEPS = 5, 16
#: Tails of the central 90 % interval, and its middle.
LEVELS = (0.05, 0.5, 0.95)
#: A target that is reached at all with less than these chances has no n, or an interval without an upper end.
LEAST_CHANCE, LEAST_FOR_UPPER = 0.25, 0.5
#: One-sided 95 % point of the normal distribution.
ONE_SIDED_Z = 1.6448536269514722


@dataclass(frozen=True)
class Needed:
    """What is believed of the n that a target takes.

    Attributes:
        n: sizes, evenly spaced in log n, shape (t,); the first is the largest measured one, or the smallest where the
            points reach the target.
        share: belief that it takes at most so many, given that up to the last of them it is reached at all, shape (t,).
        chance: chance that it is reached there at all.
    """

    n: Floats
    share: Floats
    chance: float

    def at(self, level: float) -> float:
        """Return the n that suffices with a belief."""
        return float(np.interp(level, self.share, self.n))

    @property
    def interval(self) -> tuple[float, float, float]:
        """The n that the target takes, and its central 90 % interval; infinite where it may never be reached."""
        low, middle, high = map(self.at, LEVELS)
        return (
            middle if self.chance >= LEAST_CHANCE else inf,
            low if self.chance > 1 - LEVELS[2] else inf,
            high if self.chance >= LEAST_FOR_UPPER else inf,
        )


def needed(fitted: Forecast, error: float) -> Needed:
    """Return what is believed of the n that an error takes.

    Before the target is known, every octave up to the horizon is taken to be as likely; then each counts by the
    density that the forecast has there at the target. A target that the points surely reach is sought among them.

    Raises:
        SettingError: a target that is not positive.
    """
    if not error > 0:
        raise SettingError(f"error={error}: expected a target above 0.")
    points = fitted.observations
    if float(points.error[-1]) <= error - ONE_SIDED_Z * sqrt(float(points.variance[-1])):
        n = np.geomspace(points.n[0], points.top, HORIZON * STEPS + 1) if len(points.n) > 1 else points.n
        share = np.maximum.accumulate(fitted.at_target(n, error)[1])
        return Needed(n, share / share[-1], 1.0)
    n = points.top * np.exp2(np.arange(HORIZON * STEPS + 1) / STEPS)
    density, below = fitted.at_target(n, error)
    share = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    # Where the forecast gives a target no density that is above 0, all that is known of it is that it is far.
    share = share / share[-1] if share[-1] > 0 else np.linspace(0, 1, len(n))
    return Needed(n, share, float(below.max()))
