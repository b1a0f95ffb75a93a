"""Scalability against the size of models: parameters and FLOPs beside exponent, asymptote and saturation."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, product
from statistics import fmean

from scaling.core.comparisons import holm
from scaling.core.curves import Curve
from scaling.core.ranks import Association, association
from scaling.findings.results import Complexity, CurveFindings, ModelSize, Relation
from scaling.metrics import Metric

PARAMETERS, FLOPS = "model/parameters", "model/flops"
SIZES = ("parameters", "flops")
#: What statements are called, and the quantities that they tell.
QUANTITY_OF = {"local_exponent": "exponent", "asymptote": "asymptote", "saturation": "saturation"}
QUANTITIES = (*QUANTITY_OF.values(), "error")
#: Settings of a data set that decide the size of a model's input.
INPUT = ("dataset.input_size",)


def complexity(curves: Sequence[Curve], findings: Sequence[CurveFindings], metric: Metric) -> Complexity:
    """Put each curve beside the size of its model.

    Args:
        findings: of the same curves, in their order.
    """
    known, errors = _sizes(curves), _errors(findings, metric)
    rows = []
    for curve, found in zip(curves, findings, strict=True):
        told = {QUANTITY_OF[item.kind]: item for item in found.statements if item.kind in QUANTITY_OF and item.told}
        estimates = {quantity: item.estimate for quantity, item in told.items()}
        parameters, flops = known.get(_model(curve), (None, None))
        point = curve.points[0]
        rows.append(
            ModelSize(
                curve.curve_id,
                point.dataset,
                point.adaptation,
                point.model,
                parameters,
                flops,
                estimates.get("exponent"),
                estimates.get("asymptote"),
                estimates.get("saturation"),
                errors[curve.curve_id],
                {quantity: (item.low, item.high) for quantity, item in told.items()},
            )
        )
    return Complexity(tuple(rows), tuple(relations(rows)))


def _errors(findings: Sequence[CurveFindings], metric: Metric) -> dict[str, float]:
    """Return each curve's mean error at the largest n that all curves of its data set share; else at its own."""
    means = {found.curve_id: {row.n: row.mean for row in found.variance} for found in findings}
    of_dataset: dict[str, list[set[int]]] = defaultdict(list)
    for found in findings:
        of_dataset[found.dataset].append(set(means[found.curve_id]))
    shared = {name: set.intersection(*sizes) for name, sizes in of_dataset.items()}
    return {
        found.curve_id: metric.error(means[found.curve_id][max(shared[found.dataset] or means[found.curve_id])])
        for found in findings
    }


def _model(curve: Curve) -> tuple[object, ...]:
    """Return what a model's size is a function of, as far as settings tell."""
    point = curve.points[0]
    settings = tuple(
        sorted((key, value) for key, value in point.settings.items() if key.startswith("model.") or key in INPUT)
    )
    return point.model, point.dataset, settings


def _sizes(curves: Sequence[Curve]) -> dict[tuple[object, ...], tuple[float | None, float | None]]:
    """Return parameters and FLOPs of each model, from any run that logged them."""
    found: dict[tuple[object, ...], tuple[float | None, float | None]] = {}
    for curve in curves:
        logged = next((point.metrics for point in curve.points if PARAMETERS in point.metrics), None)
        if logged is not None:
            found.setdefault(_model(curve), (logged[PARAMETERS], logged.get(FLOPS)))
    return found


def relations(rows: Sequence[ModelSize]) -> Iterator[Relation]:
    """Yield whether each quantity goes with each size, within one data set and adaptation, corrected for their number.

    Curves of one model and size, which differ in a further setting, count once, by their mean.
    """

    def group(row: ModelSize) -> tuple[str, str]:
        return row.dataset, row.adaptation

    asked = []
    for (dataset, adaptation), members in groupby(sorted(rows, key=group), key=group):
        same = list(members)
        for size, quantity in product(SIZES, QUANTITIES):
            known = _by_model(same, size, quantity)
            if len(known) > 1:
                asked.append(
                    (
                        dataset,
                        adaptation,
                        size,
                        quantity,
                        association([of for of, _ in known], [value for _, value in known]),
                    )
                )
    p = [1.0 if found.p is None or not found.told else found.p for *_, found in asked]
    for question, corrected in zip(asked, holm(p), strict=True):
        yield relation(*question, float(corrected))


def _by_model(rows: Sequence[ModelSize], size: str, quantity: str) -> list[tuple[float, float]]:
    """Return size and mean quantity of each model for which both are known."""
    known: dict[tuple[str, float], list[float]] = defaultdict(list)
    for row in rows:
        of, value = getattr(row, size), getattr(row, quantity)
        if of is not None and value is not None:
            known[row.model, of].append(value)
    return [(of, fmean(values)) for (_, of), values in known.items()]


def relation(dataset: str, adaptation: str, size: str, quantity: str, found: Association, corrected: float) -> Relation:
    """Say whether a quantity goes with a size.

    Args:
        corrected: the p-value, corrected for all relations that were looked at.
    """
    title = "FLOPs" if size == "flops" else size
    pair = f"{quantity} and {title} on {dataset} with {adaptation}"
    if found.tau is None or found.p is None:
        text = f"Whether {pair} go together cannot be told: one of them is the same in all {found.k} models."
    elif not found.told:
        text = (
            f"Whether {pair} go together cannot be told from {found.k} models: even a perfect order would be too likely"
            f" by chance (Kendall's tau = {found.tau:.2f})."
        )
    else:
        verdict = "go together" if corrected <= 0.05 else "are not shown to go together"
        text = (
            f"Over {found.k} models {pair} {verdict} (Kendall's tau = {found.tau:.2f}, p = {found.p:.2g}, corrected"
            f" {corrected:.2g})."
        )
    return Relation(dataset, adaptation, size, quantity, found.k, found.tau, found.p, found.told, text)
