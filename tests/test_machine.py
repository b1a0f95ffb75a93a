"""What is recorded of the machine, the process and the code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scaling import machine

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def repository(place, monkeypatch):
    """A git repository with one commit, as the working directory."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    (place / "file").write_text("a")
    git("init")
    git("add", "file")
    git("-c", "user.name=me", "-c", "user.email=me@here", "commit", "--message=first")
    return place


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def sleeper():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_a_process_keeps_its_name():
    assert machine.process() == machine.process() == machine.process(os.getpid())
    assert machine.process().startswith(f"{os.getpid()}:")


def test_a_process_runs_until_it_ends():
    with sleeper() as other:
        name = machine.process(other.pid)
        assert name != machine.process()
        assert machine.is_running(name)
        other.communicate(b"\n")
    assert machine.process(other.pid) is None
    assert not machine.is_running(name)


@LINUX
def test_a_process_that_ended_is_gone_before_anyone_waits_for_it():
    with sleeper() as other:
        name = machine.process(other.pid)
        other.stdin.close()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it ended, and stays a zombie
        assert machine.process(other.pid) is None
        assert not machine.is_running(name)


@LINUX
def test_a_number_that_another_process_got_is_another_name():
    assert not machine.is_running(f"{os.getpid()}:1")


@pytest.mark.parametrize("name", ["", ":", "me", "-1:0", f"{2**22 + 1}:1"])
def test_what_names_no_process_does_not_run(name):
    assert not machine.is_running(name)


@LINUX
def test_a_process_that_is_hidden_is_not_taken_for_gone(monkeypatch):
    read_text = Path.read_text

    def hidden(path, *arguments, **options):  # as /proc mounted with hidepid hides the processes of other users
        if path.name == "stat":
            raise FileNotFoundError(path)
        return read_text(path, *arguments, **options)

    name = machine.process()
    monkeypatch.setattr(Path, "read_text", hidden)
    assert machine.is_running(name)
    assert not machine.is_running(f"{2**22 + 1}:1")


@LINUX
def test_the_host_is_named_with_its_boot_and_its_pid_namespace():
    name, boot, namespace = machine.host().split("/")
    assert name == socket.gethostname()
    assert Path("/proc/sys/kernel/random/boot_id").read_text().startswith(boot)
    assert str(Path("/proc/self/ns/pid").readlink()) == f"pid:[{namespace}]"


@LINUX
def test_where_proc_shows_another_namespace_the_host_is_nobody_elses(monkeypatch):
    own = machine.host()
    monkeypatch.setattr(
        os, "getpid", lambda: 7
    )  # what a process reads that has a PID namespace and no /proc of its own
    assert machine.host.__wrapped__() not in (own, machine.host.__wrapped__())


def test_the_host_keeps_its_name():
    assert machine.host.__wrapped__() == machine.host()
    assert "/" in machine.host()


def test_a_clean_repository_is_its_commit(repository):
    assert machine.git_state.__wrapped__() == (git("rev-parse", "HEAD"), False)


def test_a_change_makes_a_repository_dirty(repository):
    (repository / "file").write_text("b")
    assert machine.git_state.__wrapped__() == (git("rev-parse", "HEAD"), True)


def test_new_files_such_as_results_make_no_repository_dirty(repository):
    (repository / "mlruns.db").touch()
    assert not machine.git_state.__wrapped__()[1]


def test_no_git_is_no_commit(place, monkeypatch):
    monkeypatch.setenv("PATH", str(place))
    assert machine.git_state.__wrapped__() == (None, False)


def test_the_versions_are_those_of_what_computes():
    import numpy as np

    import scaling

    versions = machine.versions()
    assert {"python", "scaling", *machine.PACKAGES} == set(versions)
    assert (versions["numpy"], versions["scaling"]) == (np.__version__, scaling.__version__)
    assert {"torch", "timm", "mlflow", "hydra-core", "pytorch-lightning"} <= set(versions)


def test_a_package_that_is_not_installed_is_absent(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("no-such-package",))
    assert machine.versions.__wrapped__()["no-such-package"] == "absent"


def test_the_hardware_is_known():
    facts = machine.hardware()
    assert facts["cores"] >= 1
    assert facts["memory_gib"] > 0
    assert facts["processor"]


def test_looking_at_the_hardware_does_not_import_torch():
    code = "import sys; from scaling import machine; print('threads' in machine.hardware(), 'torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


def test_variables_of_the_environment_are_set_for_a_while_unless_somebody_set_them(monkeypatch):
    monkeypatch.delenv("SCALING_TRIED", raising=False)
    with machine.environment(SCALING_TRIED="ours"):
        assert os.environ["SCALING_TRIED"] == "ours"
    assert "SCALING_TRIED" not in os.environ
    monkeypatch.setenv("SCALING_TRIED", "theirs")
    with machine.environment(SCALING_TRIED="ours"):
        assert os.environ["SCALING_TRIED"] == "theirs"
    assert os.environ["SCALING_TRIED"] == "theirs"
