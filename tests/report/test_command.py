"""Which sweep a report is of: yours, where several people share a store."""

import csv
from pathlib import Path

import pytest
from tests.conftest import DIGITS

from scaling import machine
from scaling.tracking import RunStore
from scaling.tracking.records import SWEEP


@pytest.fixture
def run_as(command, monkeypatch):
    """Run a command as a user."""

    def run(user, *arguments):
        monkeypatch.setattr(machine, "user", lambda: user)
        return command(*arguments)

    return run


def reported(experiment="scaling"):
    """The numbers of samples in the table of a report."""
    with (Path("reports") / experiment / "curves.csv").open(newline="", encoding="utf-8") as file:
        return sorted(int(row["n"]) for row in csv.DictReader(file))


def ids(store):
    """The id of each sweep by the user who started it last."""
    return {run.data.tags["scaling.user"]: run.data.tags[SWEEP] for run in store.sweeps()}


@pytest.fixture
def shared(run_as):
    """A store in which two people have each a sweep, in the same experiment."""
    assert run_as("ann", "scaling.run", "-m", *DIGITS, "n=50,60") == 0
    assert run_as("bob", "scaling.run", "-m", *DIGITS, "n=60,70") == 0
    return RunStore()


def test_a_bare_report_is_of_ones_own_sweeps_and_says_so(shared, run_as, capsys):
    for user, sizes in (("ann", [50, 60]), ("bob", [60, 70])):
        capsys.readouterr()
        assert run_as(user, "scaling.report") == 0
        assert reported() == sizes
        said = (
            f"sweep={ids(shared)[user]} of tracking.experiment=scaling, the newest of {user}; these two choose another"
        )
        assert said in capsys.readouterr().out


def test_points_of_a_sweep_are_taken_from_whoever_computed_them(shared):
    assert sum(run.data.tags["scaling.kind"] == "point" for run in shared.runs()) == 3


def test_another_sweep_is_chosen_by_its_id_or_the_beginning_of_it(shared, run_as, capsys):
    for text in (ids(shared)["bob"], ids(shared)["bob"][:6]):
        assert run_as("ann", "scaling.report", f"sweep={text}") == 0
        assert reported() == [60, 70]
    assert f"sweep={ids(shared)['bob']} of tracking.experiment=scaling\n" in capsys.readouterr().out
    assert run_as("ann", "scaling.report", "tracking.experiment=scaling", f"sweep={ids(shared)['ann']}") == 0
    assert reported() == [50, 60]


def test_an_experiment_is_reported_whole(shared, run_as):
    assert run_as("ann", "scaling.report", "tracking.experiment=scaling") == 0
    assert reported() == [50, 60, 70]


def test_an_id_that_there_is_not_is_refused_with_those_there_are(shared, run_as, capsys):
    assert run_as("ann", "scaling.report", "sweep=nothing") == 1
    error = capsys.readouterr().err
    assert "sweep=nothing: no sweep in" in error
    assert all(text in error for text in ids(shared).values())


def test_a_sweep_of_one_grid_in_two_experiments_needs_the_experiment(shared, run_as, capsys):
    assert run_as("ann", "scaling.run", "-m", *DIGITS, "n=60,70", "tracking.experiment=other") == 0
    assert run_as("ann", "scaling.report", f"sweep={ids(shared)['bob']}") == 1
    assert "2 sweeps begin so.\nSet more of its id, or tracking.experiment= too." in capsys.readouterr().err


def test_a_grid_that_another_user_runs_is_shared_and_both_have_it(shared, run_as):
    before = len(shared.runs())
    assert run_as("bob", "scaling.run", "-m", *DIGITS, "n=50,60") == 0
    assert len(shared.runs()) == before
    assert run_as("ann", "scaling.report") == 0
    assert reported() == [50, 60]
    assert run_as("bob", "scaling.report") == 0
    assert reported() == [50, 60, 70]


def test_who_has_no_sweep_is_shown_the_newest_and_told_whose_it_is(shared, run_as, capsys):
    assert run_as("eve", "scaling.report") == 0
    assert "there is none of eve; the newest is of bob" in capsys.readouterr().out


def test_sweeps_of_before_are_everybodys(shared, run_as):
    for run in shared.sweeps():
        for tag in [tag for tag in run.data.tags if tag.startswith(("scaling.user", "scaling.opened."))]:
            shared.client.delete_tag(run.info.run_id, tag)
    assert run_as("eve", "scaling.report") == 0
    assert reported() == [50, 60, 70]
