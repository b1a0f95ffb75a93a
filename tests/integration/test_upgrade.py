"""A store, a feature folder and a report that an earlier version made: read as they are, nothing computed again.

tests/stores/0.1.0.tar.xz was made by `python -m scaling.run -m model=pixels dataset=digits adaptation=knn,linear_probe
n=20,100,full seed=0,1` and `python -m scaling.report` at version 0.1.0, before metrics, tasks and modalities were rooms
of their own. Names of host, user and folders are replaced, and the page and figures left out.
"""

import csv
import tarfile
from pathlib import Path

import pytest

from scaling.tracking import RunStore
from scaling.tracking.records import KIND

ARCHIVE = Path(__file__).resolve().parents[1] / "stores" / "0.1.0.tar.xz"
GRID = ("-m", "model=pixels", "dataset=digits", "adaptation=knn,linear_probe", "seed=0,1")


@pytest.fixture
def project(place: Path) -> Path:
    """A working directory as the earlier version left it."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(place, filter="data")
    return place


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_points_of_an_earlier_version_count_as_done(project, command, capsys):
    assert command("scaling.run", *GRID, "n=20,100,full") == 0
    # The full set is one point now, whatever the seeds it was computed with.
    assert "10 points: 10 done" in capsys.readouterr().out
    assert len([run for run in RunStore().runs() if run.data.tags[KIND] == "point"]) == 12


def test_points_of_an_earlier_version_are_reported_as_they_were(project, command):
    before = table(project / "reports/scaling/curves.csv")
    assert command("scaling.report") == 0
    after = table(project / "reports/scaling/curves.csv")
    assert [{name: row[name] for name in before[0]} for row in after] == before


def test_features_of_an_earlier_version_are_not_computed_again(project, command):
    assert command("scaling.run", *GRID, "n=50") == 0
    new = [run.data.metrics for run in RunStore().runs() if run.data.params.get("n") == "50"]
    assert [metrics["features_computed"] for metrics in new] == [0.0] * 4
