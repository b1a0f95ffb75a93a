"""How often intervals hold the truth, and p-values fall below it without any, on simulated sweeps

Scores are a truth, plus an effect of each draw (standard deviation in the first column), of each of 400 test samples,
and of both together. Nominal: 95 % for means, at one size alone and at one of six; 0.2 % for p of one of six sizes;
90 % for crossovers.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import row
from scaling.core.crossover import crossing, differences
from scaling.core.variance import Measured, components, estimates

TESTED, SAMPLE, REST = 400, 0.3, 0.4
MEANS, CROSSOVERS = 3000, 200
SIZES = 100 * 2.0 ** np.arange(6)
Floats = NDArray[np.float64]


def table(rng: np.random.Generator, seeds: int, draw: float) -> Floats:
    """Return the values of one n, shape (seeds, TESTED), of mean 0 in truth."""
    return (
        draw * rng.standard_normal((seeds, 1))
        + SAMPLE * rng.standard_normal(TESTED)
        + REST * rng.standard_normal((seeds, TESTED))
    )


def of_means(seeds: int, draw: float, sizes: Floats) -> tuple[float, float]:
    """Return the share of 95 % intervals of a mean of 0 that hold it, and of its p that are at most 0.002."""
    rng, found = np.random.default_rng(0), []
    for _ in range(MEANS // len(sizes)):
        rows = [Measured.of(components(table(rng, seeds, draw))) for _ in sizes]
        found += [item for item in estimates(sizes.tolist(), rows) if item is not None]
    ends = np.array([item.interval(0.05) for item in found])
    held = np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0))
    return float(held), float(np.mean([item.p <= 0.002 for item in found]))


def of_crossovers(seeds: int, draw: float) -> tuple[float, float]:
    """Return the share of crossovers that are told, and of these the share whose 90 % interval holds the truth."""
    rng, found = np.random.default_rng(0), []
    for _ in range(CROSSOVERS):
        truth = 0.15 - 0.06 * np.log2(SIZES / SIZES[0])
        rows = [table(rng, seeds, draw) + true for true in truth]
        parts = [components(values) for values in rows]
        residual = np.array([part.residual / (seeds * TESTED) for part in parts])
        means = np.stack([values.mean(0) for values in rows])
        found.append(crossing(differences(SIZES, [values.mean(1) for values in rows], means, residual)))
    told = [item for item in found if item.low is not None and item.high is not None]
    at = SIZES[0] * 2**2.5
    held = np.mean([item.low <= at <= item.high for item in told if item.low is not None and item.high is not None])
    return len(told) / len(found), float(held)


def main() -> None:
    """Print the table."""
    row("draw sd", "seeds", "one size", "of six sizes", "p ≤ 0.002 of six", "told", "crossovers")
    row(*["---"] * 7)
    for draw in (0.0, 0.02, 0.05):
        for seeds in (1, 2, 3, 5):
            if seeds == 1 and draw > 0:
                continue  # one seed tells nothing of draws, and its interval says that it leaves them out
            told, held = of_crossovers(seeds, draw)
            alone, (six, false) = of_means(seeds, draw, SIZES[:1])[0], of_means(seeds, draw, SIZES)
            row(f"{draw}", f"{seeds}", f"{alone:.3f}", f"{six:.3f}", f"{false:.4f}", f"{told:.2f}", f"{held:.3f}")


if __name__ == "__main__":
    main()
