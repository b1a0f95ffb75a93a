"""What finished points say together: forecasts, statements, variances, comparisons. Points in, findings out."""

from scaling.findings.asked import Settings
from scaling.findings.finding import find
from scaling.findings.results import Ahead, CurveFindings, Findings, Gap, ModelSize, Ranks

__all__ = ["Ahead", "CurveFindings", "Findings", "Gap", "ModelSize", "Ranks", "Settings", "find"]
