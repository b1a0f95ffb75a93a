"""What a grid costs before it is run: work, and what work takes where it was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Multiply–adds below which a fit takes no time that is worth a measurement.
NEGLIGIBLE = 1e9
#: Seconds that a point takes beyond its forward pass and fit.
POINT_SECONDS = 0.2
#: Elements of the largest matrices of the linear probe's solver, which bounds its memory.
LOGIT_ELEMENTS = 1 << 23
#: Bytes that a process takes with everything imported and nothing loaded.
PROCESS_BYTES = 700e6
#: Bytes that a finished run takes beside its predictions: database rows, config, log.
RUN_BYTES = 100e3

#: Stages of a run that are neither fitting nor predicting, as their seconds are logged.
AROUND = ("time/load_s", "time/logging_s")
FEATURES = "time/features_of_"

PROBE, EARLIER, ARITHMETIC = "from a short probe", "from earlier runs", "too little to measure"
UNKNOWN = "not known before a first run"


@dataclass(frozen=True)
class Cost:
    """What a fit takes: multiply–adds, and bytes of memory at its peak."""

    multiply_adds: float
    memory: float


@dataclass(frozen=True)
class Rate:
    """Seconds that one unit of work takes, and how that is known."""

    seconds: float
    source: str

    @staticmethod
    def of(measured: Sequence[tuple[float, float]], source: str) -> "Rate | None":
        """Return the rate of (units, seconds) pairs, weighted by units; None where no unit was measured."""
        units = sum(count for count, _ in measured)
        return Rate(sum(seconds for _, seconds in measured) / units, source) if units > 0 else None


@dataclass(frozen=True)
class Estimate:
    """What the pending points of a grid will take, run one after the other.

    Attributes:
        points: points pending.
        samples: samples that need a forward pass; each counts once a backbone.
        forward_seconds, fit_seconds: of the passes, and of the points' fits and all that is around them.
        forward_source, fit_source: how these are known.
        disk: bytes that features and runs will take.
        memory: bytes at the peak.
    """

    points: int
    samples: int
    forward_seconds: float
    forward_source: str
    fit_seconds: float
    fit_source: str
    disk: float
    memory: float

    @property
    def seconds(self) -> float:
        """Seconds in all."""
        return self.forward_seconds + self.fit_seconds


def fit_seconds(metrics: Mapping[str, float]) -> float | None:
    """Return the time of a run's stages between loading and logging, features left out; None where none was logged."""
    stages = [
        seconds
        for name, seconds in metrics.items()
        if name.startswith("time/") and name not in AROUND and not name.startswith(FEATURES)
    ]
    return sum(stages) if stages else None


def feature_seconds(metrics: Mapping[str, float]) -> float:
    """Return the time that a run spent on features that were not stored yet."""
    return sum(seconds for name, seconds in metrics.items() if name.startswith(FEATURES))


def duration(seconds: float) -> str:
    """Write a duration to two figures that matter: 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 1:
        return "less than 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Write bytes in the largest unit that leaves a figure before the point, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 9.95 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
