"""Learn which experts to believe: `python scripts/train_extrapolation_prior.py CURVES [--output GATE] [--folds DIR]`.

CURVES is a folder with sparse.points.csv.gz, sparse.truth.csv.gz, dense.points.csv.gz and dense.truth.csv.gz, columns
curve,n,error[,stderr]: learning curves of LCDB 1.1 (CC BY 4.0) and of the benchmark of Alabdulmohsin, Neyshabur and
Zhai (2022), Revisiting Neural Scaling Laws in Language and Vision (Apache-2.0). Curves are cross-validated by data
set: the first part of a sparse curve's name, the task of an image curve, all language models at once. The figures
that are printed, and the calibration of the intervals, come from curves whose data set was left out. It takes some
ten minutes. With --folds only the gates of the folds are kept, each with the data sets that it has not seen, for
benchmarks of what rests on forecasts.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.experts import EXPERTS, condition
from scaling.core.extrapolation.gate import Gate, features
from scaling.core.extrapolation.observations import OFFSET, observe

OUTPUT = Path(__file__).parents[1] / "src/scaling/core/extrapolation/gate.npz"
FOLDS, FITS, EPOCHS, BATCH, HIDDEN = 5, 2, 20, 1024, 24
LEARNING_RATE, DECAY = 0.01, 0.005
TARGETS = 4  # most targets of one example
#: First and last point of a window of a sparse curve, and its weight; what follows it is to be predicted.
WINDOWS = ((0, 4, 1.0), (1, 5, 0.25), (0, 5, 0.15), (0, 3, 0.15), (2, 6, 0.15), (0, 6, 0.1))
#: Dense curves are also cut at these shares of their largest n.
CUTS = ((1.0, 1.0), (0.5, 0.4), (0.25, 0.4), (0.125, 0.2))
THINNED = 6  # points of a dense curve that is thinned to one an octave
DENSE_WEIGHT, THINNED_WEIGHT = 10.0, 3.0
#: Coverages aimed at, out of fold: a little above the nominal ones, since other curves differ more.
COVERAGES = {0.25: 0.52, 0.05: 0.935}
IDENTITY = np.array([[0.25, 0.25], [0.05, 0.05]])


@dataclass(frozen=True)
class Window:
    """Points that a fit may see, and what comes after them."""

    group: str
    kind: str
    weight: float
    main: bool
    n: NDArray[np.float64]
    error: NDArray[np.float64]
    stderr: NDArray[np.float64] | None
    later_n: NDArray[np.float64]
    later_error: NDArray[np.float64]


def group_of(kind: str, curve: str) -> str:
    """Return the data set of a curve."""
    first, *rest = curve.split("|")
    return f"sparse {first}" if kind == "sparse" else f"dense {rest[0].split('_')[0] if first == 'IC' else first}"


def curves(folder: Path, kind: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield each curve's name, points and truth, by ascending n."""
    points, truth = (pd.read_csv(folder / f"{kind}.{part}.csv.gz").sort_values("n") for part in ("points", "truth"))
    later = dict(list(truth.groupby("curve")))
    for name, frame in points.groupby("curve"):
        yield str(name), frame, later[name]


def sparse_windows(folder: Path) -> Iterator[Window]:
    """Yield the windows of the curves with a handful of points each."""
    for name, points, truth in curves(folder, "sparse"):
        whole = pd.concat([points, truth])
        n, error, stderr = (whole[column].to_numpy(float) for column in ("n", "error", "stderr"))
        for start, stop, weight in WINDOWS:
            seen, later, main = slice(start, stop), slice(stop, None), (start, stop) == (0, len(points))
            yield Window(
                group_of("sparse", name),
                "sparse",
                weight,
                main,
                n[seen],
                error[seen],
                stderr[seen],
                n[later],
                error[later],
            )


def dense_windows(folder: Path) -> Iterator[Window]:
    """Yield dense curves cut at several places, with all their points and thinned to one an octave."""
    for name, points, truth in curves(folder, "dense"):
        whole = pd.concat([points, truth])
        n, error = (whole[column].to_numpy(float) for column in ("n", "error"))
        for share, weight in CUTS:
            cut = points.n.max() * share
            seen = n <= cut
            if seen.sum() < THINNED:
                continue
            later = np.flatnonzero((n > cut) & ((share == 1) | (n <= 8 * cut)))
            later = later[np.unique(np.linspace(0, len(later) - 1, TARGETS).astype(int))]
            octaves = n[seen][-1] * np.exp2(-np.arange(THINNED, dtype=float))
            thinned = np.unique(np.abs(np.log(n[seen][:, None] / octaves)).argmin(0))
            for index, factor in ((np.arange(seen.sum()), DENSE_WEIGHT), (thinned, THINNED_WEIGHT)):
                if len(index) >= 3:
                    yield Window(
                        group_of("dense", name), "dense", weight * factor, share == 1 and factor == DENSE_WEIGHT,
                        n[index], error[index], None, n[later], error[later],
                    )  # fmt: skip


@dataclass(frozen=True)
class Examples:
    """Windows as tensors: b windows, e experts, t targets (padded), f features."""

    features: NDArray[np.float64]
    evidence: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    share: torch.Tensor
    later_u: torch.Tensor
    later_error: torch.Tensor
    last: torch.Tensor
    weight: torch.Tensor
    dense: torch.Tensor


def examples(windows: list[Window]) -> Examples:
    """Condition the experts on every window."""
    size, experts = len(windows), len(EXPERTS)
    described, evidence = [], np.zeros((size, experts), np.float32)
    mean, variance = (np.zeros((size, experts, TARGETS), np.float32) for _ in range(2))
    share, later_u, later_error = (np.zeros((size, TARGETS), np.float32) for _ in range(3))
    variance += 1  # where there is no target, whose share is 0
    last = np.zeros(size, np.float32)
    for i, window in enumerate(windows):
        observations = observe(window.n, window.error, window.stderr)
        conditioned = condition(observations)
        described.append(features(observations, conditioned))
        evidence[i] = conditioned.evidence - conditioned.evidence.max()
        t = slice(0, len(window.later_n))
        centre, spread = conditioned.predict(observations.octaves(window.later_n))
        mean[i, :, t], variance[i, :, t] = centre.T, spread.T + observations.run_u_variance + 1e-6
        share[i, t] = 1 / len(window.later_n)
        later_u[i, t] = observations.to_log(window.later_error)
        later_error[i, t] = window.later_error / observations.scale
        last[i] = observations.error[-1] / observations.scale
    weight = np.array([window.weight for window in windows], np.float32)
    dense = np.array([window.kind == "dense" for window in windows])
    tensors = map(torch.from_numpy, (evidence, mean, variance, share, later_u, later_error, last, weight, dense))
    return Examples(np.array(described), *tensors)


class Network(torch.nn.Module):
    """The gate while it is learned; see `scaling.core.extrapolation.gate.Gate`."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.bias = torch.nn.Parameter(torch.zeros(len(EXPERTS)))
        self.temperature = torch.nn.Parameter(torch.zeros(1))
        self.inner = torch.nn.Linear(width, HIDDEN)
        self.outer = torch.nn.Linear(HIDDEN, len(EXPERTS))
        torch.nn.init.zeros_(self.outer.weight)
        torch.nn.init.zeros_(self.outer.bias)

    def forward(self, standard: torch.Tensor, evidence: torch.Tensor) -> torch.Tensor:
        """Return log weights, shape (b, e)."""
        shift = self.outer(torch.tanh(self.inner(standard)))
        return torch.log_softmax(evidence * self.temperature.exp() + self.bias + shift, 1)


def loss(log_weight: torch.Tensor, data: Examples, index: torch.Tensor) -> torch.Tensor:
    """Weigh how likely the later points are against how far off the mixture's mean is.

    Error rates count by absolute error (as such, and as a share of the last value), dense curves by RMSLE.
    """
    mean, variance, share = data.mean[index], data.variance[index], data.share[index]
    later_u, last = data.later_u[index], data.last[index]
    density = -0.5 * (later_u[:, None] - mean) ** 2 / variance - 0.5 * variance.log()
    likelihood = (torch.logsumexp(log_weight[:, :, None] + density, 1) * share).sum(1)
    centre = (log_weight.exp()[:, :, None] * mean).sum(1)
    absolute = ((centre.exp() - OFFSET - data.later_error[index]).abs() * share).sum(1)
    rmsle = (((centre - later_u) ** 2) * share).sum(1).clamp(1e-8).sqrt()
    distance = torch.where(data.dense[index], rmsle / 0.03, absolute / 0.03 + 0.9 * absolute / (0.1 * last + 0.003))
    weight = data.weight[index]
    return (weight * (0.9 * distance - 0.1 * likelihood)).sum() / weight.sum()


def train(data: Examples, index: NDArray[np.intp]) -> Gate:
    """Fit the gate several times on the examples named."""
    centre, spread = data.features[index].mean(0), data.features[index].std(0) + 1e-6
    standard = torch.from_numpy(np.clip((data.features - centre) / spread, -3, 3).astype(np.float32))
    fits = [fit(data, standard, index, seed) for seed in range(FITS)]

    def stacked(name: str) -> NDArray[np.float64]:
        return np.stack([network.state_dict()[name].numpy() for network in fits])

    return Gate(
        centre, spread, np.exp(stacked("temperature")[:, 0]), stacked("bias"), stacked("inner.weight"),
        stacked("inner.bias"), stacked("outer.weight"), stacked("outer.bias"), IDENTITY,
    )  # fmt: skip


def fit(data: Examples, standard: torch.Tensor, index: NDArray[np.intp], seed: int) -> Network:
    """Fit one network."""
    network, generator = Network(standard.shape[1], seed), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=10 * DECAY)
    parts = len(index) // BATCH + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=EPOCHS * parts)
    for _ in range(EPOCHS):
        for part in np.array_split(generator.permutation(index), parts):
            rows = torch.from_numpy(part)
            objective = loss(network(standard[rows], data.evidence[rows]), data, rows)
            objective += DECAY * ((network.bias**2).mean() + 5 * (network.outer.weight**2).mean())
            optimiser.zero_grad()
            objective.backward()
            optimiser.step()
            schedule.step()
    return network


def fold_of(windows: list[Window]) -> NDArray[np.int64]:
    """Deal the data sets out to folds."""
    generator, folds = np.random.default_rng(0), {}
    for kind in ("sparse", "dense"):
        groups = sorted({window.group for window in windows if window.kind == kind})
        folds |= {str(group): i % FOLDS for i, group in enumerate(generator.permutation(groups))}
    return np.array([folds[window.group] for window in windows])


def coverage(windows: list[Window], gates: list[Gate], tails: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of later points inside the central intervals with these tails, mean over curves."""
    inside = []
    for window, gate in zip(windows, gates, strict=True):
        predicted = forecast(window.n, window.error, window.stderr, gate)
        bounds = predicted.quantiles(window.later_n, np.concatenate([tails, 1 - tails]))
        low, high = bounds[:, : len(tails)], bounds[:, len(tails) :]
        later = window.later_error[:, None]
        inside.append(((later >= low) & (later <= high)).mean(0))
    return np.mean(inside, axis=0)


def calibrate(windows: list[Window], gates: list[Gate]) -> NDArray[np.float64]:
    """Find the mixture's tails that cover as much as wanted; sparse and dense curves count the same."""
    tails = np.concatenate([np.linspace(0.02, 0.14, 13), np.linspace(0.16, 0.44, 15)])
    by_kind = []
    for kind in ("sparse", "dense"):
        chosen = [i for i, window in enumerate(windows) if window.kind == kind]
        by_kind.append(coverage([windows[i] for i in chosen], [gates[i] for i in chosen], tails))
    covered = np.mean(by_kind, axis=0)
    return np.array([[nominal, np.interp(-wanted, -covered, tails)] for nominal, wanted in COVERAGES.items()])


def report(windows: list[Window], gates: list[Gate]) -> None:
    """Print what the predictions are worth on curves of other data sets."""
    for kind in ("sparse", "dense"):
        rows = []
        for window, gate in zip(windows, gates, strict=True):
            if window.kind != kind:
                continue
            made = forecast(window.n, window.error, window.stderr, gate).predict(window.later_n)
            truth, last = window.later_error, window.error[-1]
            miss = np.maximum(made.lower90 - truth, 0) + np.maximum(truth - made.upper90, 0)
            half = (made.lower50 <= truth) & (truth <= made.upper50)
            rmsle = [np.sqrt(np.mean(np.log((value + 1e-6) / (truth + 1e-6)) ** 2)) for value in (made.error, last)]
            mae = [np.mean(np.abs(value - truth)) for value in (made.error, last)]
            score = np.mean(made.upper90 - made.lower90 + 20 * miss)
            rows.append((*mae, *rmsle, np.mean(miss == 0), np.mean(half), score))
        fit_mae, last_mae, fit_rmsle, last_rmsle, inside, half, score = np.array(rows).T
        print(
            f"{kind}: {len(rows)} curves, ratio to last: mean MAE {fit_mae.mean() / last_mae.mean():.4f},"
            f" median MAE {np.median(fit_mae) / np.median(last_mae):.4f},"
            f" mean RMSLE {fit_rmsle.mean() / last_rmsle.mean():.4f};"
            f" worse by more than 0.05: {(fit_mae > last_mae + 0.05).mean():.4f};"
            f" coverage of 90 % {inside.mean():.3f}, of 50 % {half.mean():.3f}; interval score {score.mean():.5f}",
            flush=True,
        )


def save(path: Path, gate: Gate, **more: NDArray[np.str_]) -> None:
    """Write the parameters of a gate."""
    np.savez_compressed(path, **{name: np.float32(value) for name, value in vars(gate).items()}, **more)


def main() -> None:
    """Cross-validate, calibrate, learn from all curves, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("curves", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--folds", type=Path, help="folder for the gates of the folds; the shipped one stays")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    windows = [*sparse_windows(arguments.curves), *dense_windows(arguments.curves)]
    data, folds = examples(windows), fold_of(windows)
    by_fold = [train(data, np.flatnonzero(folds != fold)) for fold in range(FOLDS)]
    main_windows = [window for window in windows if window.main]
    held_out = [by_fold[fold] for window, fold in zip(windows, folds, strict=True) if window.main]
    levels = calibrate(main_windows, held_out)
    print(f"tails of the mixture: {levels.tolist()}")
    report(main_windows, [replace(gate, levels=levels) for gate in held_out])
    if arguments.folds:
        arguments.folds.mkdir(parents=True, exist_ok=True)
        for fold, gate in enumerate(by_fold):
            unseen = sorted({window.group for window, of in zip(windows, folds, strict=True) if of == fold})
            save(arguments.folds / f"fold{fold}.npz", replace(gate, levels=levels), unseen=np.array(unseen))
        return
    gate = replace(train(data, np.arange(len(windows))), levels=levels)
    save(arguments.output, gate)
    print(f"{arguments.output.stat().st_size} bytes in {arguments.output}")


if __name__ == "__main__":
    main()
