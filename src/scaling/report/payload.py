"""What the page's script draws from: plain containers, and how they are written into a script element."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaling.core.curves import Curve
from scaling.figures import MARKERS, look, seconds_of, short_labels
from scaling.findings import Ahead, CurveFindings, Findings
from scaling.findings.plain import as_plain
from scaling.metrics import Metric
from scaling.report.collection import Report
from scaling.report.tables import known

#: Plotly's names of the markers.
SYMBOLS = dict(zip(MARKERS, ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"), strict=True))
#: Places at which a forecast is drawn on the page; more would not be seen.
MOST_PLACES = 60


def payload(report: Report) -> dict[str, Any]:
    """Return everything that the page draws."""
    metric = report.metric
    found = {entry.curve_id: entry for entry in report.findings.curves} if report.findings else {}
    seconds = seconds_of(report.findings) if report.findings else {}
    labels, shared = short_labels([curve.label for curve in report.curves])
    return {
        "metric": {
            "title": metric.title,
            "error": metric.error_title,
            "best": metric.bounds[1] if metric.higher_is_better else None,
        },
        "link": report.links.base,
        "served": report.links.served,
        "shared": shared,
        "curves": [
            drawn_curve(curve, label, position, metric, found.get(curve.curve_id), seconds)
            for position, (curve, label) in enumerate(zip(report.curves, labels, strict=True))
        ],
        "pretraining": pretraining(report.findings) if report.findings else [],
        "sizes": sizes(report.findings) if report.findings else [],
    }


def drawn_curve(
    curve: Curve, label: str, position: int, metric: Metric, found: CurveFindings | None,
    seconds: Mapping[tuple[str, int], float | None],
) -> dict[str, Any]:  # fmt: skip
    """Return one curve: its look, its points column by column, its means, its forecast."""
    colour, marker = look(position)
    sizes = curve.n.tolist()
    return {
        "id": curve.curve_id,
        "label": curve.label,
        "short": label,
        "dataset": curve.points[0].dataset,
        "colour": colour,
        "symbol": SYMBOLS[marker],
        "points": columns(curve, metric),
        "n": sizes,
        "seconds": [seconds.get((curve.curve_id, n)) for n in sizes],
        "gap": gap_interval(found, sizes),
        "forecast": ahead(found.forecast, sizes[-1]) if found and found.forecast else None,
        "train_forecast": ahead(found.train_forecast, sizes[-1]) if found and found.train_forecast else None,
        "caution": found.caution_from if found else None,
    }


def columns(curve: Curve, metric: Metric) -> dict[str, list[Any]]:
    """Return the points column by column: a row of objects would repeat each name ten thousand times."""
    keys = {"test": metric.key, "train": metric.train_key, "low": f"{metric.key}_low", "high": f"{metric.key}_high"}
    return {
        "n": [point.n for point in curve.points],
        "seed": ["all" if point.every_seed else point.seed for point in curve.points],
        **{name: [known(point.logged(key)) for point in curve.points] for name, key in keys.items()},
        "run": [point.run_id for point in curve.points],
    }


def gap_interval(found: CurveFindings | None, sizes: Sequence[int]) -> dict[str, list[float | None]]:
    """Return the interval of upgradeability at each n."""
    gaps = {gap.n: gap for gap in found.gaps} if found else {}
    return {
        "low": [gaps[n].low if n in gaps else None for n in sizes],
        "high": [gaps[n].high if n in gaps else None for n in sizes],
    }


def ahead(forecast: Ahead, largest: int) -> dict[str, list[float | None]]:
    """Return the part of a forecast beyond the largest n, at not too many places, as errors."""
    beyond = np.flatnonzero(forecast.n >= largest * (1 - 1e-9))
    if len(beyond) > MOST_PLACES:
        beyond = beyond[np.linspace(0, len(beyond) - 1, MOST_PLACES).round().astype(int)]
    names = ("n", "error", "low50", "high50", "low90", "high90")
    return {name: [known(float(f"{value:.5g}")) for value in getattr(forecast, name)[beyond]] for name in names}


def pretraining(findings: Findings) -> list[dict[str, Any]]:
    """Return the gain of pre-training, one entry a pair of curves."""
    return [
        {
            "curve": pair.a,
            **{name: [getattr(gain, name) for gain in pair.gains] for name in ("n", "gain", "low", "high", "seeds")},
        }
        for pair in findings.pretraining
    ]


def sizes(findings: Findings) -> list[dict[str, Any]]:
    """Return models beside their curves' figures, where there are two models or more of known size."""
    rows = [row for row in findings.complexity.rows if row.parameters is not None or row.flops is not None]
    names = ("model", "parameters", "flops", "exponent", "asymptote", "saturation", "error")
    if len({row.model for row in rows}) < 2:
        return []
    return [
        {"curve": row.curve_id, **{name: getattr(row, name) for name in names}, "bounds": as_plain(row.bounds)}
        for row in rows
    ]


def as_script(content: Any) -> str:
    """Write JSON that no name can end or change: what HTML or JavaScript could read otherwise is escaped."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
