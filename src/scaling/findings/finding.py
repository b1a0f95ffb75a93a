"""Everything that a report says of its curves: first n by n, then curve by curve."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from scaling.core.curves import Curve, caveats
from scaling.core.errors import SettingError
from scaling.findings.asked import SampleSource, Settings, checked_metric
from scaling.findings.classes import class_growth
from scaling.findings.complexity import complexity
from scaling.findings.costs import costs
from scaling.findings.curve import curve_findings
from scaling.findings.next_steps import MOST_CURVES, next_steps
from scaling.findings.orders import with_lead
from scaling.findings.pairs import judged, scratch_pairs
from scaling.findings.pretraining import pretraining
from scaling.findings.results import Findings
from scaling.findings.table import CurveSet
from scaling.metrics import Metric, is_metric


def find(curves: Sequence[Curve], samples: SampleSource, settings: Settings | None = None) -> Findings:
    """Find what curves say.

    Args:
        curves: all curves of a report.
        samples: where the values of their test samples come from; each run is asked for at most once, n by n.
        settings: what is asked.

    Raises:
        SettingError: an unknown metric, one that no run logged, or a target that it can't reach.
    """
    settings = settings or Settings()
    metric = checked_metric(settings, [point for curve in curves for point in curve.points])
    shown = having(curves, metric)
    labels = {curve.curve_id: curve.label for curve in shown}
    scratch = scratch_pairs(shown)
    by_dataset: dict[str, list[Curve]] = defaultdict(list)
    for curve in shown:
        by_dataset[curve.points[0].dataset].append(curve)
    tables = [CurveSet(name, group, metric, settings, scratch) for name, group in by_dataset.items()]
    for table in tables:
        table.read(samples)
    made = [item for table in tables for item in table.comparisons]
    comparisons = tuple(judged(made, sum(table.family for table in tables), metric, settings, labels))
    rows = {curve_id: kept for table in tables for curve_id, kept in table.rows.items()}
    gaps = {curve_id: kept for table in tables for curve_id, kept in table.gaps.items()}
    told = tuple(curve_findings(c, metric, settings, rows[c.curve_id], gaps.get(c.curve_id, ())) for c in shown)
    return Findings(
        metric=metric,
        settings=settings,
        curves=told,
        comparisons=comparisons,
        ranks=tuple(with_lead(found, comparisons) for table in tables if (found := table.ranks(labels)) is not None),
        crossovers=tuple(crossed for table in tables for crossed in table.crossovers(labels)),
        pretraining=tuple(pretraining(scratch, comparisons, metric, settings, labels)),
        costs=tuple(costs(shown, metric)),
        complexity=complexity(shown, told, metric),
        steps=next_steps(shown, told, comparisons, metric, settings),
        classes=tuple(
            row
            for table in tables
            for curve in table.curves
            if curve in shown[:MOST_CURVES]
            for row in class_growth(curve, table.curves, settings)
        ),
        notes=(*left_out(curves, shown, metric), *(note for table in tables for note in table.notes())),
        caveats=caveats(shown),
    )


def having(curves: Sequence[Curve], metric: Metric) -> list[Curve]:
    """Return the curves of which any run logged a metric.

    Raises:
        SettingError: none did; it names those there are.
    """
    shown = [curve for curve in curves if any(np.isfinite(point.logged(metric.key)) for point in curve.points)]
    if not shown:
        points = [point for curve in curves for point in curve.points]
        known = {key for point in points for key in (*point.metrics, f"test/{point.metric}") if key.startswith("test/")}
        drawn = ", ".join(sorted(filter(is_metric, known)))
        raise SettingError(f"metric={metric.key}: no run of these curves has it.\nThey have: {drawn}.")
    return shown


def left_out(curves: Sequence[Curve], shown: Sequence[Curve], metric: Metric) -> list[str]:
    """Name the curves that lack a metric."""
    kept = {curve.curve_id for curve in shown}
    missing = [curve.label for curve in curves if curve.curve_id not in kept]
    return [f"{metric.key} was not logged by the runs of {', '.join(missing)}."] if missing else []
