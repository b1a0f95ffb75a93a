"""Extrapolation of real learning curves: error, coverage and time against the last value and classical forms

Takes the folder of curves (KIND.points.csv.gz with columns curve,n,error[,stderr] and KIND.truth.csv.gz, KIND being
sparse, dense or repeats) as argument or in SCALING_CURVES. The shipped gate learned from such files: its figures on
the same files flatter it; `scripts/train_extrapolation_prior.py` prints those of left-out data sets.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.baselines.forms import FORMS
from benchmarks.timing import row, spread
from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.forms import fit_form
from scaling.core.extrapolation.observations import observe

KINDS = ("sparse", "dense", "repeats")
SLOW = {"bnsl", "m4"}
MOST_SLOW = 100  # curves that the slow forms are fitted to
Floats = NDArray[np.float64]
Method = Callable[[Floats, Floats, Floats | None, Floats], Floats]


def curves(folder: Path, kind: str) -> Iterator[tuple[str, Floats, Floats, Floats | None, Floats, Floats]]:
    """Yield name, n, error, stderr, later n and later error of each curve."""
    points, truth = (pd.read_csv(folder / f"{kind}.{part}.csv.gz") for part in ("points", "truth"))
    later = dict(list(truth.groupby("curve")))
    for name, seen in points.groupby("curve", sort=False):
        stderr = seen.stderr.to_numpy(float) if "stderr" in seen else None
        after = later[name]
        n, error, later_n, later_error = (f[c].to_numpy(float) for f in (seen, after) for c in ("n", "error"))
        yield str(name), n, error, stderr, later_n, later_error


def experts(n: Floats, error: Floats, stderr: Floats | None, later: Floats) -> Floats:
    """Predict by the product: lower bound, point, upper bound, shape (3, t)."""
    made = forecast(n, error, stderr).predict(later)
    return np.stack([made.lower90, made.error, made.upper90])


def classical(name: str) -> Method:
    """Predict by a classical form, without bounds."""

    def predict(n: Floats, error: Floats, stderr: Floats | None, later: Floats) -> Floats:
        return np.tile(fit_form(FORMS[name], observe(n, error, stderr)).predict(later), (3, 1))

    return predict


def group_of(name: str) -> str:
    """Return the data set that a curve's name carries."""
    parts = name.split("|")
    return parts[1].split("_")[0] if parts[0] in ("IC", "LM") else parts[0]


def conformal(names: list[str], made: list[Floats], truth: list[Floats], offset: float = 0.003) -> list[Floats]:
    """Put a band around points: the 90 % quantile of the absolute log error over curves of all other data sets.

    Source: leave-one-group-out split conformal prediction, Vovk et al. (2005), Algorithmic Learning in a Random World.
    """
    groups = np.array([group_of(name) for name in names])
    logs = [np.abs(np.log((p[1] + offset) / (t + offset))) for p, t in zip(made, truth, strict=True)]
    bands = {}
    for group in np.unique(groups):
        others = np.concatenate([log for log, g in zip(logs, groups, strict=True) if g != group] or logs)
        bands[group] = np.quantile(others, 0.9)
    return [
        np.stack([np.maximum((p[1] + offset) * np.exp(s * bands[g]) - offset, 0) for s in (-1, 0, 1)])
        for p, g in zip(made, groups, strict=True)
    ]


def scores(made: list[Floats], truth: list[Floats], last: list[float]) -> str:
    """Return the cells of a row: ratios to the last value, share of bad curves, coverage and interval score."""
    figures = []
    for (low, point, high), later, value in zip(made, truth, last, strict=True):
        miss = np.maximum(low - later, 0) + np.maximum(later - high, 0)
        mae = [np.abs(p - later).mean() for p in (point, value)]
        rmsle = [np.sqrt(np.mean(np.log((p + 1e-6) / (later + 1e-6)) ** 2)) for p in (point, value)]
        figures.append((*mae, *rmsle, (miss == 0).mean(), (high - low + 20 * miss).mean()))
    fit, base, fit_rmsle, base_rmsle, inside, interval = np.array(figures).T
    return " | ".join(
        [
            f"{fit.mean() / base.mean():.3f}",
            f"{np.median(fit) / np.median(base):.3f}",
            f"{fit_rmsle.mean() / base_rmsle.mean():.3f}",
            f"{(fit > base + 0.05).mean():.4f}",
            f"{inside.mean():.3f}",
            f"{interval.mean():.5f}",
        ]
    )


def table(folder: Path, kind: str) -> None:
    """Print one kind of curves."""
    found = list(curves(folder, kind))
    row(kind, "mean MAE", "median MAE", "mean RMSLE", "worse by > 0.05", "coverage", "interval score", "ms a curve")
    row(*["---"] * 8)
    methods: dict[str, Method] = {"experts": experts}
    methods |= {name: classical(name) for name in ("power_law", "power_law_asymptote", "m4", "bnsl")}
    for name, method in methods.items():
        used = found[:: max(1, len(found) // MOST_SLOW)] if name in SLOW else found
        made, seconds = [], []
        for _, n, error, stderr, later, _ in used:
            started = time.perf_counter()
            made.append(method(n, error, stderr, later))
            seconds.append(1000 * (time.perf_counter() - started))
        names, truth = [curve[0] for curve in used], [curve[5] for curve in used]
        last = [curve[2][curve[1] == curve[1].max()].mean() for curve in used]
        label = name
        if name != "experts":
            made, label = conformal(names, made, truth), f"{name}, conformal band"
        if len(used) < len(found):
            label += f", {len(used)} curves"
        row(label, scores(made, truth, last), spread(seconds, "ms", 1))
    print()


def main() -> None:
    """Print a table a kind."""
    place = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SCALING_CURVES")
    if not place:
        print("No curves: give their folder as argument or in SCALING_CURVES.")
        return
    for kind in KINDS:
        table(Path(place), kind)


if __name__ == "__main__":
    main()
