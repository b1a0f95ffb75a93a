"""What is asked of the findings, and where the predictions come from that they rest on."""

from dataclasses import dataclass
from math import inf
from typing import Protocol

from scaling.core.curves import Point
from scaling.core.errors import SettingError
from scaling.core.metrics import Metric, metric_of
from scaling.core.scores import Predictions


@dataclass(frozen=True)
class Settings:
    """What is asked of the findings; conf/report.yaml carries it.

    Attributes:
        metric: the logged metric that curves show.
        threshold: gain that matters for saturation, in units of the metric; None for what the test set can
            measure, at most a tenth of the error.
        targets: values of the metric for which the needed n is sought.
        labels: numbers of further labels whose value is asked for.
        level: chance of any false verdict among all comparisons; intervals of differences cover 1 − level.
    """

    metric: str = "test/accuracy"
    threshold: float | None = None
    targets: tuple[float, ...] = ()
    labels: tuple[float, ...] = (1_000, 10_000)
    level: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.level < 0.5:
            raise SettingError(f"level={self.level}: expected a chance above 0 and below 0.5, such as 0.05.")
        if self.threshold is not None and not self.threshold > 0:
            raise SettingError(f"threshold={self.threshold}: expected a gain above 0, or null.")
        if any(not 0 < number < inf for number in self.labels):
            raise SettingError(f"labels={list(self.labels)}: expected finite numbers above 0.")


class PredictionSource(Protocol):
    """Where stored predictions come from."""

    def of(self, point: Point) -> Predictions | None:
        """Return a point's predictions on the test set, or None where they can't be had."""
        ...


def checked_metric(settings: Settings) -> Metric:
    """Return the metric that is asked for; its targets have to be within reach."""
    metric = metric_of(settings.metric)
    if not metric.name.startswith("test/"):
        raise SettingError(
            f"metric={settings.metric}: of the training samples, which every curve shows beside its test metric.\n"
            f"Take metric=test/{metric.name.partition('/')[2]}."
        )
    for target in settings.targets:
        if not metric.error(target) > 0 or (metric.bounded and not target > 0):
            expected = "a value above 0 and below 1" if metric.bounded else "a value above 0"
            raise SettingError(f"targets={list(settings.targets)}: {target} of {metric.name}, expected {expected}.")
    return metric
