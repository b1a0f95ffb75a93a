"""The page: one self-contained file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.core.curves import Curve
from scaling.report.collect import Report


def render(report: Report, figures: Mapping[str, Path]) -> str:
    """Return the page: one self-contained file."""
    import base64

    from jinja2 import Environment, PackageLoader, StrictUndefined

    images = {
        name.removesuffix(".png"): base64.b64encode(path.read_bytes()).decode()
        for name, path in figures.items()
        if name.endswith(".png")
    }
    environment = Environment(loader=PackageLoader("scaling", "templates"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("report.html.j2").render(
        report=report, images=images, summaries=[summary(curve) for curve in report.curves]
    )


def summary(curve: Curve) -> dict[str, Any]:
    """Return a curve's table: one row an n, aggregated over seeds."""
    test, train, gap = (curve.band(name) for name in ("test_accuracy", "train_accuracy", "upgradeability"))
    interval = [curve.band(name).mean for name in ("test_low", "test_high")]
    entries = [
        {
            "n": n,
            "seeds": len(curve.at(n)),
            "train": train.mean[i],
            "test": test.mean[i],
            "interval": (interval[0][i], interval[1][i]),
            "range": (test.low[i], test.high[i]),
            "no_draw_variance": curve.no_draw_variance(n),
            "upgradeability": gap.mean[i],
            "runs": [point.run_id for point in curve.at(n)],
        }
        for i, n in enumerate(curve.n.tolist())
    ]
    return {"label": curve.label, "curve_id": curve.curve_id, "rows": entries}
