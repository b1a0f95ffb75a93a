"""Time and peak memory of the report of a synthetic store: `python -m benchmarks.report`.

The store holds what a real one does: metrics, params, tags, and what a run keeps of 10 000 test images. It is written
as rows, not run by run. The limit for 10 000 runs over 100 curves is 60 s and 2 GiB.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import exponent, row

MODELS, ADAPTATIONS, DATASETS = 5, 5, 4
SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000)
SEEDS, TESTED, CLASSES, POOL = 10, 10_000, 10, 60_000
SWEEP = "f" * 32
GIB = 2**30
START = 1_700_000_000_000


def grid(curves: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield curve, model, adaptation, data set and n's place of each point; seeds come on top."""
    names = list(product(range(DATASETS), range(ADAPTATIONS), range(MODELS)))[:curves]
    for curve, (dataset, adaptation, model) in enumerate(names):
        for place in range(len(SIZES)):
            yield curve, model, adaptation, dataset, place


def accuracy(curve: int, n: int, generator: np.random.Generator) -> float:
    """Draw the accuracy of a run from a power law of its curve's own, with noise that falls with n."""
    own = np.random.default_rng((7, curve))
    error = own.uniform(0.02, 0.2) + own.uniform(0.3, 0.6) * (n / 100) ** -own.uniform(0.2, 0.6)
    return float(np.clip(1 - error + generator.normal(0, 0.3 / np.sqrt(n)), 0.05, 0.995))


def predictions(dataset: int, expected: float, generator: np.random.Generator) -> tuple[dict[str, bytes], float]:
    """Return the files that a run keeps of its test samples, by name, and its accuracy."""
    from scaling.metrics.classification import Predictions, measure
    from scaling.metrics.stored import packed

    labels = np.random.default_rng((11, dataset)).integers(0, CLASSES, TESTED).astype(np.int32)
    # Hard images are hard for every run, as in life: what pairs runs.
    hardness = np.random.default_rng((13, dataset)).uniform(size=TESTED)
    right = 0.7 * hardness + 0.3 * generator.uniform(size=TESTED) < expected
    predicted = np.where(right, labels, (labels + 1) % CLASSES).astype(np.int32)
    chance = np.where(right, 0.9, 0.1) + generator.uniform(-0.09, 0.09, TESTED)
    arrays = {"test_labels": labels, "test_predicted": predicted, "test_log_prob": np.log(chance).astype(np.float32)}
    found = measure(Predictions(labels, predicted, arrays["test_log_prob"]), [str(c) for c in range(CLASSES)])
    kept = {"predictions.npz": arrays, "values.npz": packed(found.samples, labels)}
    return {name: as_file(content) for name, content in kept.items()}, float(right.mean())


def as_file(arrays: dict[str, Any]) -> bytes:
    """Return arrays as an .npz file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    return file.getvalue()


def make_store(folder: Path, curves: int, kept: bool = True) -> int:
    """Write a store with a sweep and its finished runs; return how many.

    Args:
        kept: whether the runs have their predictions.
    """
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import create_engine

    from scaling.tracking import RunStore

    store = RunStore(f"sqlite:///{folder}/mlflow.db", "synthetic")
    experiment = int(store.experiment_id)
    place = folder / "artifacts" / "synthetic"
    tables: dict[Any, list[dict[str, Any]]] = {
        model: [] for model in (models.SqlRun, models.SqlLatestMetric, models.SqlParam, models.SqlTag)
    }
    for entry in [sweep(), *points(curves, place if kept else None)]:
        run_id = entry["run_id"]
        tables[models.SqlRun].append(run_row(entry, experiment, place))
        for name, value in entry["metrics"].items():
            common = {"run_uuid": run_id, "key": name, "value": value, "timestamp": START, "step": 0, "is_nan": False}
            tables[models.SqlLatestMetric].append(common)
        tables[models.SqlParam] += [{"run_uuid": run_id, "key": k, "value": v} for k, v in entry["params"].items()]
        tables[models.SqlTag] += [{"run_uuid": run_id, "key": k, "value": v} for k, v in entry["tags"].items()]
    engine = create_engine(f"sqlite:///{folder}/mlflow.db")
    with engine.begin() as connection:
        for model, rows in tables.items():
            connection.execute(model.__table__.insert(), rows)
    engine.dispose()
    return len(tables[models.SqlRun]) - 1


def run_row(entry: dict[str, Any], experiment: int, place: Path) -> dict[str, Any]:
    """Return the row of a run itself."""
    return {
        "run_uuid": entry["run_id"], "name": entry["name"], "source_type": "LOCAL", "source_name": "",
        "entry_point_name": "", "user_id": "", "status": "FINISHED", "start_time": START + entry["at"],
        "end_time": START + entry["at"] + 1500, "lifecycle_stage": "active", "experiment_id": experiment,
        "artifact_uri": f"{(place / entry['run_id']).as_uri()}/artifacts", "source_version": "",
    }  # fmt: skip


def sweep() -> dict[str, Any]:
    """Return the parent run."""
    tags = {"scaling.kind": "sweep", "scaling.sweep": "s", "scaling.command": "python -m scaling.run -m n=100"}
    return {"run_id": SWEEP, "name": "sweep", "at": 0, "metrics": {}, "params": {}, "tags": tags}


def points(curves: int, place: Path | None) -> Iterator[dict[str, Any]]:
    """Yield runs with everything that the report reads, and as much again beside it."""
    for curve, model, adaptation, dataset, size in grid(curves):
        n = SIZES[size]
        for seed in range(SEEDS):
            generator = np.random.default_rng((curve, size, seed))
            run_id = f"{curve:08x}{size:08x}{seed:016x}"
            files, test = predictions(dataset, accuracy(curve, n, generator), generator)
            if place is not None:
                folder = place / run_id / "artifacts"
                folder.mkdir(parents=True)
                for name, content in files.items():
                    (folder / name).write_bytes(content)
            train = min(1.0, test + 0.3 * (100 / n) ** 0.4)
            yield {
                "run_id": run_id, "name": run_id[:8], "at": curve * 1000 + size * 10 + seed,
                "metrics": metrics(test, train, n, generator),
                "params": params(f"model{model}", f"dataset{dataset}", f"adaptation{adaptation}", n, seed),
                "tags": tags(curve, run_id),
            }  # fmt: skip


def metrics(test: float, train: float, n: int, generator: np.random.Generator) -> dict[str, float]:
    """Return what a run logs as numbers."""
    named = {
        "test/accuracy": test, "train/accuracy": train, "test/accuracy_low": test - 0.01,
        "test/accuracy_high": test + 0.01, "upgradeability": test - train, "n": float(n), "test/macro_f1": test - 0.01,
        "test/balanced_accuracy": test, "test/nll": 3 * (1 - test), "train/nll": 3 * (1 - train),
        "time/fit_s": 0.001 * n, "time/predict_s": 0.5, "time/load_s": 0.1, "features_computed": 0.0,
        "memory/peak_bytes": 1e9,
    }  # fmt: skip
    classes = {f"test/class_accuracy/class{i}": float(generator.uniform()) for i in range(CLASSES)}
    return named | classes


def params(model: str, dataset: str, adaptation: str, n: int, seed: int) -> dict[str, str]:
    """Return the settings of a run."""
    names = {"model": model, "dataset": dataset, "adaptation": adaptation, "n": str(n), "n_requested": str(n)}
    return names | {"seed": str(seed), "model.id": model} | {f"adaptation.setting{i}": "0.5" for i in range(15)}


def tags(curve: int, run_id: str) -> dict[str, str]:
    """Return who a run is."""
    known = {
        "scaling.kind": "point", "scaling.fingerprint": run_id, "scaling.curve_id": f"curve{curve:04}",
        "scaling.pool": str(POOL), "scaling.machine": "synthetic", "scaling.sweep": "s", "mlflow.parentRunId": SWEEP,
    }  # fmt: skip
    return known | {f"scaling.version.package{i}": "1.0" for i in range(8)}


def measure(folder: Path) -> tuple[float, float]:
    """Run the report in a process of its own; return seconds and peak memory in bytes."""
    code = (
        "import sys; sys.argv = ['report', 'experiment=synthetic'];"
        "from scaling.report import main; main();"
        "from scaling.machine import peak_memory; print(peak_memory())"
    )
    started = time.perf_counter()
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, float(done.stdout.split()[-1])


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, nargs="+", default=[10, 100], help="each has 100 runs")
    options = parser.parse_args(arguments)
    row("runs", "curves", "report", "a run", "peak memory", "limit")
    row(*["---"] * 6)
    made = []
    for curves in options.curves:
        with tempfile.TemporaryDirectory() as name:
            runs = make_store(Path(name), curves)
            seconds, peak = measure(Path(name))
            each = f"{1000 * seconds / runs:.1f} ms"
            made.append((runs, seconds))
            row(str(runs), str(curves), f"{seconds:.1f} s", each, f"{peak / GIB:.2f} GiB", "60 s, 2 GiB")
    if len(made) > 1:
        row("exponent over runs", "", exponent(*zip(*made, strict=True)), "", "", "1.1")


if __name__ == "__main__":
    main(sys.argv[1:])
