"""The way to an answer: which points come next, and why; pure but for the seconds that points take."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.auto.lines import Line, Points
from scaling.core.costs import duration
from scaling.core.curves import Curve
from scaling.core.errors import SettingError
from scaling.core.extrapolation.narrowing import Question, drawn, reaching, saturated, valued
from scaling.core.extrapolation.statements import TEST_SET
from scaling.core.words import samples
from scaling.findings import Settings, find
from scaling.findings.curve import fitted_curve
from scaling.findings.next_steps import Candidate, rated, sizes
from scaling.findings.results import CurveFindings, Findings, Floats
from scaling.metrics import Metric
from scaling.report.description import Unread
from scaling.runs.goal import Goal

#: The n of a target is found once the next smaller size that was measured is within this factor.
NEAR_ENOUGH = 2.0
#: A best model is found once it is best with this chance.
SURE = 0.95
#: A step that narrows the answer by less is not worth its time.
LEAST = 0.02


@dataclass(frozen=True)
class Step:
    """What comes next: points, and why; without points, why there is none."""

    points: Points
    why: str


@dataclass(frozen=True)
class Course:
    """The way to an answer.

    Attributes:
        seconds: of what points take, one after the other.
    """

    goal: Goal
    lines: Sequence[Line]
    seconds: Callable[[Points], float]

    def next(self, curves: Sequence[Curve], left: float) -> Step:
        """Choose the next step from what is finished.

        Args:
            left: seconds that are left.
        """
        by_id = {curve.curve_id: curve for curve in curves}
        for line in self.lines:
            measured = set(by_id[line.curve_id].n.tolist()) if line.curve_id in by_id else set()
            if waiting := [n for n in line.first if n not in measured][: max(0, len(line.first) - len(measured))]:
                points = line.at(waiting[0])
                if self.seconds(points) > left:
                    return Step((), "the budget is spent before three sizes show a trend")
                who = f"{line.name} " if len(self.lines) > 1 else ""
                return Step(points, f"{who}n = {samples(waiting[0])}: three sizes are the fewest that show a trend")
        targets = () if self.goal.target is None else (self.goal.target,)
        found = find(curves, Unread(), Settings(targets=targets, labels=(1_000,)))
        if answer := self.answered(found, by_id):
            return Step((), answer)
        return self.best(found, by_id, left)

    def answered(self, found: Findings, curves: Mapping[str, Curve]) -> str:
        """Return the answer in words; empty where there is none yet."""
        if self.goal.until == "ranking":
            return self.leader(found, curves)
        said = [self.told(of, curves[of.curve_id], found.metric) for of in found.curves]
        return " ".join(said) if all(said) else ""

    def told(self, of: CurveFindings, curve: Curve, metric: Metric) -> str:
        """Return what a curve answers; empty where it doesn't yet."""
        pool = next(line.pool for line in self.lines if line.curve_id == of.curve_id)
        kind = "saturation" if self.goal.until == "saturation" else "data_requirement"
        statement = next(item for item in of.statements if item.kind == kind)
        name = f"{of.label}: " if len(self.lines) > 1 else ""
        if kind == "saturation":
            by_test_set = f"from {TEST_SET}" in statement.text
            return f"{name}{statement.text}" if statement.told or by_test_set else ""
        if statement.told and statement.estimate is not None and statement.estimate <= max(curve.n):
            below = curve.n[curve.n < statement.estimate]
            near = len(below) and statement.estimate <= NEAR_ENOUGH * below[-1]
            return f"{name}{statement.text} It is not at {samples(int(below[-1]))}." if near else ""
        fitted = fitted_curve(curve, metric, of.variance)
        chance = fitted.at_target([pool], float(statement.details["error"]))[1][0]
        hopeless = max(curve.n) >= pool or chance < 1 - SURE
        return f"{name}not within the {samples(pool)} samples. {statement.text}" if hopeless else ""

    def leader(self, found: Findings, curves: Mapping[str, Curve]) -> str:
        """Return which curve is best at the whole training set, where that is sure enough."""
        if len(self.lines) < 2:
            raise SettingError("until=ranking needs several curves.\nRun a grid, such as -m model=pixels,resnet18.")
        values = self.values(found, curves)
        if values is None:
            return ""
        best = values.argmin(0)
        shares = np.bincount(best, minlength=len(values)) / values.shape[1]
        first = int(shares.argmax())
        if shares[first] < SURE:
            return ""
        return f"{found.curves[first].label} is best with all data (chance {shares[first]:.2f})."

    def values(self, found: Findings, curves: Mapping[str, Curve]) -> Floats | None:
        """Return drawn errors with all data, one row a curve; None where a curve shows no trend."""
        pool = {line.curve_id: line.pool for line in self.lines}
        fits = [fitted_curve(curves[of.curve_id], found.metric, of.variance) for of in found.curves]
        if any(fitted.experts is None for fitted in fits):
            return None
        return np.stack([
            drawn(fitted, pool[of.curve_id], order)
            for order, (fitted, of) in enumerate(zip(fits, found.curves, strict=True), 1)
        ])  # fmt: skip

    def best(self, found: Findings, curves: Mapping[str, Curve], left: float) -> Step:
        """Choose the step that narrows the answer most for each second that it takes."""
        rows: list[tuple[float, float, float, Points, str, str, str]] = []
        for of in found.curves:
            line = next(line for line in self.lines if line.curve_id == of.curve_id)
            curve = curves[of.curve_id]
            fitted = fitted_curve(curve, found.metric, of.variance)
            options = self.options(line, curve) if fitted.experts is not None else []
            asked = [self.question(of, found, curves, line.pool)]
            for option, shares in rated(fitted, of.variance, asked, options) if options else ():
                further = option.n in curve.n.tolist()
                points = line.at(option.n, option.seeds[0] if further else None)
                seconds, share = self.seconds(points), next(iter(shares.values()))
                what = f"n = {samples(option.n)}" + (f" seed = {option.seeds[0]}" if further else "")
                name = asked[0][0].name
                rows.append((share / max(seconds, 0.1), share, seconds, points, what, of.label, name))
        useful = [row for row in rows if row[1] >= LEAST]
        if not useful:
            return Step(
                (), f"not answered, and no further measurement is expected to tell. {self.known(found)}".strip()
            )
        within = [row for row in useful if row[2] <= left]
        if not within:
            need = min(row[2] for row in useful)
            why = f"not answered: the next step takes {duration(need)}, and {duration(max(left, 0.0))} are left."
            return Step((), f"{why} {self.known(found)}".strip())
        _, share, seconds, points, what, label, name = max(within, key=lambda row: row[0])
        who = f"{label} " if len(self.lines) > 1 else ""
        why = f"{who}{what}: in {duration(seconds)} it would narrow the interval of {name} by about"
        return Step(points, f"{why} {100 * share:.0f} %")

    def options(self, line: Line, curve: Curve) -> list[Candidate]:
        """Return what may be measured of a curve: new sizes, and a further seed where draws differ."""
        new = [n for n in sizes(curve.n.tolist(), line.pool) if n >= min(line.first)]
        further = [(n, max(p.seed for p in curve.at(n)) + 1) for n in curve.n.tolist() if not curve.no_draw_variance(n)]
        return [
            *(Candidate(n, tuple(range(len(line.at(n)))), None) for n in new),
            *(Candidate(n, (seed,), None) for n, seed in further),
        ]

    def known(self, found: Findings) -> str:
        """Return what can be said all the same."""
        kind = {"target": "data_requirement", "saturation": "saturation", "ranking": ""}[self.goal.until]
        return " ".join(item.text for of in found.curves for item in of.statements if item.kind == kind)

    def question(
        self, of: CurveFindings, found: Findings, curves: Mapping[str, Curve], pool: int
    ) -> tuple[Question, Floats | None]:
        """Return what is asked of a curve, and in a ranking the best of the others' values."""
        top = float(curves[of.curve_id].n.max())
        if self.goal.target is not None:
            return reaching(top, found.metric.error(self.goal.target)), None
        if self.goal.until == "saturation":
            statement = next(item for item in of.statements if item.kind == "saturation")
            return saturated(top, float(statement.details.get("small", 0.0))), None
        values = self.values(found, curves)
        mine = [entry.curve_id for entry in found.curves].index(of.curve_id)
        return valued(pool), None if values is None else np.delete(values, mine, 0).min(0)
