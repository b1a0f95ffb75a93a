"""What finished points say together: forecasts, statements, variances, comparisons. Points in, findings out."""

from scaling.findings.asked import SampleSource, Settings
from scaling.findings.finding import find
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
    Pretraining,
    Ranks,
    Relation,
    Variance,
)  # fmt: skip

__all__ = [
    "Ahead",
    "Comparison",
    "Complexity",
    "Cost",
    "Crossover",
    "CurveFindings",
    "Findings",
    "Gain",
    "Gap",
    "ModelSize",
    "Pretraining",
    "Ranks",
    "Relation",
    "SampleSource",
    "Settings",
    "Variance",
    "find",
]  # fmt: skip
