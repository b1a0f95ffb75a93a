"""Scalability against the size of models: parameters and FLOPs beside exponent, asymptote and saturation."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
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
        point, (parameters, flops) = curve.points[0], known.get(_model(curve), (None, None))
        rows.append(
            ModelSize(
                curve.curve_id, point.dataset, point.adaptation, point.model, parameters, flops,
                **{name: told[name].estimate if name in told else None for name in QUANTITY_OF.values()},
                error=errors[curve.curve_id], bounds={name: (item.low, item.high) for name, item in told.items()},
            )
        )  # fmt: skip
    return Complexity(tuple(rows), tuple(relations(rows)))


def _errors(findings: Sequence[CurveFindings], metric: Metric) -> dict[str, float]:
    """Return each curve's mean error at the largest n that all curves of its data set share; else at its own."""
    means = {found.curve_id: {row.n: row.mean for row in found.variance} for found in findings}
    errors = {}
    for found in findings:
        own = means[found.curve_id]
        shared = set(own).intersection(*(means[other.curve_id] for other in findings if other.dataset == found.dataset))
        errors[found.curve_id] = metric.error(own[max(shared or own)])
    return errors


def _model(curve: Curve) -> tuple[object, ...]:
    """Return what a model's size is a function of, as far as settings tell."""
    point = curve.points[0]
    kept = sorted(item for item in point.settings.items() if item[0].startswith("model.") or item[0] in INPUT)
    return point.model, point.dataset, tuple(kept)


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

    asked = []
    for dataset, adaptation in sorted({(row.dataset, row.adaptation) for row in rows}):
        same = [row for row in rows if (row.dataset, row.adaptation) == (dataset, adaptation)]
        for size, quantity in product(SIZES, QUANTITIES):
            known = _by_model(same, size, quantity)
            if len(known) > 1:
                of, values = zip(*known, strict=True)
                asked.append((dataset, adaptation, size, quantity, association(of, values)))
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
