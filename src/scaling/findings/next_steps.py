"""What to measure next: further points, by how far they would narrow the open answers for each second they take."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from scaling.core.curves import Curve
from scaling.core.extrapolation import Forecast
from scaling.core.extrapolation.narrowing import (
    Question,
    drawn,
    gained,
    narrowing,
    reaching,
    saturated,
    valued,
)  # fmt: skip
from scaling.core.extrapolation.statements import TEST_SET
from scaling.findings.asked import Settings
from scaling.findings.costs import feature_seconds
from scaling.findings.curve import fitted_curve
from scaling.findings.results import Comparison, CurveFindings, Floats, Variance
from scaling.findings.step import Step
from scaling.metrics import Metric

#: Steps that are named, and the least narrowing of an answer that is worth one.
SHOWN, WORTH = 3, 0.1
#: With more curves than this nothing is proposed: it would take longer than all else together.
MOST_CURVES = 12
#: Candidate sizes lie so many times apart, from this share of the largest on.
APART, SMALLEST_SHARE = 2**0.5, 1 / 64
#: A size that is so near to a measured one is none of its own.
NEAR = 1.15


@dataclass(frozen=True)
class Candidate:
    """Points that may be measured: an n with several seeds, and the seconds that they take; None where unknown."""

    n: int
    seeds: tuple[int, ...]
    seconds: float | None


def sizes(measured: Sequence[int], pool: int) -> list[int]:
    """Return sizes that are worth a thought: evenly spaced in log n up to the whole pool, away from measured ones."""
    spaced = pool / APART ** np.arange(int(np.log(1 / SMALLEST_SHARE) / np.log(APART)) + 1)
    rounded = [pool, *(int(float(f"{n:.2g}")) for n in spaced[1:].tolist())]
    return [n for n in rounded if min(measured) / 2 <= n and all(max(n / m, m / n) > NEAR for m in measured)]


def candidates(curve: Curve, pool: int) -> list[Candidate]:
    """Return new sizes with as many seeds as others have, and one further seed at each size that draws differ at."""
    seconds, measured = Timing(curve), curve.n.tolist()
    usual = Counter(tuple(point.seed for point in curve.at(n)) for n in measured).most_common(1)[0][0]
    found = [Candidate(n, (usual[0],) if n == pool else usual, None) for n in sizes(measured, pool)]
    for n in measured:
        if not curve.no_draw_variance(n):
            found.append(Candidate(n, (max(point.seed for point in curve.at(n)) + 1,), None))
    return [Candidate(one.n, one.seeds, seconds(one.n, len(one.seeds))) for one in found]


class Timing:
    """The seconds of further points of a curve: a line over n through its runs, and their features where new."""

    def __init__(self, curve: Curve) -> None:
        runs = [point for point in curve.points if point.seconds is not None]
        self.largest = int(curve.n.max())
        computed = sum(point.metrics.get("features_computed", 0.0) for point in runs)
        features = [feature_seconds(point.metrics) for point in runs]
        self.a_sample = sum(features) / computed if computed else 0.0
        self.line: Floats | None = None
        if runs:
            rest = [(point.seconds or 0.0) - of for point, of in zip(runs, features, strict=True)]
            basis = np.array([[1.0, point.n] for point in runs])
            self.line = nnls(basis, np.maximum(rest, 0.0))[0]

    def __call__(self, n: int, seeds: int) -> float | None:
        """Return the seconds of some seeds at n."""
        if self.line is None:
            return None
        return float(seeds * (self.line[0] + self.line[1] * n) + self.a_sample * max(n - self.largest, 0))


def noise(rows: Sequence[Variance], n: int, seeds: int) -> float:
    """Return the variance of a mean over seeds at n, the draws' part as at the nearest size where it is known."""
    near = sorted(rows, key=lambda row: abs(np.log(row.n / n)))
    test, draw = (next((v for row in near if (v := getattr(row, name)) is not None), 0.0) for name in ("test", "draw"))
    return float(test**2 + draw**2 * near[0].n / n / seeds)


def open_questions(found: CurveFindings, fitted: Forecast, settings: Settings) -> list[Question]:
    """Return what is asked of a curve and can't be told yet."""
    top, asked = fitted.observations.top, []
    for item in found.statements:
        by_test_set = f"from {TEST_SET}" in item.text  # then no further point tells
        if item.kind == "saturation" and not item.told and not by_test_set and "small" in item.details:
            asked.append(saturated(top, item.details["small"]))
        if item.kind == "data_requirement" and not item.told:
            asked.append(reaching(top, item.details["error"]))
        uncertain = item.low is not None and item.high is not None and item.low <= 0 <= item.high
        if item.kind == "marginal_value" and uncertain and item.details["labels"] == settings.labels[0]:
            asked.append(gained(top, item.details["labels"]))
    return asked


def rated(
    fitted: Forecast, rows: Sequence[Variance], asked: Iterable[tuple[Question, Floats | None]],
    options: Sequence[Candidate],
) -> list[tuple[Candidate, dict[str, float]]]:  # fmt: skip
    """Return by how much each candidate is expected to narrow each question, by its name.

    Args:
        asked: questions, each with the answers for the curve that this one is held against, where there is one.
    """
    n = [option.n for option in options]
    variance = [noise(rows, option.n, len(option.seeds)) for option in options]
    shares = {question.name: narrowing(fitted, question, n, variance, other) for question, other in asked}
    return [(option, {name: float(of[i]) for name, of in shares.items()}) for i, option in enumerate(options)]


def next_steps(
    curves: Sequence[Curve], found: Sequence[CurveFindings], comparisons: Sequence[Comparison], metric: Metric,
    settings: Settings,
) -> tuple[Step, ...]:  # fmt: skip
    """Return the steps that narrow the open answers most for each second that they take."""
    if len(curves) > MOST_CURVES:
        return ()
    fits = {c.curve_id: fitted_curve(c, metric, f.variance) for c, f in zip(curves, found, strict=True)}
    steps = []
    for curve, of in zip(curves, found, strict=True):
        fitted, pool = fits[curve.curve_id], max(point.pool or 0 for point in curve.points)
        if fitted.experts is None or not pool:
            continue
        asked: list[tuple[Question, Floats | None]] = [(q, None) for q in open_questions(of, fitted, settings)]
        asked += duels(curve, pool, fits, comparisons)
        for option, shares in rated(fitted, of.variance, asked, candidates(curve, pool)) if asked else ():
            worth = {name: share for name, share in shares.items() if share >= WORTH}
            if worth:
                steps.append(Step(curve.curve_id, curve.label, option.n, option.seeds, option.seconds, worth))
    return tuple(sorted(steps, key=lambda step: -step.rate)[:SHOWN])


def duels(
    curve: Curve, pool: int, fits: dict[str, Forecast], comparisons: Sequence[Comparison]
) -> list[tuple[Question, Floats | None]]:
    """Return the comparison with all data, with the other curve's values there, where that at the largest n is open."""
    ours = [c for c in comparisons if curve.curve_id in (c.a, c.b)]
    at = max((c.n for c in ours), default=0)
    made: list[tuple[Question, Floats | None]] = []
    for one in ours:
        other = fits.get(one.b if one.a == curve.curve_id else one.a)
        if one.n == at and one.verdict == "open" and other is not None and other.experts is not None:
            made.append((valued(pool), drawn(other, pool, 1)))
    return made[:1]
