"""What finished points say together: forecasts, statements, variances, comparisons. Points in, findings out."""

from collections.abc import Sequence

from scaling.core.curves import Curve
from scaling.core.metrics import metric_of
from scaling.findings.results import (
    Ahead,
    Comparison,
    Complexity,
    Cost,
    Crossover,
    CurveFindings,
    Findings,
    Gain,
    Gap,
    ModelSize,
    PredictionSource,
    Pretraining,
    Ranks,
    Relation,
    Settings,
    TestPredictions,
    Variance,
)  # fmt: skip

__all__ = [
    "Ahead", "Comparison", "Complexity", "Cost", "Crossover", "CurveFindings", "Findings", "Gain", "Gap", "ModelSize",
    "PredictionSource", "Pretraining", "Ranks", "Relation", "Settings", "TestPredictions", "Variance", "find",
]  # fmt: skip


def find(curves: Sequence[Curve], predictions: PredictionSource, settings: Settings | None = None) -> Findings:
    """Find what curves say.

    Args:
        curves: all curves of a report.
        predictions: where their stored predictions come from; each run is asked for at most once.
        settings: what is asked.

    Raises:
        SettingError: the metric is unknown.
    """
    settings = settings or Settings()
    metric = metric_of(settings.metric)
    raise NotImplementedError(metric.name)
