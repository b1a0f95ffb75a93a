"""The archive for a reviewer: complete, and its script finds what was changed."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from tests.conftest import DIGITS


@pytest.fixture
def bundle(command, place):
    """The unpacked archive of a report on two points."""
    assert command("scaling.run", "-m", *DIGITS, "n=50,100") == 0
    assert command("scaling.report", "bundle=for/review.zip") == 0
    assert [path.name for path in (place / "for").iterdir()] == ["review.zip"]
    zipfile.ZipFile("for/review.zip").extractall("unpacked")
    return place / "unpacked"


def recount(bundle):
    done = subprocess.run([sys.executable, "recount.py"], cwd=bundle, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_it_holds_page_tables_configs_environment_and_predictions_and_recounts_them(bundle):
    assert {"report.html", "curves.csv", "numbers.csv", "scaling.png"} <= {p.name for p in bundle.glob("report/*")}
    for run in (runs := list(bundle.glob("runs/*"))):
        kept = {path.name for path in run.iterdir()}
        assert kept == {"config.yaml", "environment.json", "metrics.json", "predictions.npz", "values.npz"}
    assert len(runs) == 2
    code, said, errors = recount(bundle)
    assert (code, errors) == (0, "")
    assert said[-1].startswith("2 grid points, ")
    assert int(said[-1].split()[3]) > 10

    with np.load(runs[0] / "predictions.npz") as kept:
        arrays = dict(kept)
    arrays["test_predicted"][0] += 1
    np.savez(runs[0] / "predictions.npz", **arrays)
    code, said, _ = recount(bundle)
    assert code == 1
    assert "pixels digits knn n=" in said[0]
    assert "test accuracy is 0." in said[0]
    assert said[-1].endswith("1 differ")
