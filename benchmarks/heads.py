"""The linear probe's solver against scikit-learn's: `python -m benchmarks.heads [FEATURES LABELS]`.

Both fit 13 penalties C = 1e-5 … 1 on the same rows, each to within 1e-4 of the optimum. Ours standardises the features
within the time, scikit-learn gets them standardised. The optimum is our solver's at a tolerance of 1e-6, with the
objective evaluated in double precision, as for both sides.

FEATURES and LABELS are .npy files, (N, d) and (N,); the first rows are taken. Without them the features are synthetic,
with the correlated, quickly falling spectrum of a network's last layer.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines.sklearn_path import SklearnPath, loosest
from benchmarks.timing import row, seconds, spread, timed

PENALTIES = [float(penalty) for penalty in np.logspace(-5, 0, 13)]
CLASSES, WIDTH = 10, 1280
WITHIN = 1e-4
SIZES = (1_000, 10_000)
#: scikit-learn takes minutes at the larger size.
REPEATS = {1_000: 5, 10_000: 3}


def problem(n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return synthetic features (n, WIDTH) and labels (n,)."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(WIDTH, WIDTH)) * (np.arange(1, WIDTH + 1) ** -0.7)[:, None]
    features = (rng.normal(size=(n, WIDTH)) @ mixing).astype(np.float32)
    logits = features @ rng.normal(size=(WIDTH, CLASSES)).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    return features, np.argmax(logits / logits.std() * 3 + noise, axis=1)


class Comparison:
    """Both sides on the same rows."""

    def __init__(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        from sklearn.preprocessing import StandardScaler

        self.features, self.labels = features, labels
        self.scaler = StandardScaler().fit(features.astype(np.float64))
        self.scaled = self.scaler.transform(features.astype(np.float64))
        self.optimum = self.ours_objectives(1e-6)

    def ours(self, tolerance: float = WITHIN) -> tuple[NDArray, NDArray]:
        """Return our weights and biases for raw features, one a penalty."""
        import torch

        from scaling.adapt.softmax import path
        from scaling.tasks import Classification

        task = Classification(tuple(map(str, range(CLASSES))))
        labels = torch.from_numpy(self.labels)
        found = path(torch.from_numpy(self.features.copy()), labels, task, PENALTIES, tolerance)
        return found.weights.numpy(), found.biases.numpy()

    def ours_objectives(self, tolerance: float) -> list[float]:
        """Return our objectives in double precision."""
        objectives = []
        for weight, bias, penalty in zip(*self.ours(tolerance), PENALTIES, strict=True):
            over_scaled = weight.astype(np.float64) * self.scaler.scale_
            objectives.append(self.objective(over_scaled, bias + weight @ self.scaler.mean_, penalty))
        return objectives

    def objective(self, weight: NDArray, bias: NDArray, penalty: float) -> float:
        """Return mean log-loss plus penalty of a head over standardised features."""
        from scipy.special import logsumexp

        logits = self.scaled @ weight.T.astype(np.float64) + bias
        loss = logsumexp(logits, axis=1) - logits[np.arange(len(logits)), self.labels]
        return float(loss.mean() + np.square(weight, dtype=np.float64).sum() / (2 * penalty * len(logits)))

    def theirs(self, dtypes: Sequence[type[np.floating]] = (np.float32, np.float64)) -> SklearnPath:
        """Return scikit-learn in the faster of these precisions, with the loosest tolerances that do."""
        wanted = [(1 + WITHIN) * lowest for lowest in self.optimum]
        times: dict[SklearnPath, float] = {}
        for dtype in dtypes:
            scaled = self.scaled.astype(dtype)
            try:
                side = loosest(scaled, self.labels, PENALTIES, self.objective, wanted)
            except ValueError:  # float32 may stall short of the objective
                continue
            one = len(dtypes) == 1
            times[side] = 0.0 if one else timed(lambda side=side, scaled=scaled: side.fit(scaled, self.labels))
        return min(times, key=lambda side: times[side])


def compare(
    features: NDArray[np.float32], labels: NDArray[np.int64], repeats: int, dtypes: Sequence[type[np.floating]]
) -> None:
    """Print one row of the table."""
    sides = Comparison(features, labels)
    excess = largest_excess(sides.ours_objectives(WITHIN), sides.optimum)
    other = sides.theirs(dtypes)
    scaled = sides.scaled.astype(other.dtype)
    pairs = []
    for _ in range(repeats):
        started = time.perf_counter()
        heads = other.fit(scaled, labels)
        theirs = time.perf_counter() - started
        pairs.append((seconds(sides.ours, 1)[0], theirs))
    mine, yours = zip(*pairs, strict=True)
    reached = [sides.objective(*head, penalty) for head, penalty in zip(heads, PENALTIES, strict=True)]
    ratio = spread([theirs / ours for ours, theirs in pairs], unit="×", digits=1)
    tolerances = f"{other.dtype.__name__}, tol {max(other.tolerances):.0e} … {min(other.tolerances):.0e}"
    left = f"{largest_excess(reached, sides.optimum):.0e}"
    row(str(len(labels)), spread(mine), f"{excess:.0e}", spread(yours), left, tolerances, ratio)


def largest_excess(objectives: Sequence[float], optimum: Sequence[float]) -> float:
    """Return by which share the objectives lie above the optimum, at most."""
    return max(objective / lowest - 1 for objective, lowest in zip(objectives, optimum, strict=True))


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    from scaling.machine import keep_freed_memory

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FEATURES LABELS")
    parser.add_argument("--n", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"], help="precisions of scikit-learn to try")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    print(f"Features: {options.files[0] if options.files else 'synthetic'}\n")
    row("n", "ours, 13 penalties", "largest excess", "scikit-learn", "largest excess", "its settings", "ratio")
    row(*["---"] * 7)
    for n in options.n:
        if options.files:
            features, labels = (np.load(file, mmap_mode="r")[:n] for file in options.files)
            features, labels = np.array(features), np.array(labels)
        else:
            features, labels = problem(n)
        compare(features, labels, options.repeats or REPEATS.get(n, 3), [getattr(np, name) for name in options.dtypes])


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
