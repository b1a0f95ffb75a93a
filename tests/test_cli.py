"""The console command `scaling`."""

import subprocess
import sys

import pytest

from scaling import __version__, cli

SCREEN = 40  # lines


def scaling(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "scaling", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment or None,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def typed(monkeypatch, capsys):
    """Say what a command line is completed to."""

    def complete(line):
        monkeypatch.setattr(sys, "argv", ["scaling", "-sc", "query=bash"])
        monkeypatch.setenv("COMP_LINE", line)
        cli.main()
        return capsys.readouterr().out.split()

    return complete


def test_it_tells_its_version_and_its_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scaling", "--version"])
    cli.main()
    assert capsys.readouterr().out == f"scaling-curves {__version__}\n"
    monkeypatch.setattr(sys, "argv", ["scaling"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    shown = capsys.readouterr().out
    assert stopped.value.code == 0
    assert [name for name in cli.COMMANDS if f"\n  {name} " not in shown] == []


def test_an_unknown_command_is_named_and_ends_with_2():
    code, out, err = scaling("runn")
    assert (code, out) == (2, "")
    assert err.startswith("error: scaling has no command 'runn'.\nusage: scaling COMMAND")


@pytest.mark.parametrize("command", ["extrapolate", "features"])
def test_a_command_gets_the_arguments_behind_its_name(command):
    code, out, _ = scaling(command, "--help")
    assert code == 0
    assert f"usage: python -m scaling.{command}" in out


def test_the_help_of_run_fits_a_screen_and_names_groups_with_their_choices():
    code, out, err = scaling("run", "--help")
    assert code == 0, err
    assert sum(-(-max(len(line), 1) // 80) for line in out.splitlines()) <= SCREEN
    for group, choice in (
        ("model", "pixels"),
        ("dataset", "digits"),
        ("adaptation", "knn"),
        ("experiment", "quickstart"),
    ):
        (line,) = [line for line in out.splitlines() if line.startswith(f"{group}:")]
        assert choice in line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("scaling re", ["report"]),
        ("scaling ", list(cli.COMMANDS)),
        ("scaling run model=pix", ["model=pixels"]),
        ("scaling report lev", ["level="]),
    ],
)
def test_the_shell_is_told_what_may_follow(typed, line, words):
    assert typed(line) == words


def test_bash_completes_with_the_script_that_it_gives(tmp_path):
    command = tmp_path / "scaling"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m scaling "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = """
        eval "$(scaling -sc install=bash)"
        COMP_LINE="scaling run dataset=dig"; COMP_WORDS=(scaling run dataset=dig); COMP_CWORD=2; COMP_POINT=23
        hydra_bash_completion; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", f"PATH={tmp_path}:$PATH\n{script}"], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["dataset=digits"], done.stderr
