"""A grid of points: plan it, skip what is finished, run the rest, wait for what others run, sum up.

A single run is a grid of one. Hydra's launcher decides where points are run; here it is a function.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from scaling import terminal
from scaling.core.curves import Curve, Point, curves_of, newest_by_fingerprint
from scaling.core.errors import SettingError, StoreError, SweepError
from scaling.core.identity import GridPoint, digest
from scaling.core.published import compare
from scaling.core.secrets import mask
from scaling.report.description import described_points
from scaling.runs.estimate import estimate
from scaling.runs.job import Job
from scaling.runs.point import PointRunner, Result, not_run
from scaling.runs.spec import RunSpec
from scaling.tracking import RunStore, spool
from scaling.tracking.connection import few_retries
from scaling.tracking.delivery import Delivered
from scaling.tracking.records import PointState, Sweep

#: Between two looks at points that others run, in the end.
POLL_SECONDS = 10.0
#: For so long a store may be away while nothing is left to do but to wait for others.
OUTAGE_SECONDS = 1800.0
#: What came of a point that a launcher says nothing of.
LOST = Result("", "failed", "its job ended without a result; the launcher's log may say why")


@dataclass(frozen=True)
class Planned:
    """A grid point with what makes it, what the store knows of it, its data set's remarks."""

    overrides: tuple[str, ...]
    spec: RunSpec
    point: GridPoint
    state: PointState
    notes: tuple[str, ...] = ()


#: Runs points by their overrides and returns their results, in any process.
Launch = Callable[[PointRunner, Sequence[Planned]], Sequence[Result]]


@dataclass
class Ran:
    """What came of running points, by fingerprint.

    Attributes:
        failures: why points failed, or were not logged.
        missed: points that could not be claimed.
        points: what was computed.
        trouble: what the store said when it could no longer be reached; empty where it could.
    """

    failures: dict[str, str] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    points: dict[str, Point] = field(default_factory=dict)
    trouble: str = ""

    def add(self, point: GridPoint, result: Result) -> None:
        """Take in what came of a point."""
        if result.state in ("failed", "missed"):
            self.failures[point.fingerprint] = _reason(point, result)
        if result.state == "missed":
            self.missed.add(point.fingerprint)
        if result.point is not None:
            self.points[point.fingerprint] = result.point

    def state(self, item: Planned) -> PointState:
        """Return what is known of a point without asking the store."""
        if reason := self.failures.get(item.point.fingerprint):
            return PointState("failed", reason=reason)
        return PointState("done") if item.point.fingerprint in self.points else item.state


def plan(candidates: Sequence[tuple[Sequence[str], RunSpec]], store: RunStore) -> list[Planned]:
    """Check all points of a grid, drop repeats, and look up what is known of each.

    Args:
        candidates: overrides and settings of each point.

    Raises:
        ScalingError: a point can't be run as it is set; nothing was written then.
    """
    unique: dict[str, Planned] = {}
    pending = PointState("pending")
    for overrides, spec in candidates:
        job = Job(spec)
        point = job.check()
        unique.setdefault(point.fingerprint, Planned(tuple(overrides), spec, point, pending, job.dataset.remarks))
    return [_under_its_seed(item, store) for item in looked_up(list(unique.values()), store)]


def _under_its_seed(item: Planned, store: RunStore) -> Planned:
    """Return a point that stands for all seeds as an earlier version may have finished it, under another seed."""
    if item.state.state == "done" or item.spec.force:
        return item
    same = store.under_another_seed(item.point)
    return item if same is None else looked_up([replace(item, point=same)], store)[0]


def looked_up(planned: Sequence[Planned], store: RunStore) -> list[Planned]:
    """Return points with what the store knows of them now."""
    states = store.states(item.point for item in planned)
    return [replace(item, state=states[item.point.fingerprint]) for item in planned]


def run_grid(
    candidates: Sequence[tuple[Sequence[str], RunSpec]], launch: Launch, in_process: bool = True, sweep_id: str = ""
) -> list[Planned]:
    """Plan and run a grid; print what is done, failed and pending, and how it came out.

    Args:
        candidates: overrides and settings of each point, at least one.
        launch: how points are run.
        sweep_id: that of a sweep whose grid grows step by step, and which says itself how it comes out.
        in_process: whether `launch` runs them one by one in this process, so that bars can be drawn.

    Returns:
        The points with their states after the run (before it, where plan=true).

    Raises:
        SweepError: points failed.
    """
    first = candidates[0][1]
    places = first.places
    screen = terminal.console()
    if any((spec.places.uri, spec.places.experiment) != (places.uri, places.experiment) for _, spec in candidates):
        raise SettingError("tracking.uri= and tracking.experiment= take one value a sweep.\nRun one sweep for each.")
    store = RunStore(places.uri, places.experiment)
    planned = plan(candidates, store)
    for note in dict.fromkeys(note for item in planned for note in item.notes):
        screen.print(f"note: {note}", markup=False)
    delivered = Delivered() if first.plan else _deliver(places.spool, store)
    if delivered.logged:
        planned = looked_up(planned, store)
    todo = [item for item in planned if item.state.state != "done" or first.force]
    stuck = {} if first.force else delivered.stuck  # those are computed, whatever keeps them from the store
    stuck = {item.point.fingerprint: stuck[item.point.fingerprint] for item in todo if item.point.fingerprint in stuck}
    todo = [item for item in todo if item.point.fingerprint not in stuck]
    for one in {(item.spec.model, item.spec.source): item.spec for item in todo}.values():
        Job(one).check_network()
    if not sweep_id:
        screen.print(terminal.counts_line(Counter(item.state.state for item in planned)))
    if first.plan:
        rows = [(item.point, item.state.state, item.state.reason.split("\n")[0]) for item in planned]
        screen.print(terminal.plan_table(rows))
        if todo:
            screen.print(terminal.estimate_text(estimate([Job(item.spec) for item in todo], store)))
        return planned
    if not todo:
        screen.print(f"nothing to run; force=true runs finished points again (store: {mask(store.uri)})")
    ran = _run(planned, todo, first, store, launch, in_process, sweep_id)
    ran.failures |= stuck
    after, found = [replace(item, state=ran.state(item)) for item in planned], list(ran.points.values())
    if not ran.trouble:
        try:
            # A point whose job came to nothing has no run that tells.
            after = [
                item if item.state.state == "done" else replace(item, state=ran.state(item))
                for item in looked_up(planned, store)
            ]
            found = _finished([item.point for item in planned], store)
        except StoreError as error:
            ran.trouble = str(error)
    if todo and not sweep_id:
        screen.print(terminal.counts_line(Counter(item.state.state for item in after)))
    if not sweep_id:
        _sum_up(curves_of(found), first.expected, screen)
    if ran.trouble:
        ran.trouble += "\nThe same command runs what is missing, and logs what is kept."
    if ran.failures or ran.trouble:
        raise SweepError("\n".join(filter(None, (_failure_list(planned, ran.failures, store), ran.trouble))))
    return after


def _sum_up(curves: Sequence[Curve], expected: Sequence[Any], screen: Console) -> None:
    """Print the curves' tables, how far they lie from expected figures and, on a terminal, draw them."""
    for table in terminal.curve_tables(curves):
        screen.print(table)
    if drawing := terminal.plot(curves, screen):
        print(drawing)
    for figure in compare(expected, curves):
        if figure.measured is not None:
            screen.print(f"expected: {figure}")


def _deliver(root: Path, store: RunStore) -> Delivered:
    """Log the results that an outage left on this disk, and say so."""
    delivered = store.deliver_kept(root)
    for note in delivered.notes(root):
        terminal.console().print(note, markup=False)
    return delivered


def _run(
    planned: list[Planned], todo: list[Planned], first: RunSpec, store: RunStore, launch: Launch,
    in_process: bool, sweep_id: str,
) -> Ran:  # fmt: skip
    """Run what is to be done under the grid's parent run."""
    points = [item.point for item in planned]
    store.close_stale()
    sweep = _open(points, first, store, sweep_id)
    runner = PointRunner(sweep, len(todo), tuple(terminal.varying(points)), in_process)
    status, ran = "KILLED", Ran()
    try:
        with store.heartbeat(sweep.run_id, watching=True):
            _run_all(todo, store, launch, runner, ran)
            missed = [item for item in todo if item.point.fingerprint in ran.missed]
            for item in missed:  # an outage may have passed meanwhile; they are tried once more
                del ran.failures[item.point.fingerprint]
            _run_all(missed, store, launch, runner, ran)
        if ran.failures:
            for fingerprint in _deliver(first.places.spool, store).logged:
                ran.failures.pop(fingerprint, None)
        status = "FAILED" if ran.failures else "FINISHED"
    except StoreError as error:
        ran.trouble = str(error)
    finally:
        try:
            with few_retries() if ran.trouble else nullcontext():
                found = _finished(points, store)
                store.log_curves(sweep.run_id, found)
                store.describe(sweep.run_id, described_points(found))
                store.finish_sweep(sweep, status)
        except StoreError as error:  # what was computed is told all the same
            ran.trouble = ran.trouble or str(error)
        spool.tidy(first.places.spool)
    return ran


def _run_all(todo: list[Planned], store: RunStore, launch: Launch, runner: PointRunner, ran: Ran) -> None:
    """Launch points until none is left; those that another process has are waited for, or taken over.

    Every point that is launched leaves the list, unless its claim found that another live process has it. So a round
    either shortens the list or waits for others, whose runs end or become stale.
    """
    waiting_for, pause, reached = "", min(1.0, POLL_SECONDS), time.monotonic()
    while todo:
        try:
            if waiting_for:
                store.close_stale()  # in this process, which watches: one that is launched may be another each time
            states = store.states(item.point for item in todo)
            reached = time.monotonic()
        except StoreError as error:
            if waiting_for and time.monotonic() - reached < OUTAGE_SECONDS:
                time.sleep(pause)
                continue
            ran.failures |= {item.point.fingerprint: not_run(error) for item in todo}
            raise
        free = [item for item in todo if states[item.point.fingerprint].state != "running"]
        owners = {key: state.reason for key, state in states.items() if state.state == "running"}
        results = {result.fingerprint: result for result in (launch(runner, free) if free else ()) if result}
        for item in free:
            result = results.get(item.point.fingerprint, LOST)
            if result.state == "running":
                owners[item.point.fingerprint] = result.reason
            else:
                ran.add(item.point, result)
        left = [item for item in todo if item.point.fingerprint in owners]
        if len(left) == len(todo):
            owner = owners[todo[0].point.fingerprint]
            if owner != waiting_for:
                terminal.console().print(f"waiting for {len(todo)} points that another sweep runs ({owner})")
                waiting_for = owner
            time.sleep(pause)
            pause = min(pause * 1.25, POLL_SECONDS)
        todo = left


def _reason(point: GridPoint, result: Result) -> str:
    """Say why a point failed; where its job found another point, what changed."""
    if result.found is None:
        return result.reason
    return f"not what was planned, so not computed: {point.unlike(result.found)} changed while the sweep ran"


def _open(points: Sequence[GridPoint], spec: RunSpec, store: RunStore, sweep_id: str = "") -> Sweep:
    """Open the parent run, with the grid and the published figures among its artifacts."""
    fingerprints = sorted(point.fingerprint for point in points)
    models, datasets, adaptations = (
        ",".join(sorted({str(getattr(point, name)) for point in points})) for name in ("model", "dataset", "adaptation")
    )
    sizes = sorted({point.n for point in points})
    span = f"n={sizes[0]}" if len(sizes) == 1 else f"n={sizes[0]}…{sizes[-1]}"
    name = f"sweep {models} {datasets} {adaptations} {span}"
    sweep = store.open_sweep(sweep_id or digest(fingerprints)[:16], name, {"scaling.command": " ".join(sys.argv)})
    grid = [
        {
            "fingerprint": point.fingerprint, "curve_id": point.curve_id, "model": point.model,
            "dataset": point.dataset, "adaptation": point.adaptation, "n": point.n, "seed": point.seed,
        }
        for point in points
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "grid.json").write_text(json.dumps(grid, indent=1), encoding="utf-8")
        expected = json.dumps(list(spec.expected), indent=1)
        (Path(folder) / "expected.json").write_text(expected, encoding="utf-8")
        store.log_artifacts(sweep.run_id, Path(folder))
    return sweep


def _finished(grid: Sequence[GridPoint], store: RunStore) -> list[Point]:
    """Return the finished points of a grid, whoever computed them, each once."""
    fingerprints = {point.fingerprint for point in grid}
    found = store.finished_points(point.curve_id for point in grid)
    return newest_by_fingerprint([point for point in found if point.fingerprint in fingerprints])[0]


def _failure_list(planned: list[Planned], failures: Mapping[str, str], store: RunStore) -> str:
    if not failures:
        return ""
    fields = terminal.varying([item.point for item in planned])
    lines = [
        f"  {terminal.describe(item.point, fields)}: {failures[item.point.fingerprint].splitlines()[0]}"
        for item in planned
        if item.point.fingerprint in failures
    ]
    head = f"{len(failures)} of {len(planned)} points failed; their logs are in MLflow (experiment {store.experiment}):"
    return "\n".join([head, *lines])
