"""A grid of points: plan it, skip what is finished, run the rest, wait for what others run, sum up.

A single run is a grid of one. Hydra's launcher decides where points are run; here it is a function.
"""

import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from scaling import machine, terminal
from scaling.config import plain
from scaling.core.curves import curves_of, newest_by_fingerprint
from scaling.core.errors import ScalingError, SweepError
from scaling.core.identity import GridPoint, digest, flatten
from scaling.core.reporter import Advance
from scaling.core.secrets import mask
from scaling.evaluate import Evaluation, Job, evaluate_job
from scaling.tracking import POOL, PRECISION_USED, PointState, RunStore, Sweep

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Planned:
    """A grid point with the overrides that make it and what the store knows of it."""

    overrides: tuple[str, ...]
    point: GridPoint
    state: PointState


@dataclass(frozen=True)
class Result:
    """What came of a point: "finished" by us, "done" before or elsewhere, "running" elsewhere, or "failed"."""

    fingerprint: str
    state: str
    reason: str = ""


#: Runs points by their overrides and returns their results, in any process.
Launch = Callable[["PointRunner", Sequence[Planned]], Sequence[Result]]


def plan(candidates: Sequence[tuple[Sequence[str], Mapping[str, Any]]], store: RunStore) -> list[Planned]:
    """Check all points of a grid, drop repeats, and look up what is known of each.

    Args:
        candidates: overrides and resolved settings of each point.

    Raises:
        ScalingError: a point can't be run as it is set; nothing was written then.
    """
    unique: dict[str, tuple[tuple[str, ...], GridPoint]] = {}
    for overrides, settings in candidates:
        point = Job(settings).check()
        unique.setdefault(point.fingerprint, (tuple(overrides), point))
    states = store.states(point for _, point in unique.values())
    return [Planned(overrides, point, states[key]) for key, (overrides, point) in unique.items()]


def run_grid(
    candidates: Sequence[tuple[Sequence[str], Mapping[str, Any]]], launch: Launch, in_process: bool = True
) -> list[Planned]:
    """Plan and run a grid; print what is done, failed and pending, and how it came out.

    Args:
        candidates: overrides and resolved settings of each point, at least one.
        launch: how points are run.
        in_process: whether `launch` runs them one by one in this process, so that bars can be drawn.

    Returns:
        The points with their states after the run (before it, where plan=true).

    Raises:
        SweepError: points failed.
    """
    settings = candidates[0][1]
    screen = terminal.console()
    store = RunStore(settings["tracking"]["uri"], settings["tracking"]["experiment"])
    planned = plan(candidates, store)
    screen.print(terminal.counts_line(Counter(item.state.state for item in planned)))
    if settings["plan"]:
        rows = [(item.point, item.state.state, item.state.reason.split("\n")[0]) for item in planned]
        screen.print(terminal.plan_table(rows))
        return planned
    todo = [item for item in planned if item.state.state != "done" or settings["force"]]
    if not todo:
        screen.print(f"nothing to run; force=true runs finished points again (store: {mask(store.uri)})")
    failures = _run(planned, todo, settings, store, launch, in_process)
    after = plan(candidates, store)
    _sum_up(after, store, screen, bool(todo))
    if failures:
        raise SweepError(_failure_list(planned, failures, store))
    return after


def _run(
    planned: list[Planned], todo: list[Planned], settings: Mapping[str, Any], store: RunStore, launch: Launch,
    in_process: bool,
) -> dict[str, str]:  # fmt: skip
    """Run what is to be done under the grid's parent run; return the reasons of failures by fingerprint."""
    points = [item.point for item in planned]
    store.close_stale()
    sweep = _open(points, settings, store)
    runner = PointRunner(sweep, len(todo), tuple(terminal.varying(points)), in_process)
    status, failures = "KILLED", {}
    try:
        failures = _run_all(todo, store, launch, runner) if todo else {}
        status = "FAILED" if failures else "FINISHED"
    finally:
        fingerprints = {point.fingerprint for point in points}
        finished = [
            p for p in store.finished_points(point.curve_id for point in points) if p.fingerprint in fingerprints
        ]
        store.log_curves(sweep.run_id, newest_by_fingerprint(finished)[0])
        store.finish_sweep(sweep, status)
    return failures


def _run_all(todo: list[Planned], store: RunStore, launch: Launch, runner: "PointRunner") -> dict[str, str]:
    """Launch points until none is left; those that another process has are waited for, or taken over."""
    failures: dict[str, str] = {}
    waiting_said = False
    while todo:
        states = store.states(item.point for item in todo)
        free = [item for item in todo if states[item.point.fingerprint].state != "running"]
        results = {result.fingerprint: result for result in launch(runner, free)} if free else {}
        failures |= {key: result.reason for key, result in results.items() if result.state == "failed"}
        todo = [
            item for item in todo
            if (result := results.get(item.point.fingerprint)) is None or result.state == "running"
        ]  # fmt: skip
        if todo and not free:
            if not waiting_said:
                owner = states[todo[0].point.fingerprint].reason
                terminal.console().print(f"waiting for {len(todo)} points that another sweep runs ({owner})")
                waiting_said = True
            time.sleep(POLL_SECONDS)
    return failures


def _open(points: Sequence[GridPoint], settings: Mapping[str, Any], store: RunStore) -> Sweep:
    """Open the parent run, with the grid and the published figures among its artifacts."""
    fingerprints = sorted(point.fingerprint for point in points)
    models, datasets, adaptations = (
        ",".join(sorted({str(getattr(point, name)) for point in points})) for name in ("model", "dataset", "adaptation")
    )
    sizes = sorted({point.n for point in points})
    span = f"n={sizes[0]}" if len(sizes) == 1 else f"n={sizes[0]}…{sizes[-1]}"
    name = f"sweep {models} {datasets} {adaptations} {span}"
    sweep = store.open_sweep(digest(fingerprints)[:16], name, {"scaling.command": mask(" ".join(sys.argv))[:5000]})
    grid = [
        {
            "fingerprint": point.fingerprint, "curve_id": point.curve_id, "model": point.model,
            "dataset": point.dataset, "adaptation": point.adaptation, "n": point.n, "seed": point.seed,
        }
        for point in points
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "grid.json").write_text(json.dumps(grid, indent=1))
        (Path(folder) / "expected.json").write_text(json.dumps(settings.get("expected") or [], indent=1))
        store.log_artifacts(sweep.run_id, Path(folder))
    return sweep


def _sum_up(planned: list[Planned], store: RunStore, screen: Any, ran: bool) -> None:
    """Print the table of the grid's finished points."""
    fingerprints = {item.point.fingerprint for item in planned}
    points = [
        p for p in store.finished_points(item.point.curve_id for item in planned) if p.fingerprint in fingerprints
    ]
    if ran:
        screen.print(terminal.counts_line(Counter(item.state.state for item in planned)))
    for table in terminal.curve_tables(curves_of(newest_by_fingerprint(points)[0])):
        screen.print(table)


def _failure_list(planned: list[Planned], failures: Mapping[str, str], store: RunStore) -> str:
    fields = terminal.varying([item.point for item in planned])
    lines = [
        f"  {terminal.describe(item.point, fields)}: {failures[item.point.fingerprint].splitlines()[0]}"
        for item in planned
        if item.point.fingerprint in failures
    ]
    head = f"{len(failures)} of {len(planned)} points failed; their logs are in MLflow (experiment {store.experiment}):"
    return "\n".join([head, *lines])


@dataclass(frozen=True)
class PointRunner:
    """Runs one grid point of a sweep and logs it; small enough to be sent to another process.

    Attributes:
        total: points that the sweep runs.
        fields: names in which its points differ.
        bars: whether progress bars may be drawn.
    """

    sweep: Sweep
    total: int
    fields: tuple[str, ...]
    bars: bool

    def __call__(self, config: DictConfig, position: int) -> Result:
        """Claim, evaluate and log the point of a composed config; failures are logged and returned."""
        settings = plain(config)
        job = Job(settings)
        point = job.check()
        store = RunStore(settings["tracking"]["uri"], settings["tracking"]["experiment"])
        claim = store.claim(point, self.sweep, run_params(job), run_tags(job), bool(settings["force"]))
        if not claim.ours:
            return Result(point.fingerprint, "done" if claim.finished else "running", claim.owner)
        screen = terminal.console()
        shown = self.bars and bool(settings["progress"])
        with tempfile.TemporaryDirectory() as folder, store.heartbeat(claim.run_id):
            log = RunLog(Path(folder) / "log.txt", screen, store, claim.run_id)
            started = time.monotonic()
            try:
                with terminal.PointProgress(screen, position, self.total, shown) as progress:
                    log.progress = progress
                    evaluation = evaluate_job(job, log)
                metrics = self._log(store, claim.run_id, job, evaluation, log, Path(folder))
            except BaseException as error:
                stopped = not isinstance(error, Exception)
                reason = "interrupted" if stopped else failure_reason(error)
                log.write("".join(traceback.format_exception(error)))
                store.fail(claim.run_id, reason, Path(folder), "KILLED" if stopped else "FAILED")
                if stopped:
                    raise
                name = terminal.describe(point, self.fields)
                screen.print(f"[{position + 1}/{self.total}] {name}  FAILED  {reason}", style="red", markup=False)
                return Result(point.fingerprint, "failed", reason)
        name = terminal.describe(point, self.fields)
        seconds = time.monotonic() - started
        screen.print(terminal.result_line(position + 1, self.total, name, metrics, seconds), markup=False)
        return Result(point.fingerprint, "finished")

    def _log(
        self, store: RunStore, run_id: str, job: Job, evaluation: Evaluation, log: "RunLog", folder: Path
    ) -> dict[str, float]:
        started = time.monotonic()
        outcome = evaluation.outcome
        metrics = {**evaluation.score.metrics(), **outcome.metrics}
        metrics["features_computed"] = float(evaluation.features_computed)
        metrics |= {f"time/{name.replace(' ', '_')}_s": seconds for name, seconds in log.seconds.items()}
        write_artifacts(folder, job, evaluation)
        info = job.dataset
        dataset = {
            "name": info.name,
            "digest": digest(info.identity()),
            "source": info.source,
            "profile": json.dumps({"train": len(info.train), "test": len(info.test), "classes": len(info.class_names)}),
        }
        log.write("\n".join(f"{name}: {value}" for name, value in sorted(metrics.items())))
        store.log_point(run_id, metrics, outcome.params, outcome.tags, dataset, folder)
        store.log_value(run_id, "time/logging_s", time.monotonic() - started, job.point.n)
        store.finish(run_id)
        return metrics


@dataclass
class RunLog:
    """The reporter of one run: times its stages, keeps its log, shows its progress."""

    path: Path
    screen: Any
    store: RunStore
    run_id: str
    progress: terminal.PointProgress | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Time a stage and show its bar."""
        started = time.monotonic()
        self.write(f"{name}" + (f" ({total})" if total else ""))
        try:
            if self.progress is None:
                yield lambda steps: None
            else:
                with self.progress.stage(name, total) as advance:
                    yield advance
        finally:
            took = time.monotonic() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            self.write(f"{name}: {took:.2f} s")

    def value(self, name: str, value: float, step: int) -> None:
        """Log a value as it happens."""
        self.store.log_value(self.run_id, name, value, step)

    def note(self, message: str) -> None:
        """Tell the user, and keep it."""
        self.write(message)
        self.screen.print(f"note: {message}", markup=False)

    def write(self, text: str) -> None:
        """Append to the log."""
        with self.path.open("a") as file:
            file.write(mask(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n"))


def failure_reason(error: BaseException) -> str:
    """Say in one line or a few why a point failed."""
    if isinstance(error, ScalingError):
        return str(error)
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def run_params(job: Job) -> dict[str, Any]:
    """Return who the point is and every setting that can change its score, as params."""
    point, settings = job.point, job.settings
    shown = {key: settings[key] for key in ("model", "dataset", "adaptation", "subset")}
    # Lists and maps have characters that MLflow refuses in keys; the resolved config is an artifact anyway.
    flat = {key: value for key, value in flatten(shown).items() if not key.endswith("_target_")}
    return {
        "model": point.model, "dataset": point.dataset, "adaptation": point.adaptation, "n": point.n,
        "n_requested": point.n_requested, "seed": point.seed, "precision": job.precision,
        **{key: value for key, value in flat.items() if key.replace(".", "").replace("_", "").isalnum()},
    }  # fmt: skip


def run_tags(job: Job) -> dict[str, str]:
    """Return what is known of a point before it runs, as tags."""
    return {
        PRECISION_USED: job.precision,
        "scaling.precision_asked": str(job.settings["precision"]),
        "scaling.subset": job.subset_digest(),
        POOL: str(len(job.dataset.train)),
    }


def write_artifacts(folder: Path, job: Job, evaluation: Evaluation) -> None:
    """Write what is kept of a point: config, environment, predictions, and the adaptation's tables."""
    import csv

    import numpy as np

    settings = dict(job.settings)
    settings["tracking"] = {**settings["tracking"], "uri": mask(str(settings["tracking"]["uri"] or ""))}
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(settings)))
    environment = {"versions": machine.versions(), "hardware": machine.hardware()}
    (folder / "environment.json").write_text(json.dumps(environment, indent=1))
    test = evaluation.outcome.test
    arrays: dict[str, Any] = {
        "train_indices": job.subset.indices.astype(np.int32),
        "train_predicted": evaluation.outcome.train.predicted.astype(np.int32),
        "test_labels": test.labels.astype(np.int32),
        "test_predicted": test.predicted.astype(np.int32),
        "test_log_prob": test.log_prob.astype(np.float32),
    }
    np.savez_compressed(folder / "predictions.npz", **arrays)
    for name, rows in evaluation.outcome.tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
