"""Columns of curves.csv, in their order; other people's scripts rely on them."""

from collections.abc import Iterable
from math import isnan
from typing import Any

from scaling.core.curves import Curve, Point

#: The scores of classification had columns of their own before there were others; elsewhere these are empty.
COLUMNS = (
    "curve_id", "label", "model", "dataset", "adaptation", "n", "n_requested", "seed",
    "train_accuracy", "test_accuracy", "upgradeability", "fingerprint", "run_id", "flag",
    "metric", "train_score", "test_score",
)  # fmt: skip


def rows(curves: Iterable[Curve]) -> list[dict[str, Any]]:
    """Return one row a point, with the columns of curves.csv; what is not known is None."""

    def value(curve: Curve, point: Point, column: str) -> Any:
        if column == "label":
            return curve.label
        # Split and metric: test_recall is what the run logged as test/recall.
        entry = getattr(point, column) if hasattr(point, column) else point.logged(column.replace("_", "/", 1))
        if not isinstance(entry, float):
            return entry
        # Beyond twelve digits there is only the noise of binary fractions: 0.8 - 0.9 is -0.09999999999999998.
        return None if isnan(entry) else round(entry, 12)

    return [{column: value(curve, point, column) for column in COLUMNS} for curve in curves for point in curve.points]
