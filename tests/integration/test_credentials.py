"""Sweeps on a real server behind a password: everything that they leave behind is searched for it."""

from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.conftest import DIGITS, spawn
from tests.servers import door, mlflow_server

from scaling.runs import point
from scaling.tracking import RunStore
from scaling.tracking.records import KIND

USER, PASSWORD = "somebody", "p@ss/w:rd"
WRITTEN = f"{USER}:{quote(PASSWORD, safe='')}"
FORMS = (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), b64encode(f"{USER}:{PASSWORD}".encode()).decode())
GRID = (*DIGITS, "n=50,100")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Host, port and folder of an MLflow server behind the password."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder) as inside, door(inside, USER, PASSWORD) as outside:
        yield outside, folder


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def leaks(*folders: Path) -> list[str]:
    """Return the files that hold the password in whichever form."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if any(form.encode() in path.read_bytes() for form in FORMS)]


def shown(captured) -> str:
    """Return what was printed, once it is known to hold no password."""
    text = captured.out + captured.err
    assert not [form for form in FORMS if form in text], text
    return text


@pytest.fixture(params=["setting", "quoted", "environment", "of mlflow", "file"])
def settings(request, server, monkeypatch, tmp_path_factory) -> tuple[str, ...]:
    """The ways in which a user names a server and a password."""
    uri = f"http://{WRITTEN}@{server[0]}"
    monkeypatch.setenv("SCALING_TRACEBACK", "1")
    experiment = f"tracking.experiment={request.param.replace(' ', '-')}"
    if request.param == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        return ("-m", experiment)
    if request.param == "of mlflow":
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        return ("-m", f"tracking.uri=http://{server[0]}", experiment)
    if request.param == "file":
        configs = tmp_path_factory.mktemp("configs")
        (configs / "tracking").mkdir()
        (configs / "tracking" / "ours.yaml").write_text(f"uri: {uri}\nexperiment: x\n", encoding="utf-8")
        return ("-m", f"--config-dir={configs}", "tracking=ours", experiment)
    return ("-m", f"tracking.uri='{uri}'" if request.param == "quoted" else f"tracking.uri={uri}", experiment)


@pytest.fixture
def _pickled(monkeypatch, place) -> None:
    """Let the launcher of jobs in other processes write them to files, as launchers for clusters do, and run them."""
    core = pytest.importorskip("hydra_plugins.hydra_joblib_launcher._core")
    import cloudpickle

    def parallel(**options):
        def run(jobs):
            returns = []
            for number, job in enumerate(jobs):
                (place / f"job{number}.pkl").write_bytes(cloudpickle.dumps(job))
                function, arguments, named = cloudpickle.loads((place / f"job{number}.pkl").read_bytes())
                returns.append(function(*arguments, **named))
            return returns

        return run

    monkeypatch.setattr(core, "Parallel", parallel)


@pytest.mark.usefixtures("_pickled")
def test_a_sweep_that_fails_and_one_that_works_leave_no_password(command, place, server, settings, capfd, monkeypatch):
    def failing(job, log):
        log.note(f"trying http://{WRITTEN}@{server[0]}")
        raise RuntimeError(f"refused: {PASSWORD}") from OSError(f"no answer from http://{USER}:{PASSWORD}@{server[0]}")

    with monkeypatch.context() as patched:
        patched.setattr(point, "evaluate_job", failing)
        assert command("scaling.run", *settings, *GRID) == 1
    assert "2 of 2 points failed" in shown(capfd.readouterr())
    assert command("scaling.run", *settings, *GRID, "hydra/launcher=joblib") == 0
    assert "2 points: 2 done" in shown(capfd.readouterr())
    assert command("scaling.report", *settings[1:]) == 0
    assert shown(capfd.readouterr())
    assert len(list(place.glob("*.pkl"))) == 2
    assert leaks(place, server[1]) == []


def test_jobs_of_submitit_find_the_server_and_their_files_hold_no_password(command, place, server, capfd):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    where = f"tracking.uri=http://{WRITTEN}@{server[0]}", "tracking.experiment=submitit"
    launch = "hydra/launcher=submitit_local", "launch.points_per_job=2"
    assert command("scaling.run", "-m", *GRID, *where, *launch) == 0
    assert "2 points: 2 done" in shown(capfd.readouterr())
    assert len(list((place / ".submitit").rglob("*_submitted.pkl"))) == 1
    assert leaks(place, server[1]) == []


@pytest.mark.parametrize(
    "given",
    [
        "tracking.uri=http://{user}:wrong@{host}",
        "tracking.uri=http://{written}@127.0.0.1:1",
        "tracking.uri=htp:/{written}@{host}",
        "tracking.uri={written}@{host}",
        "tracking.uri=http://{user}:p@ss/w:rd@127.0.0.1:1",
        "'tracking.uri=http://{written}@{host}",
        "tracking.url=http://{written}@{host}",
        "n=http://{written}@{host}",
        "n=(http://{written}@{host}",
    ],
)
@pytest.mark.parametrize("traceback", ["0", "1"])
def test_a_command_that_is_mistyped_tells_no_password(command, place, server, given, traceback, capfd, monkeypatch):
    monkeypatch.setenv("SCALING_TRACEBACK", traceback)
    assert command("scaling.run", *DIGITS, given.format(user=USER, written=WRITTEN, host=server[0])) == 1
    text = shown(capfd.readouterr())
    assert "error: " in text
    assert ":wrong@" not in text


def test_a_terminal_that_lacks_signs_loses_no_point(place, server):
    uri = f"http://{WRITTEN}@{server[0]}"
    process = spawn(
        place, "-m", *GRID, f"tracking.uri={uri}", "tracking.experiment=cp1252", PYTHONIOENCODING="cp1252",
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="false",
    )  # fmt: skip
    out = process.communicate()[0]
    assert process.returncode == 0, out
    assert "2 points: 2 done" in out
    assert not [form for form in FORMS if form in out]
    runs = RunStore(uri, "cp1252").runs()
    assert [run.info.status for run in runs if run.data.tags[KIND] == "point"] == ["FINISHED"] * 2


def test_mlflows_own_lines_are_off(command, place, server, capfd):
    assert command("scaling.run", *DIGITS, "n=50", f"tracking.uri=http://{WRITTEN}@{server[0]}") == 0
    assert "View run" not in shown(capfd.readouterr())
