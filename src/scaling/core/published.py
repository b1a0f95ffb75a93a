"""Expected figures, published or our own, beside those that were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.core.curves import Curve, Point


@dataclass(frozen=True)
class Published:
    """A published figure beside the one that was measured; None where no point answers to it."""

    what: str
    source: str
    expected: float
    tolerance: float
    measured: float | None

    @property
    def verdict(self) -> str:
        """Say whether they agree."""
        if self.measured is None:
            return "not measured"
        return "agrees" if abs(self.measured - self.expected) <= self.tolerance + 1e-12 else "differs"

    def __str__(self) -> str:
        measured = "–" if self.measured is None else f"{self.measured:.4f}"
        off = "" if self.measured is None else f" ({self.measured - self.expected:+.4f})"
        return f"{self.what}: {measured}, expected {self.expected} ± {self.tolerance}{off}: {self.verdict}"


def value_of(point: Point, quantity: str) -> float:
    """Return what a run logged as SPLIT_METRIC, such as test_recall, or its upgradeability."""
    return point.upgradeability if quantity == "upgradeability" else point.logged(quantity.replace("_", "/", 1))


def compare(expected: Sequence[Mapping[str, Any]], curves: Sequence[Curve]) -> list[Published]:
    """Hold published figures against the curves.

    Args:
        expected: entries with model, dataset, adaptation, n, quantity (see `value_of`), value, tolerance and
            source. The measured value is the mean over seeds; curves that differ in a further setting are
            compared one by one. `settings`, such as {model.pretrained: true}, leaves those with others out.
    """
    comparisons = {}
    for entry in expected:
        names = {key: str(entry[key]) for key in ("model", "dataset", "adaptation")}
        settings = {key: str(value) for key, value in (entry.get("settings") or {}).items()}
        fitting = [
            curve
            for curve in curves
            if all(getattr(curve.points[0], key) == value for key, value in names.items())
            and all(curve.points[0].settings.get(key, value) == value for key, value in settings.items())
        ]
        found = {curve.label: [value_of(p, entry["quantity"]) for p in curve.at(int(entry["n"]))] for curve in fitting}
        measured = {label: sum(values) / len(values) for label, values in found.items() if values}
        for label, value in measured.items() or [(" ".join(names.values()), None)]:
            what = f"{entry['quantity'].replace('_', ' ')}, {label}, n={entry['n']}"
            comparisons[what, entry["source"]] = Published(
                what=what,
                source=entry["source"],
                expected=float(entry["value"]),
                tolerance=float(entry["tolerance"]),
                measured=value,
            )
    return list(comparisons.values())
