"""Faults injected for real: kill -9, SIGTERM, two sweeps at once, points in parallel processes."""

import signal
import time
from pathlib import Path

import pytest
from tests.conftest import DIGITS, spawn

from scaling.core.curves import curves_of, newest_by_fingerprint
from scaling.metrics.columns import rows
from scaling.tracking import RunStore
from scaling.tracking.records import FINGERPRINT, KIND, REASON

GRID = ("-m", *DIGITS, "n=50,100,200", "seed=0,1,2,3,4,5,6,7")
POINTS = 24
#: More points than can be finished while a signal is under way, on however busy a machine.
LONG_GRID = (*GRID[:-1], f"seed={','.join(map(str, range(40)))}")


def table(folder: Path):
    """The finished points of a folder's store as rows of curves.csv, without run ids."""
    points, _ = newest_by_fingerprint(RunStore(f"sqlite:///{folder}/mlruns/mlflow.db").finished_points())
    return [{key: value for key, value in row.items() if key != "run_id"} for row in rows(curves_of(points))]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table of the grid as an undisturbed sweep makes it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(spawn(folder, *GRID))
    return table(folder)


def finish(process):
    """Wait for a command that must succeed, and return what it printed."""
    out = process.communicate()[0]
    assert process.returncode == 0, out
    return out


def after_points(process, count):
    """Wait until the process has finished that many points."""
    done = 0
    for line in process.stdout:
        done += line.startswith("[")
        if done >= count:
            return


def kill_after(process, count):
    """Kill a process once it has finished that many points, and return its exit code."""
    after_points(process, count)
    process.kill()
    process.communicate()
    return process.returncode


def runs_by_status(store):
    statuses = {}
    for run in store.runs():
        if run.data.tags[KIND] == "point":
            statuses.setdefault(run.info.status, []).append(run)
    return statuses


def test_kill_9_then_the_same_command_gives_the_same_table_and_nothing_twice(place, undisturbed):
    for finished in (1, 3):
        assert kill_after(spawn(place, *GRID), finished) == -signal.SIGKILL
    out = finish(spawn(place, *GRID))
    assert "done" in out.splitlines()[0]
    assert table(place) == undisturbed
    statuses = runs_by_status(RunStore())
    assert set(statuses) <= {"FINISHED", "KILLED"}
    fingerprints = [run.data.tags[FINGERPRINT] for run in statuses["FINISHED"]]
    assert len(fingerprints) == len(set(fingerprints)) == POINTS
    assert all("process was gone" in run.data.tags[REASON] for run in statuses.get("KILLED", []))


def test_sigterm_leaves_no_run_running(place):
    process = spawn(place, *LONG_GRID)
    after_points(process, 2)
    process.send_signal(signal.SIGTERM)
    store, deadline = RunStore(), time.monotonic() + 600
    while "RUNNING" in (left := {run.info.status for run in store.runs()}) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.kill()
    process.communicate()
    assert "RUNNING" not in left
    assert "KILLED" in left
    assert 2 <= len(runs_by_status(store)["FINISHED"]) < 120


def test_two_sweeps_at_once_on_a_fresh_store_share_the_points(place, undisturbed):
    both = [spawn(place, *GRID), spawn(place, *GRID)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    statuses = runs_by_status(RunStore())
    assert set(statuses) == {"FINISHED"}
    assert len(statuses["FINISHED"]) == POINTS
    assert all(f"{POINTS} points: {POINTS} done" in output for output in outputs)
    assert table(place) == undisturbed


def test_points_run_in_parallel_processes_with_joblib(place, undisturbed):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    finish(spawn(place, *GRID, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"))
    assert table(place) == undisturbed
    assert sorted(path.name for path in place.iterdir()) == [".features", "mlruns"]
