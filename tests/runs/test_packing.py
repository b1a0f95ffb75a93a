"""Jobs of several points: which share one, and what a job reads is what was planned."""

from pathlib import Path

import pytest
from tests.conftest import DIGITS

from scaling.runs.packing import packed, read_job, written
from scaling.runs.spec import composed
from scaling.runs.sweep import plan
from scaling.tracking import RunStore
from scaling.tracking.records import KIND


@pytest.fixture
def points(place):
    grid = [
        ("dataset=digits", f"model={model}", f"adaptation={adaptation}", f"n={n}")
        for adaptation in ("knn", "linear_probe")
        for model in ("pixels", "resnet18")
        for n in (50, 100)
    ]
    made = [(point, composed([*point, *(["model.pretrained=false"] * ("resnet18" in point[1]))])) for point in grid]
    return plan(made, RunStore())


@pytest.mark.parametrize(
    ("most", "group_by", "jobs"),
    [
        (None, None, [[0], [1], [2], [3], [4], [5], [6], [7]]),
        (3, None, [[0, 1, 2], [3, 4, 5], [6, 7]]),
        (None, "backbone", [[0, 1, 4, 5], [2, 3, 6, 7]]),
        (3, "backbone", [[0, 1, 4], [5], [2, 3, 6], [7]]),
    ],
)
def test_points_are_packed_in_order_and_by_what_they_share(most, group_by, jobs, points):
    assert packed(points, most, group_by) == jobs


def test_a_job_reads_what_was_planned(points, place):
    checkpoints = place / ".checkpoints"
    with written(points, [[0, 5], [3]], checkpoints) as folder:
        jobs = [read_job(folder, number) for number in (0, 1)]
    assert [[position for position, _, _ in job] for job in jobs] == [[0, 5], [3]]
    for position, planned, spec in [*jobs[0], *jobs[1]]:
        assert spec == points[position].spec
        assert planned == points[position].point.fingerprint
    assert not (checkpoints / "jobs").exists()


def test_a_grid_in_packed_jobs_comes_to_the_same_points(command, place, capsys):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    grid = ("-m", *DIGITS, "n=50,60,70", "hydra/launcher=joblib", "hydra.launcher.backend=threading")
    assert command("scaling.run", *grid, "launch.points_per_job=2") == 0
    assert "3 points: 3 done" in capsys.readouterr().out
    assert sum(run.data.tags[KIND] == "point" for run in RunStore().runs()) == 3
    assert sorted(path.name for path in Path().iterdir()) == [".features", "mlruns"]


@pytest.mark.parametrize("setting", ["launch.points_per_job=0", "launch.group_by=model"])
def test_what_can_not_be_is_refused(setting, command, capsys):
    assert command("scaling.run", "-m", *DIGITS, "n=50", setting) == 1
    assert setting.partition("=")[0] in capsys.readouterr().err
