"""The tracking store, on a real SQLite database; each test has an MLflow experiment of its own in it."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from scaling import machine
from scaling.core.curves import Point
from scaling.core.errors import StoreError
from scaling.core.identity import GridPoint
from scaling.metrics.columns import COLUMNS
from scaling.tracking import RunStore, claims, connection, fetch_runs, records, spool
from scaling.tracking import store as store_module
from scaling.tracking.artifacts import folder_of, links
from scaling.tracking.connection import explain, resolve_uri, server_clock
from scaling.tracking.delivery import Delivered
from scaling.tracking.records import (
    CLAIM,
    CURVE,
    FINGERPRINT,
    HEARTBEAT,
    HOST,
    KIND,
    PARENT,
    POOL,
    PROCESS,
    REASON,
    SWEEP,
    TICKET,
    WON,
    Sweep,
    metric_key,
)

NUMBERS = count()
NO_PROCESS = f"{2**22 + 1}:1"  # Linux numbers processes up to 2**22
METRICS = {
    "train/accuracy": 0.9, "test/accuracy": 0.75, "test/accuracy_low": 0.7, "test/accuracy_high": 0.8,
    "upgradeability": -0.15, "n": 10.0,
}  # fmt: skip
DATASET = {"name": "digits", "digest": "0" * 64, "source": "scikit-learn", "profile": "{}"}
CURVE_POINT = Point(
    curve_id="c", model="net", dataset="digits", adaptation="knn", n=10, n_requested="10", seed=0,
    metric="accuracy", train_score=0.9, test_score=0.8, fingerprint="f", run_id="r",
)  # fmt: skip
#: Two programs that say when they are ready, and open the store once they are told to.
OPEN = """
import sys
import mlflow
from scaling.tracking import RunStore
print("ready", flush=True)
sys.stdin.readline()
print(RunStore(sys.argv[1], "shared").experiment_id)
"""


#: A program that claims a point, says which run it has, and waits to be told to end.
CLAIMING = """
import sys
from tests.test_tracking import NAMESPACED, claim
from scaling.tracking import RunStore
from scaling.tracking.records import Sweep
print(claim(RunStore(*sys.argv[1:]), Sweep("r", "s0"), NAMESPACED).run_id, flush=True)
sys.stdin.readline()
"""


def artifact(store, run_id, name):
    return store.kept(store.client.get_run(run_id), name)


def grid_point(n=10, seed=0, model="net"):
    return GridPoint(model, "digits", "knn", n, str(n), seed, {"model": model})


NAMESPACED = grid_point(seed=18)


def params(point):
    names = ("model", "dataset", "adaptation", "n", "n_requested", "seed")
    return {name: getattr(point, name) for name in names} | {"adaptation.k": 5, "precision": "32-true"}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A store that is made once, for that takes seconds."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlruns/mlflow.db"
    assert RunStore(uri).client
    return uri


@pytest.fixture
def store(uri):
    return RunStore(uri, f"experiment-{next(NUMBERS)}")


@pytest.fixture
def sweep(store):
    return store.open_sweep("s0", "a sweep", {})


@pytest.fixture
def copied(uri, tmp_path):
    """A copy of the store that a test may damage."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(Path(uri.removeprefix("sqlite:///")).read_bytes())
    return path


def claim(store, sweep, point=None, force=False, tags=None):
    point = point or grid_point()
    return store.claim(point, sweep, params(point), tags or {}, force)


def finish(store, run_id, folder, metrics=METRICS):
    store.log_point(run_id, metrics, {}, {}, DATASET, folder)
    store.finish(run_id)


def run_of(store, run_id):
    return store.client.get_run(run_id)


def history(store, run_id, key):
    return sorted((metric.step, metric.value) for metric in store.client.get_metric_history(run_id, key))


def refused(store):
    """Open a store that can't be opened and return the message."""
    with pytest.raises(StoreError) as caught:
        assert store.experiment_id
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


# ---- which store ---------------------------------------------------------------------------------------------


def test_the_setting_decides_before_the_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    assert resolve_uri("sqlite:////a/mlflow.db") == "sqlite:////a/mlflow.db"


def test_the_environment_decides_where_nothing_is_set(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    assert resolve_uri(None) == "http://other"


def test_the_default_store_lies_below_the_working_directory(place):
    assert resolve_uri(None) == f"sqlite:///{place}/mlruns/mlflow.db"


def test_a_relative_database_stays_the_same_file_wherever_one_goes(place, monkeypatch):
    store = RunStore("sqlite:///runs/mlflow.db")
    monkeypatch.chdir("/")
    assert store.uri == f"sqlite:///{place}/runs/mlflow.db"


def test_a_scheme_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(StoreError, match=r"(?s)htp://\*\*\*@host: .* knows none by htp://.*Use sqlite:///"):
        resolve_uri("htp://me:secret@host")
    assert resolve_uri("postgresql+psycopg2://host/runs") == "postgresql+psycopg2://host/runs"


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///tmp/mlruns", "file:mlruns"])
@pytest.mark.parametrize("by", ["setting", "environment"])
def test_a_store_of_plain_files_is_refused_with_the_remedy(uri, by, monkeypatch):
    if by == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StoreError, match="sqlite:///PATH") as caught:
        resolve_uri(uri if by == "setting" else None)
    assert uri in str(caught.value)


# ---- opening -------------------------------------------------------------------------------------------------


def test_an_experiment_keeps_its_artifacts_beside_the_database(store, uri):
    folder = Path(uri.removeprefix("sqlite:///")).parent / "artifacts" / store.experiment
    assert store.client.get_experiment(store.experiment_id).artifact_location == folder.as_uri()


def test_runs_never_go_to_the_default_experiment(uri):
    store = RunStore(uri)
    assert store.client.get_experiment(store.experiment_id).name == "scaling"


def test_the_experiment_is_made_once(store):
    assert RunStore(store.uri, store.experiment).experiment_id == store.experiment_id


def test_asking_whether_a_store_exists_makes_nothing(tmp_path):
    assert not RunStore(f"sqlite:///{tmp_path}/mlruns/mlflow.db").exists()
    assert list(tmp_path.iterdir()) == []


def test_asking_whether_an_experiment_exists_does_not_make_it(store):
    assert not store.exists()
    assert store.client.get_experiment_by_name(store.experiment) is None
    assert store.experiment_id
    assert store.exists()


def test_two_processes_may_create_a_store_at_once(tmp_path):
    command = [sys.executable, "-c", OPEN, f"sqlite:///{tmp_path}/mlruns/mlflow.db"]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [program.stdout.readline() for program in both] == ["ready\n", "ready\n"]
    for program in both:
        program.stdin.write("\n")
        program.stdin.flush()
    answers = [program.communicate(timeout=600) for program in both]
    assert [program.returncode for program in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0] != ""


@pytest.mark.parametrize(
    ("before", "act"),
    [
        (lambda store: None, lambda store: store.client),
        (lambda store: store.client, lambda store: store.experiment_id),
        (lambda store: store.experiment_id, lambda store: store.open_sweep("s0", "a sweep", {})),
        (lambda store: store.experiment_id, lambda store: claim(store, Sweep("r", "s0"))),
        (lambda store: store.experiment_id, lambda store: store.close_stale()),
    ],
    ids=["open", "make the experiment", "open a sweep", "claim a point", "close stale runs"],
)
def test_what_two_processes_must_not_do_at_once_waits_for_the_other(before, act, store, monkeypatch):
    lock = Path(store.uri.removeprefix("sqlite:///")).with_suffix(".lock")
    before(store)
    monkeypatch.setattr(connection, "LOCK_SECONDS", 0.01)
    with FileLock(lock), pytest.raises(StoreError, match="Wait for it") as caught:
        act(store)
    assert str(lock) in str(caught.value)


def test_a_database_of_another_mlflow_is_named_as_such(copied):
    with sqlite3.connect(copied) as database:
        database.execute("update alembic_version set version_num = 'unheard-of'")
    message = refused(RunStore(f"sqlite:///{copied}"))
    assert "another version of MLflow" in message
    assert machine.versions()["mlflow"] in message
    assert "mlflow db upgrade" in message


def test_a_locked_database_is_named_as_such(copied, monkeypatch):
    monkeypatch.setattr(connection, "SQLITE_PATIENCE", 1)
    other = sqlite3.connect(copied)
    other.execute("begin exclusive")
    try:
        message = refused(RunStore(f"sqlite:///{copied}"))
    finally:
        other.close()
    assert "is locked by another program" in message
    assert str(copied) in message


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_text("these are my notes, not a database\n" * 100)
    message = refused(RunStore(f"sqlite:///{path}"))
    assert str(path) in message
    assert "not a database" in message
    assert path.read_text().startswith("these are my notes")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = refused(RunStore(f"sqlite:///{tmp_path}/file/mlflow.db"))
    assert str(tmp_path / "file") in message
    assert "tracking.uri=" in message


def test_a_server_that_does_not_answer_is_named_without_its_password(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    message = refused(RunStore("http://user:secret@127.0.0.1:1"))
    assert "http://***@127.0.0.1:1 does not answer" in message
    assert "secret" not in message + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "Free some space, or set tracking.uri="),
        (errno.EDQUOT, "Free some space, or set tracking.uri="),
        (errno.EACCES, "Give yourself the permission, or set tracking.uri="),
        (errno.EROFS, "Set tracking.uri="),
        (errno.EMFILE, "Set tracking.uri="),
    ],
)
def test_a_lock_that_cannot_be_made_says_why(code, remedy, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(FileLock, "acquire", fail)
    why, what = refused(RunStore(f"sqlite:///{tmp_path}/mlflow.db")).splitlines()
    assert why == f"The store's lock {tmp_path}/mlflow.lock can't be taken: {os.strerror(code)}."
    assert what.startswith(remedy)


def test_a_read_only_file_system_is_no_lack_of_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    message = refused(RunStore(f"sqlite:///{tmp_path}/mlflow.db"))
    assert "the file system is read-only.\nSet tracking.uri=" in message
    assert "permission" not in message


def test_a_uri_whose_credentials_were_left_out_says_what_to_set():
    with pytest.raises(StoreError, match=r"http://\*\*\*@host: .*\nSet MLFLOW_TRACKING_URI"):
        resolve_uri("http://***@host")


def test_a_path_that_the_locale_cannot_read_says_what_to_set():
    with pytest.raises(StoreError, match=r"/ü/mlflow.db: .*\nSet PYTHONUTF8=1"):
        resolve_uri("sqlite:////\udcc3\udcbc/mlflow.db")


@pytest.mark.parametrize("before", [None, "7"])
def test_only_the_first_request_to_a_server_is_impatient(before, monkeypatch):
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    monkeypatch.delenv(name, raising=False) if before is None else monkeypatch.setenv(name, before)
    with connection.few_retries():
        assert os.environ[name] == (before or "2")
    assert os.environ.get(name) == before


def test_a_database_without_its_driver_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    message = refused(RunStore("postgresql://user:secret@127.0.0.1:1/runs"))
    assert "pip install psycopg" in message
    assert "secret" not in message


def test_a_deleted_experiment_says_how_to_go_on(store):
    store.client.delete_experiment(store.experiment_id)
    message = refused(RunStore(store.uri, store.experiment))
    assert store.experiment in message
    assert "tracking.experiment=" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO runs]", "is locked"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "is not writable"),
        ("Detected out-of-date database schema (found version a, but expected b)", "another version of MLflow"),
        ("Can't locate revision identified by 'a'", "another version of MLflow"),
        ("API request to http://h/api failed with exception", "does not answer"),
        ("API request to /api failed with error code 404 != 200. Response body: <html>", "answers with 404"),
        ("API request to /api failed with error code 401 != 200. Response body: ''", "MLFLOW_TRACKING_USERNAME"),
        ("… Max retries exceeded … (Caused by SSLError(… wrong version number", "take http:// for https://"),
        ("first line at http://me:secret@h\nsecond line", "first line at http://***@h"),
        ("When an mlflow-artifacts URI was supplied, the tracking URI must be", "Set tracking.uri=http://"),
        ("", "StoreError"),
    ],
)
def test_an_error_of_the_store_is_told_in_a_few_lines(text, words):
    message = explain(StoreError(text), "the-uri")
    assert words in message
    assert "the-uri" in message
    assert len(message.splitlines()) <= 3


# ---- sweeps --------------------------------------------------------------------------------------------------


def test_the_same_grid_reopens_its_parent(store):
    first = store.open_sweep("s0", "a sweep", {})
    store.finish_sweep(first, "FINISHED")
    assert store.open_sweep("s0", "a sweep", {}) == first
    assert run_of(store, first.run_id).info.status == "RUNNING"


def test_another_grid_has_a_parent_of_its_own(store, sweep):
    assert store.open_sweep("s1", "another", {}).run_id != sweep.run_id


def test_a_parent_says_what_it_is_and_who_has_it(store):
    sweep = store.open_sweep("s0", "a sweep", {"scaling.command": "python -m scaling.run"})
    run = run_of(store, sweep.run_id)
    assert run.info.run_name == "a sweep"
    assert run.data.tags[KIND] == "sweep"
    assert run.data.tags[SWEEP] == "s0"
    assert run.data.tags["scaling.command"] == "python -m scaling.run"
    assert run.data.tags[PROCESS] == machine.process()


def test_the_newest_sweep_is_found_in_whichever_experiment(store, uri):
    sweep = store.open_sweep("s9", "newest", {})
    other = RunStore(uri)
    newest = other.newest_sweep(machine.user())
    assert newest.info.run_id == sweep.run_id
    assert other.experiment_name(newest.info.experiment_id) == store.experiment


def test_curves_are_logged_over_n_as_mean_over_seeds(store, sweep):
    points = [
        replace(CURVE_POINT, n=n, seed=seed, train_score=0.75, test_score=accuracy)
        for n, seed, accuracy in [(10, 0, 0.5), (10, 1, 0.75), (100, 0, 0.875), (100, 1, 0.875)]
    ]
    store.log_curves(sweep.run_id, points)
    assert history(store, sweep.run_id, "test/accuracy/net digits knn") == [(10, 0.625), (100, 0.875)]
    assert history(store, sweep.run_id, "train/accuracy/net digits knn") == [(10, 0.75), (100, 0.75)]
    assert history(store, sweep.run_id, "upgradeability/net digits knn") == [(10, -0.125), (100, 0.125)]


def test_each_curve_is_a_metric_of_its_own(store, sweep):
    store.log_curves(sweep.run_id, [CURVE_POINT, replace(CURVE_POINT, curve_id="d", model="other", test_score=0.5)])
    assert history(store, sweep.run_id, "test/accuracy/net digits knn") == [(10, 0.8)]
    assert history(store, sweep.run_id, "test/accuracy/other digits knn") == [(10, 0.5)]


def test_curves_that_are_logged_again_add_nothing(store, sweep):
    points = [CURVE_POINT, replace(CURVE_POINT, n=20)]
    store.log_curves(sweep.run_id, points)
    store.log_curves(sweep.run_id, points)
    assert history(store, sweep.run_id, "test/accuracy/net digits knn") == [(10, 0.8), (20, 0.8)]


def test_a_curve_that_grew_adds_its_new_points(store, sweep):
    store.log_curves(sweep.run_id, [CURVE_POINT])
    store.log_curves(sweep.run_id, [CURVE_POINT, replace(CURVE_POINT, n=20)])
    assert history(store, sweep.run_id, "test/accuracy/net digits knn") == [(10, 0.8), (20, 0.8)]


# ---- claims --------------------------------------------------------------------------------------------------


def test_the_first_claim_of_a_point_is_ours(store, sweep):
    point = grid_point()
    claimed = claim(store, sweep, point, tags={POOL: "60"})
    assert claimed.ours
    run = run_of(store, claimed.run_id)
    assert run.info.status == "RUNNING"
    assert {KIND: "point", FINGERPRINT: point.fingerprint, CURVE: point.curve_id, POOL: "60"}.items() <= (
        run.data.tags.items()
    )
    assert (run.data.tags[PARENT], run.data.tags[SWEEP]) == (sweep.run_id, sweep.sweep_id)
    assert run.data.params == {key: str(value) for key, value in params(point).items()} | {CLAIM: WON}


def test_a_run_says_which_code_it_ran(store, sweep, monkeypatch):
    monkeypatch.setattr(machine, "git_state", lambda: ("abc", True))
    tags = run_of(store, claim(store, sweep).run_id).data.tags
    assert (tags["mlflow.source.git.commit"], tags["scaling.git_dirty"]) == ("abc", "true")
    assert tags["scaling.version.torch"] == machine.versions()["torch"]


def test_a_point_that_a_live_process_has_is_left_to_it(store, sweep):
    first, second = claim(store, sweep), claim(store, sweep)
    assert (second.run_id, second.ours, second.finished) == (first.run_id, False, False)
    assert second.owner.startswith("process ")


def test_force_does_not_take_a_point_from_a_live_process(store, sweep):
    claim(store, sweep)
    assert not claim(store, sweep, force=True).ours


def test_other_points_are_free(store, sweep):
    claim(store, sweep)
    assert claim(store, sweep, grid_point(seed=1)).ours
    assert claim(store, sweep, grid_point(n=20)).ours


def test_a_finished_point_is_not_claimed_again(store, sweep):
    first = claim(store, sweep)
    store.finish(first.run_id)
    second = claim(store, sweep)
    assert (second.run_id, second.ours, second.finished) == (first.run_id, False, True)


def test_force_claims_a_finished_point_again(store, sweep):
    first = claim(store, sweep)
    store.finish(first.run_id)
    second = claim(store, sweep, force=True)
    assert second.ours
    assert second.run_id != first.run_id
    assert run_of(store, first.run_id).info.status == "FINISHED"


def test_a_failed_point_is_claimed_again(store, sweep, tmp_path):
    store.fail(claim(store, sweep).run_id, "out of memory", tmp_path)
    assert claim(store, sweep).ours


def test_a_point_whose_process_is_gone_is_taken_over(store, sweep):
    first = claim(store, sweep)
    store.client.set_tag(first.run_id, PROCESS, NO_PROCESS)
    second = claim(store, sweep)
    assert second.ours
    lost = run_of(store, first.run_id)
    assert lost.info.status == "KILLED"
    assert "gone" in lost.data.tags[REASON]


def test_runs_that_dead_processes_left_are_closed_and_no_others(store, sweep):
    dead, alive = (claim(store, sweep, grid_point(seed=seed)).run_id for seed in (0, 1))
    someone_elses = store.client.create_run(store.experiment_id).info.run_id
    store.client.set_tag(dead, PROCESS, NO_PROCESS)
    store.close_stale()
    states = {run_id: run_of(store, run_id).info.status for run_id in (dead, alive, someone_elses, sweep.run_id)}
    assert states == {dead: "KILLED", alive: "RUNNING", someone_elses: "RUNNING", sweep.run_id: "RUNNING"}
    assert "gone" in run_of(store, dead).data.tags[REASON]


# ---- whose run it is -----------------------------------------------------------------------------------------


ELSEWHERE = {HOST: "elsewhere/1", PROCESS: NO_PROCESS}


def a_run(silent=0.0, **changes):
    """A RUNNING run, silent for so long by the store's clock."""
    tags = {HOST: machine.host(), PROCESS: machine.process(), HEARTBEAT: str(time.time() - silent)} | changes
    info = SimpleNamespace(run_id=f"run {next(NUMBERS)}", status="RUNNING")
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags, params={}))


@pytest.fixture
def watched(store, monkeypatch):
    """Watch a run for so many seconds by this process's clock; say whether it is taken for nobody's then."""
    clock = [0.0]
    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def watch(run, seconds, every=10):
        for _ in range(0, seconds, every):
            assert not store.is_gone(run)
            clock[0] += every
        return store.is_gone(run)

    return watch


def test_a_live_process_of_this_host_keeps_its_run(store, monkeypatch):
    run = a_run()
    monkeypatch.setattr(records, "held", {run.info.run_id})
    assert not store.is_gone(run)


def test_a_run_whose_process_is_gone_is_nobodys_at_once(store):
    assert store.is_gone(a_run(**{PROCESS: NO_PROCESS}))


def test_a_number_that_went_to_another_process_is_not_the_owner(store):
    assert store.is_gone(a_run(**{PROCESS: f"{machine.process().partition(':')[0]}:1"}))


def test_a_host_is_given_up_after_ten_minutes_in_which_its_heart_was_seen_to_stand_still(watched):
    run = a_run(**ELSEWHERE)
    assert not watched(run, 600)
    assert watched(run, 10)


def test_a_host_that_was_silent_before_it_was_watched_is_given_up_after_three_minutes(watched):
    run = a_run(silent=660, **ELSEWHERE)
    assert not watched(run, 180)
    assert watched(run, 10)


def test_a_heart_that_beats_is_believed_whatever_the_clocks_say(watched):
    run = a_run(silent=1e6, **ELSEWHERE)
    for beat in range(10):
        run.data.tags[HEARTBEAT] = str(beat)
        assert not watched(run, 120)


def test_time_in_which_nobody_could_look_is_no_silence(watched):
    run = a_run(**ELSEWHERE)
    assert not watched(run, 3600, every=3600)


def test_a_run_that_nobody_has_claimed_yet_is_soon_given_up(watched):
    run = a_run(**ELSEWHERE, **{TICKET: "t"})
    assert not watched(run, 30)
    assert watched(run, 10)


@pytest.mark.parametrize("host", ["", "/4026530000"], ids=["of an earlier version", "of another PID namespace"])
def test_a_process_of_this_name_and_boot_is_looked_up_in_this_pid_namespace_alone(host, store):
    elsewhere = {HOST: "/".join(machine.host().split("/")[:2]) + host, PROCESS: NO_PROCESS}
    assert not store.is_gone(a_run(**elsewhere))


@pytest.mark.skipif(
    sys.platform != "linux" or subprocess.run(["unshare", "--pid", "--fork", "true"], check=False).returncode != 0,
    reason="no right to make a PID namespace",
)
def test_a_live_point_of_another_pid_namespace_is_left_to_it(store, sweep, monkeypatch):
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        sys.executable,
        "-c",
        CLAIMING,
        store.uri,
        store.experiment,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        run_id = other.stdout.readline().strip()
        first = claim(store, sweep, point=NAMESPACED)
        store.close_stale()
        other.communicate("\n")
    assert (first.run_id, first.ours) == (run_id, False)
    assert run_of(store, run_id).info.status == "RUNNING"
    assert not claim(store, sweep, point=NAMESPACED).ours  # it is gone, which can't be known here: its heart decides
    monkeypatch.setattr(claims, "STALE_SECONDS", -1.0)
    monkeypatch.setattr(claims, "SURE_SECONDS", -1.0)
    assert claim(store, sweep, point=NAMESPACED).ours


def test_hosts_need_not_agree_on_the_time(store, sweep, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 900)  # a clock that is a quarter of an hour late
    run_id = claim(store, sweep).run_id
    monkeypatch.undo()
    assert abs(float(run_of(store, run_id).data.tags[HEARTBEAT]) - now) < 60
    store.client.set_tag(run_id, HOST, "elsewhere")
    monkeypatch.setattr(time, "time", lambda: now + 900)
    assert store.states([grid_point()])[grid_point().fingerprint].state == "running"
    assert not claim(store, sweep).ours


def test_a_run_in_the_name_of_this_process_which_does_not_hold_it_is_nobodys(store, sweep):
    run_id = claim(store, sweep).run_id
    with store.heartbeat(run_id):
        assert not claim(store, sweep).ours
    assert claim(store, sweep).ours  # nobody waits for a run whose end could not be logged
    assert run_of(store, run_id).info.status == "KILLED"


@pytest.mark.parametrize(("missing", "seconds"), [(HOST, 600), (PROCESS, 600), (HEARTBEAT, 180)])
def test_a_run_of_unknown_owner_is_nobodys_in_the_end(missing, seconds, watched):
    run = a_run(**ELSEWHERE)
    del run.data.tags[missing]
    assert not watched(run, seconds)
    assert watched(run, 10)


def test_the_heart_beats_while_a_point_is_computed(store, sweep, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.01)
    run_id, beaten, set_tag = claim(store, sweep).run_id, threading.Event(), store.client.set_tag
    set_tag(run_id, HEARTBEAT, "0")
    monkeypatch.setattr(store.client, "set_tag", lambda *tag: (set_tag(*tag), beaten.set()))
    with store.heartbeat(run_id):
        assert beaten.wait(30)
    assert float(run_of(store, run_id).data.tags[HEARTBEAT]) > 1e9


def test_the_heart_goes_on_after_a_beat_that_failed(store, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.01)
    beats, second = [], threading.Event()

    def busy(*tag):
        beats.append(tag)
        if len(beats) > 1:
            second.set()
        raise StoreError("busy")

    monkeypatch.setattr(store.client, "set_tag", busy)
    with store.heartbeat("a run"):
        assert second.wait(30)


def test_the_heart_stops_with_its_point(store):
    with store.heartbeat("a run"):
        assert "heartbeat" in [thread.name for thread in threading.enumerate()]
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]


def test_values_are_logged_as_they_happen_and_a_store_that_is_away_holds_nothing_up(store, sweep, monkeypatch):
    run_id, away = claim(store, sweep).run_id, threading.Event()
    with store.heartbeat(run_id) as send:
        send(("loss", 0.5, 1, 1000))
        send(("loss", 0.25, 2, 2000))
    assert history(store, run_id, "loss") == [(1, 0.5), (2, 0.25)]
    monkeypatch.setattr(store_module, "PARTING_SECONDS", 0.01)
    monkeypatch.setattr(store.client, "log_metric", lambda *_, **__: away.wait(60))
    with store.heartbeat(run_id) as send:
        for step in range(1000):
            send(("loss", 0.5, step, 1000))
    assert not away.is_set()
    away.set()


def test_a_store_that_is_no_database_tells_no_time():
    assert server_clock("databricks://profile") is None
    assert server_clock("sqlite://") is None  # a time without its zone


# ---- states --------------------------------------------------------------------------------------------------


def test_the_state_of_each_point_is_known(store, sweep, tmp_path):
    done, failed, running, pending = points = [grid_point(seed=seed) for seed in range(4)]
    finish(store, claim(store, sweep, done).run_id, tmp_path)
    store.fail(claim(store, sweep, failed).run_id, "out of memory", tmp_path)
    claim(store, sweep, running)
    states = store.states(points)
    assert states[done.fingerprint].state == "done"
    assert states[done.fingerprint].metrics["test/accuracy"] == 0.75
    assert (states[failed.fingerprint].state, states[failed.fingerprint].reason) == ("failed", "out of memory")
    assert states[running.fingerprint].state == "running"
    assert states[running.fingerprint].reason.startswith("process ")
    assert states[pending.fingerprint].state == "pending"


def test_a_point_of_a_process_that_is_gone_is_pending(store, sweep):
    store.client.set_tag(claim(store, sweep).run_id, PROCESS, NO_PROCESS)
    assert store.states([grid_point()])[grid_point().fingerprint].state == "pending"


def test_a_point_that_failed_after_it_was_done_is_done(store, sweep, tmp_path):
    finish(store, claim(store, sweep).run_id, tmp_path)
    store.fail(claim(store, sweep, force=True).run_id, "out of memory", tmp_path)
    assert store.states([grid_point()])[grid_point().fingerprint].state == "done"


def test_points_of_several_curves_are_looked_up_together(store, sweep):
    points = [grid_point(model="net"), grid_point(model="other")]
    store.finish(claim(store, sweep, points[1]).run_id)
    assert [store.states(points)[point.fingerprint].state for point in points] == ["pending", "done"]


def test_more_runs_than_one_answer_holds_are_all_found(store, sweep, monkeypatch):
    monkeypatch.setattr(connection, "PAGE", 2)
    points = [grid_point(seed=seed) for seed in range(5)]
    for point in points:
        claim(store, sweep, point)
    assert {state.state for state in store.states(points).values()} == {"running"}


def test_looking_up_states_makes_no_store(tmp_path):
    states = RunStore(f"sqlite:///{tmp_path}/mlruns/mlflow.db").states([grid_point()])
    assert [state.state for state in states.values()] == ["pending"]
    assert list(tmp_path.iterdir()) == []


# ---- finished points -----------------------------------------------------------------------------------------


def test_a_point_comes_back_as_it_was_logged(store, sweep, tmp_path):
    point = grid_point()
    run_id = claim(store, sweep, point, tags={POOL: "60"}).run_id
    finish(store, run_id, tmp_path)
    (found,) = store.finished_points()
    assert found.seconds > 0
    assert (Path(found.artifacts.removeprefix("file://")) / "log.txt").parent.is_dir()
    assert replace(found, seconds=None, artifacts="") == (
        Point(
            curve_id=point.curve_id, model="net", dataset="digits", adaptation="knn", n=10, n_requested="10", seed=0,
            metric="accuracy", train_score=0.9, test_score=0.75, fingerprint=point.fingerprint, run_id=run_id,
            test_low=0.7, test_high=0.8, pool=60, settings={"adaptation.k": "5", "precision": "32-true"},
            metrics=METRICS,
        )
    )  # fmt: skip


def test_only_finished_points_come_back(store, sweep, tmp_path):
    claim(store, sweep, grid_point(seed=0))
    store.fail(claim(store, sweep, grid_point(seed=1)).run_id, "out of memory", tmp_path)
    finish(store, claim(store, sweep, grid_point(seed=2)).run_id, tmp_path)
    store.finish_sweep(sweep, "FINISHED")
    assert [point.seed for point in store.finished_points()] == [2]


def test_points_of_one_curve_can_be_asked_for(store, sweep, tmp_path):
    for model in ("net", "other"):
        finish(store, claim(store, sweep, grid_point(model=model)).run_id, tmp_path)
    assert [point.model for point in store.finished_points([grid_point(model="other").curve_id])] == ["other"]


def test_a_point_keeps_its_files_its_data_set_and_what_was_found(store, sweep, tmp_path):
    (tmp_path / "log.txt").write_text("it went well")
    run_id = claim(store, sweep).run_id
    store.log_point(run_id, METRICS, {"penalty": 0.1}, {"scaling.remark": "fine"}, DATASET, tmp_path)
    run = run_of(store, run_id)
    assert artifact(store, run_id, "log.txt") == "it went well"
    assert artifact(store, run_id, "other.txt") is None
    assert (run.inputs.dataset_inputs[0].dataset.name, run.data.params["penalty"]) == ("digits", "0.1")
    assert run.data.tags["scaling.remark"] == "fine"
    assert history(store, run_id, "test/accuracy") == [(10, 0.75)]


def test_runs_are_fetched_with_the_columns_of_the_table(store, sweep, tmp_path):
    point = grid_point()
    run_id = claim(store, sweep, point).run_id
    finish(store, run_id, tmp_path)
    frame = fetch_runs(store.experiment, store.uri)
    assert tuple(frame.columns) == COLUMNS
    assert frame.to_dict("records") == [
        {
            "curve_id": point.curve_id, "label": "net digits knn", "model": "net", "dataset": "digits",
            "adaptation": "knn", "n": 10, "n_requested": "10", "seed": 0, "train_accuracy": 0.9,
            "test_accuracy": 0.75, "upgradeability": -0.15, "fingerprint": point.fingerprint, "run_id": run_id,
            "flag": "", "metric": "accuracy", "train_score": 0.9, "test_score": 0.75,
        }
    ]  # fmt: skip


def test_the_newest_run_of_a_point_is_fetched(store, sweep, tmp_path):
    for accuracy in (0.25, 0.5):
        run_id = claim(store, sweep, force=True).run_id
        finish(store, run_id, tmp_path, METRICS | {"test/accuracy": accuracy})
    frame = fetch_runs(store.experiment, store.uri)
    assert frame[["run_id", "test_accuracy"]].to_dict("records") == [{"run_id": run_id, "test_accuracy": 0.5}]


def test_characters_that_mlflow_refuses_are_left_out_of_names(store, sweep):
    assert metric_key("test/class_accuracy/T-shirt (top)") == "test/class_accuracy/T-shirt _top_"
    store.log_value(sweep.run_id, "test/class_accuracy/a=b[c]@d,é", 1.0, 10)
    assert history(store, sweep.run_id, metric_key("test/class_accuracy/a=b[c]@d,é")) == [(10, 1.0)]


def test_fetching_runs_of_an_experiment_that_is_not_there_makes_none(store):
    with pytest.raises(StoreError, match="no MLflow experiment typo"):
        fetch_runs("typo", store.uri)
    assert store.client.get_experiment_by_name("typo") is None


@pytest.mark.parametrize("name", ["a//b", "/a", "a/../b", "a/./b", "x" * 300, "50 % cotton/blend?"])
def test_mlflow_takes_every_metric_key(name, store):
    run_id = store.client.create_run(store.experiment_id).info.run_id
    store.log_value(run_id, f"test/class_accuracy/{name}", 0.5, 1)
    assert list(store.client.get_run(run_id).data.metrics.values()) == [0.5]


# ---- where runs are shown, and what they keep ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "address", "served"),
    [
        ("http://host:5000", "http://host:5000/#/experiments/3/runs/r", True),
        ("https://me:secret@host/mlflow/", "https://host/mlflow/#/experiments/3/runs/r", True),
        ("sqlite:////a/mlflow.db", "http://127.0.0.1:5000/#/experiments/3/runs/r", False),
        ("postgresql://me:secret@db/runs", "http://127.0.0.1:5000/#/experiments/3/runs/r", False),
    ],
)
def test_a_link_leads_to_the_server_or_to_the_local_ui_and_holds_no_password(uri, address, served):
    found = links(uri, "3")
    assert (found.to("r"), found.served) == (address, served)


def test_what_a_run_keeps_is_read_from_the_disk_or_fetched(store, sweep, tmp_path):
    (tmp_path / "log.txt").write_text("it went well")
    run_id = claim(store, sweep).run_id
    finish(store, run_id, tmp_path)
    run = run_of(store, run_id)
    assert store.kept(run, "log.txt") == "it went well"
    assert store.read(run_id, "mlflow-artifacts:/elsewhere", "log.txt") == b"it went well"
    assert store.kept(run, "none.txt") is None
    assert store.read(run_id, "mlflow-artifacts:/elsewhere", "none.txt") is None
    assert store.kept(None, "log.txt") is None


# ---- a store that was moved or copied ------------------------------------------------------------------------


@pytest.fixture
def settled(tmp_path, copied):
    """A store with a finished point, in a place of its own: its folder, its experiment, and the point."""
    folder = tmp_path / "a place" / "mlruns"
    folder.mkdir(parents=True)
    copied.rename(folder / "mlflow.db")
    store = RunStore(f"sqlite:///{folder}/mlflow.db", "experiment")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "log.txt").write_text("of the first")
    run_id = claim(store, store.open_sweep("s0", "a sweep", {})).run_id
    finish(store, run_id, tmp_path / "files")
    return folder, run_id


def at(folder):
    return RunStore(f"sqlite:///{folder}/mlflow.db", "experiment")


def logs(folder):
    return sorted(path.relative_to(folder / "artifacts").parts[1] for path in folder.rglob("log.txt"))


def one_more(store, tmp_path):
    (tmp_path / "files" / "log.txt").write_text("of the second")
    point = grid_point(seed=1)
    run_id = claim(store, store.open_sweep("s1", "another", {}), point).run_id
    finish(store, run_id, tmp_path / "files")
    return run_id


@pytest.mark.parametrize("left", ["nothing", "a file", "a folder", "a new store"])
def test_artifacts_move_with_their_store(settled, tmp_path, left):
    old, first = settled
    new = tmp_path / "50 Läufe #1" / "mlruns"
    new.parent.mkdir()
    old.rename(new)
    if left == "a file":
        old.parent.rmdir()
        old.parent.touch()
    elif left == "a folder":
        (old / "artifacts" / "experiment").mkdir(parents=True)
    elif left == "a new store":
        shutil.copytree(new, old)
        shutil.rmtree(old / "artifacts" / "experiment" / first)
    second = one_more(at(new), tmp_path)
    assert artifact(at(new), first, "log.txt") == "of the first"
    assert artifact(at(new), second, "log.txt") == "of the second"
    assert logs(new) == sorted([first, second])
    assert not old.is_dir() or logs(old) == []


def test_a_copy_of_a_store_neither_reads_nor_writes_the_originals_artifacts(settled, tmp_path):
    old, first = settled
    new = tmp_path / "copy"
    new.mkdir()
    shutil.copy(old / "mlflow.db", new / "renamed.db")  # and its artifacts are not copied
    store = RunStore(f"sqlite:///{new}/renamed.db", "experiment")
    assert artifact(store, first, "log.txt") is None
    second = one_more(store, tmp_path)
    assert artifact(store, second, "log.txt") == "of the second"
    assert (logs(old), logs(new)) == ([first], [second])


def test_a_store_is_the_same_by_whichever_path_it_is_reached(settled, tmp_path):
    old, first = settled
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "mlflow.db").symlink_to(old / "mlflow.db")
    second = one_more(at(tmp_path / "link"), tmp_path)
    assert artifact(at(tmp_path / "link"), first, "log.txt") == "of the first"
    assert logs(old) == sorted([first, second])


def test_artifacts_that_were_chosen_elsewhere_stay_there(store, tmp_path):
    chosen = tmp_path / "big disk" / "artifacts" / store.experiment
    chosen.mkdir(parents=True)
    store.client.create_experiment(store.experiment, chosen.as_uri())
    run_id = claim(store, store.open_sweep("s0", "a sweep", {})).run_id
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "log.txt").write_text("here")
    finish(store, run_id, tmp_path / "files")
    assert (chosen / run_id / "artifacts" / "log.txt").read_text() == "here"
    assert artifact(store, run_id, "log.txt") == "here"


@pytest.mark.parametrize("uri", ["s3://bucket/artifacts/e/r/artifacts", "mlflow-artifacts:/1/r/artifacts"])
def test_what_is_kept_on_a_server_is_fetched_from_it(uri):
    assert folder_of(uri, Path("/a/mlflow.db")) is None
    assert folder_of(uri, None) is None


def test_what_a_server_keeps_on_this_machine_is_where_it_says():
    assert folder_of("file:///old/artifacts/e/r/artifacts", None) == Path("/old/artifacts/e/r/artifacts")


# ---- results that wait for their store -----------------------------------------------------------------------


@pytest.fixture
def kept(store, sweep, tmp_path):
    """A result that could not be logged, for a file lies where its artifacts belong; its run, entry, and mend."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "log.txt").write_text("it went well")
    obstacle = Path(store.uri.removeprefix("sqlite:///")).parent / "artifacts" / store.experiment
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.touch()
    point = grid_point()
    run_id = claim(store, sweep, point).run_id
    result = spool.Result(
        run_id, point.fingerprint, False, 2**41, METRICS, {"penalty": "0.1"}, {"scaling.remark": "fine"}, DATASET,
        [("loss", 0.5, 1, 1000), ("loss", 0.25, 2, 2000)],
    )  # fmt: skip
    with store.heartbeat(run_id) as send:
        send(result.values[0])
        reason = store.bring(result, tmp_path / "files", tmp_path / "spool")
    (entry,) = spool.entries(tmp_path / "spool")
    assert str(entry) in reason
    return run_id, entry, obstacle


@pytest.mark.parametrize("closed", [False, True])
def test_what_could_not_be_logged_is_kept_and_logged_later(closed, store, kept):
    run_id, entry, obstacle = kept
    if closed:
        store.close_stale()  # as the next command does: the point can be claimed again, for the result as well
        assert run_of(store, run_id).info.status == "KILLED"
    for _ in range(2):
        assert store.deliver_kept(entry.parent).stuck.keys() == {grid_point().fingerprint}
    (entry,) = spool.entries(entry.parent)
    assert (entry.name == run_id) != closed
    run_id = entry.name
    obstacle.unlink()
    assert store.deliver_kept(entry.parent) == Delivered((grid_point().fingerprint,))
    run = run_of(store, run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", 2**41)
    assert REASON not in run.data.tags
    assert (run.data.metrics["test/accuracy"], run.data.params["penalty"]) == (0.75, "0.1")
    assert history(store, run_id, "loss") == [(1, 0.5), (2, 0.25)]
    assert artifact(store, run_id, "log.txt") == "it went well"
    assert not entry.exists()
    assert store.deliver_kept(entry.parent) == Delivered()


def test_a_point_that_another_run_finished_meanwhile_is_not_finished_twice(store, sweep, kept):
    run_id, entry, obstacle = kept
    obstacle.unlink()
    other = claim(store, sweep).run_id
    assert store.deliver_kept(entry.parent) == Delivered()  # it is being computed: whoever is first
    store.finish(other)
    assert store.deliver_kept(entry.parent) == Delivered((grid_point().fingerprint,))
    assert not entry.exists()
    assert run_of(store, run_id).info.status == "KILLED"


def test_a_result_whose_run_is_finished_is_forgotten(store, kept):
    run_id, entry, _ = kept
    store.finish(run_id)
    assert store.deliver_kept(entry.parent) == Delivered((grid_point().fingerprint,))
    assert not entry.exists()


def test_results_of_another_store_stay_where_they_are(store, uri, kept):
    _, entry, _ = kept
    assert RunStore(uri, f"{store.experiment} b").deliver_kept(entry.parent) == Delivered(others=1)
    assert entry.exists()


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', '{"format": 1, "run_id": "r"}', "[1]"])
def test_a_damaged_result_is_named_and_stops_nothing(store, kept, content):
    _, entry, obstacle = kept
    obstacle.unlink()
    damaged = entry.with_name("0")
    damaged.mkdir()
    (damaged / "result.json").write_text(content)
    delivered = store.deliver_kept(entry.parent)
    assert delivered.logged == (grid_point().fingerprint,)
    assert str(damaged) in delivered.stuck["0"]


def test_where_nothing_can_be_kept_a_result_is_logged_all_the_same(store, sweep, tmp_path):
    (tmp_path / "spool").touch()
    run_id = claim(store, sweep).run_id
    result = spool.Result(run_id, grid_point().fingerprint, False, 2**41, METRICS, {}, {}, DATASET, [])
    (tmp_path / "files").mkdir()
    assert store.bring(result, tmp_path / "files", tmp_path / "spool") == ""
    assert run_of(store, run_id).info.status == "FINISHED"


def test_what_is_kept_says_nothing_of_a_server(kept):
    _, entry, _ = kept
    assert "://" not in (entry / "result.json").read_text()


@pytest.mark.parametrize("there", [False, True], ids=["made for it", "there before"])
def test_an_empty_spool_leaves_the_folders_that_were_there(tmp_path, there):
    root = tmp_path / "checkpoints" / "spool"
    if there:
        root.parent.mkdir()
    (tmp_path / "files").mkdir()
    entry = spool.keep(root, spool.Result("r", "f", False, 0, {}, {}, {}, {}, []), tmp_path / "files")
    spool.tidy(root)
    assert spool.entries(root) == [entry]
    spool.forget(entry)
    spool.tidy(root)
    assert (root.exists(), root.parent.exists()) == (False, there)
