"""Fixtures that whole runs share: a working directory of their own, and the command line in this process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.networks import evaluate, hub, overrides

from scaling.core import secrets

__all__ = ["evaluate", "hub", "overrides"]  # fixtures of trainings

if "PYTEST_XDIST_WORKER" in os.environ:  # several threads in each of several workers would wait for each other
    os.environ["OMP_NUM_THREADS"] = "1"

#: The smallest real grid: no network at all, features are the pixels, a fit takes milliseconds.
DIGITS = ("model=pixels", "dataset=digits", "adaptation=knn")


#: What a user's shell or a CI service may set, and what is printed or written would depend on.
OUTSIDE = (
    "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "HYDRA_FULL_ERROR",
    "SCALING_TRACEBACK", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith(secrets.VARIABLE)]:  # another test's store
        del os.environ[name]
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture(autouse=True)
def _quick_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new stores be copies of an empty one: MLflow takes seconds to make it. Other processes make their own."""
    from scaling.tracking.connection import Connection

    prepare = Connection._prepare_folder

    def copying(self: Connection) -> None:
        prepare(self)
        if self._database is not None and not self._database.exists():
            shutil.copy(request.getfixturevalue("empty_database"), self._database)

    monkeypatch.setattr(Connection, "_prepare_folder", copying)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of this test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `python -m MODULE ARGUMENTS` in this process and return its exit code."""

    def run(module: str, *arguments: str) -> int:
        from importlib import import_module

        monkeypatch.setattr(sys, "argv", [f"python -m {module}", *arguments])
        try:
            import_module(module).main()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 1
        return 0

    return run


def spawn(folder: Path, *arguments: str, module: str = "scaling.run", **environment: str) -> subprocess.Popen[str]:
    """Start a command as a process of its own, with one thread, in a folder."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
