"""A grid is planned and run as one thing: what was planned is what is run, and every sweep ends."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import DIGITS
from tests.networks import network

from scaling.adapt import Knn
from scaling.core.errors import SweepError
from scaling.runs import sweep
from scaling.runs.job import Job
from scaling.runs.point import Result
from scaling.runs.spec import composed
from scaling.runs.sweep import run_grid
from scaling.tracking import RunStore
from scaling.tracking.records import KIND


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.0)


def points():
    """Status, n and seed of each point's run, sorted."""
    runs = [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]
    return sorted((run.info.status, int(run.data.params["n"]), int(run.data.params["seed"])) for run in runs)


def after_one_point(monkeypatch, change):
    """Change something once the first point is finished."""
    run = Knn.run

    def changing(self, *arguments):
        outcome = run(self, *arguments)
        monkeypatch.setattr(Knn, "run", run)
        change()
        return outcome

    monkeypatch.setattr(Knn, "run", changing)


def embeddings(path, seed=0):
    """Write embeddings of two classes."""
    draw = np.random.default_rng(seed)
    labels = np.arange(60) % 2
    split = np.where(np.arange(60) < 40, "train", "test")
    np.savez(path, features=draw.normal(size=(60, 4)) + labels[:, None], labels=labels, split=split)


# ---- the full set, where nothing is drawn --------------------------------------------------------------------------


def test_the_full_set_is_one_point_whatever_the_seeds_where_nothing_else_is_drawn(command, capsys):
    grid = ("-m", "model=pixels", "dataset=digits", "adaptation=knn,linear_probe")
    assert command("scaling.run", *grid, "n=20,full", "seed=1,2,3") == 0
    out = capsys.readouterr().out
    assert "8 points: 8 done" in out
    assert out.count("seed=all") == 2
    assert [line.split()[:2] for line in out.splitlines() if "no draw variance" in line] == [["1297", "all"]] * 2
    assert [point[1:] for point in points() if point[1] == 1297] == [(1297, 0)] * 2
    parent = next(run for run in RunStore().runs() if run.data.tags[KIND] == "sweep")
    logged = RunStore().client.get_metric_history(parent.info.run_id, "test/accuracy/pixels digits knn")
    assert [metric.step for metric in logged] == [20, 1297]

    assert command("scaling.run", *DIGITS, "n=full", "seed=7") == 0
    assert "nothing to run" in capsys.readouterr().out
    assert command("scaling.report") == 0
    assert "missing" not in capsys.readouterr().out


def test_the_full_set_stays_a_point_a_seed_where_weights_or_batches_are_drawn():
    def planned(*settings):
        return [Job(composed(["dataset=digits", "n=full", *settings, f"seed={seed}"])).point for seed in (0, 1)]

    first, second = planned("model=pixels", "adaptation=knn")
    assert first == second
    assert first.every_seed
    first, second = planned("model=efficientnet_lite0_scratch", "adaptation=finetune")
    assert (first.seed, second.seed, first.every_seed) == (0, 1, False)
    assert first.fingerprint != second.fingerprint


def test_the_runs_of_a_process_open_their_store_once(command, monkeypatch):
    opened, init = [], RunStore.__init__
    monkeypatch.setattr(
        RunStore, "__init__", lambda self, *given, **more: opened.append(1) or init(self, *given, **more)
    )
    assert command("scaling.run", "-m", *DIGITS, "n=20") == 0
    few = len(opened)
    opened.clear()
    assert command("scaling.run", "-m", *DIGITS, "n=20,30,40,50,60") == 0
    assert len(opened) <= few


# ---- one reading of n and seed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (("n=0020,0030",), [(20, 0), (30, 0)]),
        (("n=2e1,'30'", "seed=00,01"), [(20, 0), (20, 1), (30, 0), (30, 1)]),
        (("++n=20,30", "seed=08"), [(20, 8), (30, 8)]),
        (("n=20", "++seed=1,2"), [(20, 1), (20, 2)]),
        (("n=range(20,40,10)",), [(20, 0), (30, 0)]),
        (("n=1_00",), [(100, 0)]),
    ],
)
def test_a_grid_runs_what_was_planned_however_numbers_are_written(grid, expected, command, capsys):
    assert command("scaling.run", "-m", *DIGITS, *grid) == 0
    assert points() == [("FINISHED", *point) for point in expected]
    assert command("scaling.run", "-m", *DIGITS, *grid) == 0
    assert "nothing to run" in capsys.readouterr().out


@pytest.mark.parametrize("n", ["0x20", "1:30", "true", "1.5", "FULL", "yes", "nan", "-020"])
def test_what_is_no_n_is_refused_in_a_grid_as_in_a_run(n, command, capsys, place):
    for grid in ((f"n={n}",), ("-m", f"n=20,{n}"), ("-m", f"++n={n}")):
        assert command("scaling.run", *DIGITS, *grid) == 1
        assert "expected a whole number of training samples" in capsys.readouterr().err
    assert list(place.iterdir()) == []


def test_an_experiment_of_ones_own_reads_its_grid_in_the_same_way(command, place):
    (place / "mine" / "experiment").mkdir(parents=True)
    (place / "mine" / "experiment" / "padded.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      n: 0020,3e1\n      seed: '007'\n"
        "      dataset.name: a=1,b(2)\n"
    )
    assert command("scaling.run", *DIGITS, "experiment=padded", "--config-dir", "mine") == 0
    assert points() == [("FINISHED", n, 7) for n in (20, 20, 30, 30)]


def test_flags_may_follow_overrides(command):
    assert command("scaling.run", *DIGITS, "n=20,30", "-m", "seed=0,1") == 0
    assert len(points()) == 4


@pytest.mark.parametrize("name", ["2024.10", "nan", "ü=(1)"])
def test_a_name_that_looks_like_something_else_is_kept_from_the_plan_to_the_report(name, command, place, capsys):
    grid = (*DIGITS, "n=20,30", f"dataset.name={name}", f"tracking.experiment={name}")
    assert command("scaling.run", "-m", *grid) == 0
    assert command("scaling.run", "-m", *grid) == 0
    assert "nothing to run" in capsys.readouterr().out
    assert {run.data.params["dataset"] for run in RunStore(None, name).runs() if run.data.tags[KIND] == "point"} == {
        name
    }
    assert command("scaling.report", f"experiment={name}", "output=5") == 0
    assert [folder.name for folder in (place / "5").iterdir()] == [name]


def test_no_means_no(command, capsys):
    for _ in range(2):
        assert command("scaling.run", *DIGITS, "n=20", "plan=no", "force='false'") == 0
    assert len(points()) == 1
    assert "nothing to run" in capsys.readouterr().out


# ---- what changes while a sweep runs --------------------------------------------------------------------------------


def test_embeddings_that_are_overwritten_end_the_sweep_with_what_changed(command, place, capsys, monkeypatch):
    embeddings("e.npz")
    after_one_point(monkeypatch, lambda: embeddings("e.npz", seed=1))
    arguments = ("-m", "dataset=embeddings", "dataset.path=e.npz", "adaptation=knn", "n=10,20,30")
    assert command("scaling.run", *arguments) == 1
    out, err = capsys.readouterr()
    assert points() == [("FINISHED", 10, 0)]
    assert "2 of 3 points failed" in err
    assert "dataset.test, dataset.train changed while the sweep ran" in err
    assert "3 points: 1 done, 2 failed" in out
    assert command("scaling.run", *arguments) == 0  # a sweep over what is there now


def test_data_that_vanish_fail_the_points_left_and_the_others_are_summed_up(command, place, capsys, monkeypatch):
    embeddings("e.npz")
    after_one_point(monkeypatch, Path("e.npz").unlink)
    assert command("scaling.run", "-m", "dataset=embeddings", "dataset.path=e.npz", "adaptation=knn", "n=10,20") == 1
    out, err = capsys.readouterr()
    assert points() == [("FINISHED", 10, 0)]
    assert "there is no such file" in err
    assert "given e knn" in out


def test_weights_that_are_replaced_end_the_sweep_with_what_changed(command, place, hub, capsys, monkeypatch):
    import torch

    def weights(value):
        entries = torch.hub.load(str(hub), "small", source="local").state_dict()
        torch.save({name: torch.full_like(entry, value) for name, entry in entries.items()}, "w=1.pt")

    weights(1)
    after_one_point(monkeypatch, lambda: weights(2))
    assert command("scaling.run", "-m", *network(hub)[:-1], "model.weights=w=1.pt", "adaptation=knn", "n=20,30") == 1
    assert points() == [("FINISHED", 20, 0)]
    assert "model.weights changed while the sweep ran" in capsys.readouterr().err


def test_an_image_that_is_overwritten_is_never_taken_for_the_one_before(command, place, capsys, monkeypatch):
    files = [place / f"i/{part}/{name}/{k}.png" for part in ("train", "test") for name in "ab" for k in range(4)]
    for level, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (level, 0, 0)).save(file)
    after_one_point(monkeypatch, lambda: [Image.new("RGB", (4, 4), (9, 99, 9)).save(file) for file in files[:8]])
    grid = ("-m", "model=pixels", "dataset=image_folder", "dataset.root=i", "adaptation=knn", "n=2,8", "seed=0,1")
    assert command("scaling.run", *grid) == 1
    err = capsys.readouterr().err
    assert "changed after the data set was read" in err
    assert "dataset.train changed while the sweep ran" in err
    assert ("FINISHED", 2, 0) in points()
    assert ("FINISHED", 8, 0) not in points()
    assert command("scaling.run", *grid) == 0


def test_jobs_in_other_processes_compute_what_was_planned_or_nothing(command, place, capsys, monkeypatch):
    embeddings("e.npz")
    opened = sweep._open

    def overwriting(*arguments):
        embeddings("e.npz", seed=1)
        return opened(*arguments)

    monkeypatch.setattr(sweep, "_open", overwriting)
    arguments = ("dataset=embeddings", "dataset.path=e.npz", "adaptation=knn", "n=010,020")
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1")
    assert command("scaling.run", "-m", *arguments, *joblib) == 1
    assert points() == []
    assert "2 of 2 points failed" in (message := capsys.readouterr().err)
    assert "dataset.train changed" in message
    monkeypatch.setattr(sweep, "_open", opened)
    assert command("scaling.run", "-m", *arguments, *joblib) == 0
    assert points() == [("FINISHED", 10, 0), ("FINISHED", 20, 0)]


# ---- every sweep ends -----------------------------------------------------------------------------------------------


def candidates(*ns):
    return [((), composed([*DIGITS, f"n={n}"])) for n in ns]


@pytest.mark.parametrize("results", [[], [None, None], [Result("another", "finished")]])
def test_a_launcher_that_says_nothing_of_a_point_failed_it(results, place):
    with pytest.raises(SweepError, match="2 of 2 points failed") as error:
        run_grid(candidates(20, 30), lambda runner, points: results)
    assert "ended without a result" in str(error.value)


def test_points_of_a_live_process_are_waited_for_and_their_owner_is_named_once(place, capsys):
    answers = ["running", "running", "failed", "done"]
    launched = []

    def launch(runner, planned):
        launched.append(len(planned))
        return [Result(item.point.fingerprint, answers.pop(0), "process 7 on there") for item in planned]

    with pytest.raises(SweepError, match="1 of 2 points failed"):
        run_grid(candidates(20, 30), launch)
    assert launched == [2, 2]
    assert capsys.readouterr().out.count("waiting for 2 points that another sweep runs (process 7 on there)") == 1


def test_a_job_that_breaks_off_takes_no_other_with_it(command, capsys, monkeypatch):
    claim = RunStore.claim

    def breaking(self, point, *arguments):
        if point.n == 20:
            raise OSError("no answer")
        return claim(self, point, *arguments)

    monkeypatch.setattr(RunStore, "claim", breaking)
    assert command("scaling.run", "-m", *DIGITS, "n=20,30") == 1
    out, err = capsys.readouterr()
    assert points() == [("FINISHED", 30, 0)]
    assert "n=20     seed=0: OSError: no answer" in err
    assert "pixels digits knn" in out


@pytest.mark.parametrize("override", ["n=range(10,10)", "seed=glob(*)"])
def test_a_grid_without_a_point_is_refused(override, command, capsys, place):
    assert command("scaling.run", "-m", *DIGITS, override) == 1
    assert "stands for no value at all" in capsys.readouterr().err
    assert list(place.iterdir()) == []


def test_a_grid_may_be_given_to_the_sweeper(command):
    assert command("scaling.run", "-m", *DIGITS, "+hydra.sweeper.params.n='20,030'") == 0
    assert points() == [("FINISHED", 20, 0), ("FINISHED", 30, 0)]
