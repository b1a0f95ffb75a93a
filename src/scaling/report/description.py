"""What a sweep found as the description of its run in MLflow: Markdown, the table first."""

from collections.abc import Sequence

from scaling.core.curves import Curve, Point, curves_of
from scaling.findings import Findings, Settings, find
from scaling.metrics import Metric, primary_metric
from scaling.metrics.stored import Samples
from scaling.report.tables import MARKDOWN, as_markdown, escaped, main_table

#: Letters that every MLflow store takes.
MOST = 5000
CUT = "\nMore in the report.\n"


class Unread:
    """Where no predictions are read, so that a sweep ends without reading what it wrote."""

    def of(self, point: Point, metric: Metric) -> Samples | None:
        """Return nothing."""
        return None


def described_points(points: Sequence[Point]) -> str:
    """Describe points by what their logged scores alone tell; nothing where there are none."""
    curves = curves_of(points)
    return described(curves, find(curves, Unread(), Settings(labels=(1_000,)))) if curves else ""


def described(curves: Sequence[Curve], findings: Findings | None) -> str:
    """Return the main table and the statements of each curve, as many whole paragraphs as a store takes."""
    metric = findings.metric if findings else primary_metric(curves[0].points[0].metric)
    parts = [as_markdown(main_table(curves, metric, findings))]
    for curve in findings.curves if findings else ():
        lines = [f"- **{item.kind.replace('_', ' ')}**: {escaped(item.text, MARKDOWN)}" for item in curve.statements]
        parts.append(f"\n**{escaped(curve.label, MARKDOWN)}**\n\n" + "\n".join(lines) + "\n")
    text = ""
    for paragraph in "".join(parts).splitlines(keepends=True):
        if len(text) + len(paragraph) > MOST - len(CUT):
            return text + CUT
        text += paragraph
    return text
