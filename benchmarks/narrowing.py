"""What a measurement narrows: predicted against realised, and the time that chosen sizes save

Takes the folder of curves (see extrapolation.py) and that of gates (see requirement.py) as arguments or in
SCALING_CURVES and SCALING_GATES. Sparse curves show their first four sizes; each later one is then measured and the
forecast made anew. On dense image curves, measured size by size, the n of a target is sought: it is found once the
target is reached at one size and not at one of half as many samples or more. A point takes time in proportion to n.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.extrapolation import curves
from benchmarks.requirement import held_out
from benchmarks.timing import row
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.gate import Gate
from scaling.core.extrapolation.narrowing import DRAWN, Question, gained, narrowing, reaching, saturated, width

#: Every so manieth sparse curve is taken.
EVERY = 8
#: Sizes that may be measured lie so many times apart, from this share of the largest on; so are the first three.
APART, SMALLEST, FIRST = 2**0.5, 1 / 128, (0, 4, 8)
#: Targets are the errors at these shares of the largest n.
TARGETS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)


def pairs(folder: Path, trained: Path | None) -> Iterator[tuple[str, float, float, float]]:
    """Yield the question, the candidate in multiples of the largest n, predicted and realised narrowing."""
    for name, n, error, stderr, later, truth in list(curves(folder, "sparse"))[::EVERY]:
        gate, top = held_out(trained, "sparse", name), n.max()
        before = forecast(n, error, stderr, gate)
        if before.experts is None or error[-1] == 0 or stderr is None:
            continue
        noise = np.full(len(later), stderr[-1])
        for question in (saturated(top, 0.1 * error[-1]), gained(top, 3 * top)):
            wide = width(question.answer(before.paths(question.sizes, DRAWN)))
            predicted = narrowing(before, question, later.tolist(), (noise**2).tolist())
            for i in range(len(later)):
                seen = (np.append(n, later[i]), np.append(error, truth[i]), np.append(stderr, noise[i]))
                after = forecast(*seen, gate)
                if wide > 0 and after.experts is not None:
                    realised = 1 - width(question.answer(after.paths(question.sizes, DRAWN))) / wide
                    yield question.name.split(" of")[0], round(later[i] / top), float(predicted[i]), realised


def predicted_and_realised(folder: Path, trained: Path | None) -> None:
    """Print how far predictions of narrowing come true."""
    found = list(pairs(folder, trained))
    row("question", "measured at", "points", "predicted narrowing", "realised", "rank correlation")
    row(*["---"] * 6)
    for name, times in sorted({(entry[0], entry[1]) for entry in found if entry[1] in (2, 4, 8)}):
        two = np.array([entry[2:] for entry in found if entry[:2] == (name, times)])
        mean = [f"{value:.2f}" for value in two.mean(0)]
        row(name, f"{times} n", str(len(two)), *mean, f"{spearmanr(two[:, 0], two[:, 1]).statistic:.2f}")
    print()


Choose = Callable[[list[float], list[float], list[float], float], float | None]


def by_narrowing(gate: Gate | None) -> Choose:
    """Choose the size that narrows the n of a target most for each second."""

    def choose(n: list[float], error: list[float], free: list[float], target: float) -> float | None:
        fitted = forecast(n, error, None, gate)
        question: Question = reaching(max(n), target)
        shares = narrowing(fitted, question, free, [0.0] * len(free)) / np.array(free)
        return free[int(shares.argmax())] if shares.max() > 0 else None

    return choose


def ascending(n: list[float], error: list[float], free: list[float], target: float) -> float | None:
    """Choose the next larger size of a grid of powers of two."""
    larger = sorted(size for size in free if size > max(n) * 1.9)
    return larger[0] if larger else None


def cost(sizes: np.ndarray, errors: np.ndarray, target: float, choose: Choose) -> float:
    """Return the samples of all points until the n of a target is found, as a share of the largest n."""
    taken = list(FIRST)
    while True:
        n, error = sizes[taken], errors[taken]
        order = np.argsort(n)
        reached = n[error <= target]
        missed = n[order][np.flatnonzero(error[order] > target)]
        if len(reached) and any(reached.min() / 2.05 <= size < reached.min() for size in missed):
            break
        free = [i for i in range(len(sizes)) if i not in taken]
        chosen = choose(n.tolist(), error.tolist(), sizes[free].tolist(), target) if free else None
        if chosen is None:
            break
        taken.append(int(np.flatnonzero(sizes == chosen)[0]))
    return float(sizes[taken].sum() / sizes[-1])


def saved(folder: Path, trained: Path | None) -> None:
    """Print the time until the n of a target is found."""
    spent: list[tuple[float, float, float]] = []
    for name, n, error, _, later, truth in curves(folder, "dense"):
        if not name.startswith("IC"):
            continue
        every, errors = np.concatenate([n, later]), np.concatenate([error, truth])
        order = np.argsort(every)
        every, errors = every[order], errors[order]
        grid = every[-1] * SMALLEST * APART ** np.arange(round(np.log(1 / SMALLEST) / np.log(APART)) + 1)
        near = np.unique(np.abs(np.log(every[:, None] / grid)).argmin(0))
        if len(near) < len(grid):
            continue
        sizes, values = every[near], errors[near]
        whole = sizes[::2].sum() / sizes[-1]
        for share in TARGETS:
            target = values[np.abs(np.log(sizes / sizes[-1] / share)).argmin()]
            ways = [
                cost(sizes, values, target, way) for way in (by_narrowing(held_out(trained, "dense", name)), ascending)
            ]
            spent.append((*ways, float(whole)))
    row("way to the n of a target", "targets", "median cost in largest n", "mean", "times the chosen sizes' mean")
    row(*["---"] * 5)
    costs = np.array(spent)
    for name, values in zip(
        ("chosen sizes", "powers of two, upwards until found", "all powers of two"), costs.T, strict=True
    ):
        mean = float(values.mean())
        row(name, str(len(costs)), f"{np.median(values):.2f}", f"{mean:.2f}", f"{mean / costs[:, 0].mean():.2f}")


def main() -> None:
    """Print both tables."""
    curves_at, gates_at = ([*sys.argv[1:], None, None][i] or os.environ.get(name) for i, name in
                           enumerate(("SCALING_CURVES", "SCALING_GATES")))  # fmt: skip
    if not curves_at:
        print("No curves: give their folder as argument or in SCALING_CURVES.")
        return
    trained = Path(gates_at) if gates_at else None
    predicted_and_realised(Path(curves_at), trained)
    saved(Path(curves_at), trained)


if __name__ == "__main__":
    main()
