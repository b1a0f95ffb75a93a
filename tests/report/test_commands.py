"""The command of the next points: that of the sweep, narrowed to one curve."""

from dataclasses import replace

import pytest

from scaling.core.curves import Point
from scaling.report.commands import command_for

POINT = Point("c", "pixels", "digits", "knn", 100, "100", 0, "auroc", 1.0, 0.9, "f", "r")


@pytest.mark.parametrize(
    ("swept", "asked"),
    [
        ("run.py n=100", "n=300 seed=0,1"),
        ("run.py -m model=pixels,minilm dataset=digits n=10,20 seed=0", "model=pixels dataset=digits n=300 seed=0,1"),
        ("run.py model.pretrained=false force=true target=0.9", "model.pretrained=false n=300 seed=0,1"),
        ("run.py experiment=digits", "experiment=digits model=pixels dataset=digits adaptation=knn n=300 seed=0,1"),
        (
            "run.py experiment=digits adaptation=knn,as_is",
            "experiment=digits adaptation=knn model=pixels dataset=digits",
        ),
    ],
)
def test_other_settings_stay_and_n_and_seed_are_those_asked_for(swept, asked):
    assert command_for(swept, POINT, 300, (0, 1)).startswith(f"python -m scaling.run -m {asked}")


def test_a_name_that_is_no_choice_is_not_asked_for():
    found = command_for("run.py experiment=digits", replace(POINT, model="my encoder"), 300, (0,))
    assert found == "python -m scaling.run experiment=digits dataset=digits adaptation=knn n=300 seed=0"
