"""Faults injected for real: kill -9, SIGTERM, two sweeps at once, points in parallel processes."""

import os
import signal
from pathlib import Path

import pytest
from tests.conftest import DIGITS, spawn

from scaling.core.curves import curves_of, newest_by_fingerprint, rows
from scaling.tracking import FINGERPRINT, KIND, REASON, RunStore

GRID = ("-m", *DIGITS, "n=50,100,200", "seed=0,1")


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


def kill_after(process, lines, signal_number):
    """Send a signal once the process has finished that many points."""
    done = 0
    for line in process.stdout:
        done += line.startswith("[")
        if done >= lines:
            break
    os.kill(process.pid, signal_number)
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
        assert kill_after(spawn(place, *GRID), finished, signal.SIGKILL) == -signal.SIGKILL
    out = finish(spawn(place, *GRID))
    assert "done" in out.splitlines()[0]
    assert table(place) == undisturbed
    statuses = runs_by_status(RunStore())
    assert set(statuses) <= {"FINISHED", "KILLED"}
    fingerprints = [run.data.tags[FINGERPRINT] for run in statuses["FINISHED"]]
    assert len(fingerprints) == len(set(fingerprints)) == 6
    assert all("process was gone" in run.data.tags[REASON] for run in statuses.get("KILLED", []))


def test_sigterm_leaves_no_run_running(place):
    code = kill_after(spawn(place, *GRID), 2, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert "RUNNING" not in {run.info.status for run in RunStore().runs()}


def test_two_sweeps_at_once_on_a_fresh_store_share_the_points(place, undisturbed):
    both = [spawn(place, *GRID), spawn(place, *GRID)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    statuses = runs_by_status(RunStore())
    assert set(statuses) == {"FINISHED"}
    assert len(statuses["FINISHED"]) == 6
    assert all("6 points: 6 done" in output for output in outputs)
    assert table(place) == undisturbed


def test_points_run_in_parallel_processes_with_joblib(place, undisturbed):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    finish(spawn(place, *GRID, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"))
    assert table(place) == undisturbed
    assert sorted(path.name for path in place.iterdir()) == [".features", "mlruns"]
