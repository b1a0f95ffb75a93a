"""Data requirements of real learning curves: how far off, how often covered, how many plans fall short

Takes the folder of curves (sparse.points.csv.gz and sparse.truth.csv.gz, see extrapolation.py) and the folder of gates
that `python scripts/train_extrapolation_prior.py CURVES --folds GATES` made, as arguments or in SCALING_CURVES and
SCALING_GATES. Targets are the true errors at a half of the largest n and at it, 4 and 8 times the largest n that the
fit sees, each answered by a gate that has not seen the curve's data set. Without gates the shipped one answers, which
has.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.extrapolation import curves, group_of
from benchmarks.timing import row
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.collecting import Price, plan
from scaling.core.extrapolation.gate import Gate
from scaling.core.extrapolation.requirement import needed

#: Fields of a gate's file; it also names the data sets that the gate has not seen.
PARAMETERS = tuple(Gate.__dataclass_fields__)
#: Share of the last error that a target of the last row takes away.
CLEAR_FALL = 0.2


@cache
def gates(folder: Path) -> dict[str, Gate]:
    """Return the gate that has not seen a data set, by data set."""
    found = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            gate = Gate(**{name: stored[name].astype(np.float64) for name in PARAMETERS})
            found |= {str(name): gate for name in stored["unseen"]}
    return found


def held_out(folder: Path | None, kind: str, curve: str) -> Gate | None:
    """Return the gate that has not seen a curve's data set; None for the shipped one."""
    return gates(folder)[f"{kind} {group_of(curve)}"] if folder else None


@dataclass(frozen=True)
class Answer:
    """One target: the true n and what was answered.

    Attributes:
        ordered: samples in all after the last order of the plan; endless where there is none.
        last, noise: the last error that the fit saw, and its standard error.
    """

    true: float
    n: float
    low: float
    high: float
    ordered: float
    target: float
    last: float
    noise: float

    @property
    def octaves(self) -> float:
        """Distance of the answer from the true n; that of no answer is endless."""
        return float(abs(np.log2(self.n / self.true)))


def answers(folder: Path, trained: Path | None) -> Iterator[Answer]:
    """Answer the two last true errors of each curve."""
    for name, n, error, stderr, later, truth in curves(folder, "sparse"):
        fitted = forecast(n, error, stderr, held_out(trained, "sparse", name))
        noise = float(np.sqrt(fitted.observations.variance[-1]))
        for true, target in zip(later[1:], truth[1:], strict=True):
            if target > 0:
                found = needed(fitted, float(target))
                middle, low, high = found.interval
                totals = plan(found, Price()).totals
                ordered = totals[-1] if totals else n.max()
                yield Answer(true, middle, low, high, ordered, target, float(fitted.observations.error[-1]), noise)


def scores(found: Sequence[Answer]) -> list[str]:
    """Return the cells of a row."""
    octaves = np.array([answer.octaves for answer in found])
    return [
        str(len(found)),
        f"{np.median(octaves):.2f}",
        f"{np.mean([np.isinf(answer.n) for answer in found]):.3f}",
        f"{np.mean([answer.low <= answer.true <= answer.high for answer in found]):.3f}",
        f"{np.mean([answer.ordered < answer.true for answer in found]):.3f}",
    ]


def main() -> None:
    """Print a row a choice of targets."""
    curves_at, gates_at = ([*sys.argv[1:], None, None][i] or os.environ.get(name) for i, name in
                           enumerate(("SCALING_CURVES", "SCALING_GATES")))  # fmt: skip
    if not curves_at:
        print("No curves: give their folder as argument or in SCALING_CURVES.")
        return
    found = list(answers(Path(curves_at), Path(gates_at) if gates_at else None))
    print(f"cross-validated: {bool(gates_at)}\n")
    row(
        "targets",
        "number",
        "median abs log2(n / true n)",
        "answered by inf",
        "coverage of 90 %",
        "plans that fall short",
    )
    row(*["---"] * 6)
    row("all", *scores(found))
    row("below the last error", *scores([a for a in found if a.target < a.last]))
    row("surely below it", *scores([a for a in found if a.target < a.last - 1.645 * a.noise]))
    row(f"below it by {CLEAR_FALL:.0%}", *scores([a for a in found if a.target < (1 - CLEAR_FALL) * a.last]))


if __name__ == "__main__":
    main()
