"""A grid of points: plan it, skip what is finished, run the rest, wait for what others run, sum up.

A single run is a grid of one. Hydra's launcher decides where points are run; here it is a function.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling import terminal
from scaling.core.curves import Point, curves_of, newest_by_fingerprint
from scaling.core.errors import SettingError, SweepError
from scaling.core.identity import GridPoint, digest
from scaling.core.secrets import mask
from scaling.estimate import estimate
from scaling.evaluate import Job
from scaling.point import PointRunner, Result
from scaling.tracking import PointState, RunStore, Sweep

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Planned:
    """A grid point with the overrides and settings that make it and what the store knows of it."""

    overrides: tuple[str, ...]
    settings: Mapping[str, Any]
    point: GridPoint
    state: PointState


#: Runs points by their overrides and returns their results, in any process.
Launch = Callable[[PointRunner, Sequence[Planned]], Sequence[Result]]


def plan(candidates: Sequence[tuple[Sequence[str], Mapping[str, Any]]], store: RunStore) -> list[Planned]:
    """Check all points of a grid, drop repeats, and look up what is known of each.

    Args:
        candidates: overrides and resolved settings of each point.

    Raises:
        ScalingError: a point can't be run as it is set; nothing was written then.
    """
    unique: dict[str, tuple[tuple[str, ...], Mapping[str, Any], GridPoint]] = {}
    for overrides, settings in candidates:
        point = Job(settings).check()
        unique.setdefault(point.fingerprint, (tuple(overrides), settings, point))
    states = store.states(point for *_, point in unique.values())
    return [Planned(*found, states[fingerprint]) for fingerprint, found in unique.items()]


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
    if any(other["tracking"] != settings["tracking"] for _, other in candidates):
        raise SettingError("tracking.uri= and tracking.experiment= take one value a sweep.\nRun one sweep for each.")
    store = RunStore(settings["tracking"]["uri"], settings["tracking"]["experiment"])
    planned = plan(candidates, store)
    todo = [item for item in planned if item.state.state != "done" or settings["force"]]
    for one in {str((item.settings["model"], item.settings["dataset"])): item.settings for item in todo}.values():
        Job(one).check_network()
    screen.print(terminal.counts_line(Counter(item.state.state for item in planned)))
    if settings["plan"]:
        rows = [(item.point, item.state.state, item.state.reason.split("\n")[0]) for item in planned]
        screen.print(terminal.plan_table(rows))
        if todo:
            screen.print(terminal.estimate_text(estimate([Job(item.settings) for item in todo], store)))
        return planned
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
        with store.heartbeat(sweep.run_id):
            failures = _run_all(todo, store, launch, runner) if todo else {}
        status = "FAILED" if failures else "FINISHED"
    finally:
        store.log_curves(sweep.run_id, _finished(points, store))
        store.finish_sweep(sweep, status)
    return failures


def _run_all(todo: list[Planned], store: RunStore, launch: Launch, runner: PointRunner) -> dict[str, str]:
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


def _finished(grid: Sequence[GridPoint], store: RunStore) -> list[Point]:
    """Return the finished points of a grid, whoever computed them, each once."""
    fingerprints = {point.fingerprint for point in grid}
    found = store.finished_points(point.curve_id for point in grid)
    return newest_by_fingerprint([point for point in found if point.fingerprint in fingerprints])[0]


def _sum_up(planned: list[Planned], store: RunStore, screen: Any, ran: bool) -> None:
    """Print the table of the grid's finished points."""
    if ran:
        screen.print(terminal.counts_line(Counter(item.state.state for item in planned)))
    for table in terminal.curve_tables(curves_of(_finished([item.point for item in planned], store))):
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
