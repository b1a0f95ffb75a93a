"""What is asked of the findings, and where the predictions come from that they rest on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from scaling.core.curves import Point
from scaling.core.errors import SettingError
from scaling.core.extrapolation.collecting import Price
from scaling.metrics import Metric, metric_of, primary_metric
from scaling.metrics.stored import Samples


@dataclass(frozen=True)
class Settings:
    """What is asked of the findings; conf/report.yaml carries it.

    Attributes:
        metric: the logged metric that curves show; None for the primary one of their task.
        threshold: gain that matters for saturation, in units of the metric; None for what the test set can
            measure, at most a tenth of the error.
        targets: values of the metric for which the needed n is sought.
        labels: numbers of further labels whose value is asked for.
        price: what labels cost, for the orders that reach a target.
        level: chance of any false verdict among all comparisons; intervals of differences cover 1 − level.
    """

    metric: str | None = None
    threshold: float | None = None
    targets: tuple[float, ...] = ()
    labels: tuple[float, ...] = (1_000, 10_000)
    price: Price = field(default_factory=Price)
    level: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.level < 0.5:
            raise SettingError(f"level={self.level}: expected a chance above 0 and below 0.5, such as 0.05.")
        if self.threshold is not None and not self.threshold > 0:
            raise SettingError(f"threshold={self.threshold}: expected a gain above 0, or null.")
        if any(not 0 < number < inf for number in self.labels):
            raise SettingError(f"labels={list(self.labels)}: expected finite numbers above 0.")


class SampleSource(Protocol):
    """Where the values of test samples come from."""

    def of(self, point: Point, metric: Metric) -> Samples | None:
        """Return one value of a metric for each test sample of a point, or None where they can't be had."""
        ...


def checked_metric(settings: Settings, points: Sequence[Point]) -> Metric:
    """Return the metric that is asked for, else the primary one of the points; its targets have to be within reach."""
    own = {point.metric for point in points}
    metric = metric_of(settings.metric, own) if settings.metric else primary_metric(points[0].metric)
    if metric.split != "test":
        raise SettingError(
            f"metric={settings.metric}: of the training samples, which every curve shows beside its test metric.\n"
            f"Take metric=test/{metric.name}."
        )
    for target in settings.targets:
        if not metric.reaches(target):
            low, high = metric.bounds
            expected = f"a value above {low:g}" + (f" and below {high:g}" if high < inf else "")
            raise SettingError(f"targets={list(settings.targets)}: {target} of {metric.key}, expected {expected}.")
    return metric
