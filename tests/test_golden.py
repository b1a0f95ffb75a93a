"""Scores that no change of structure may move: the quick ones. `scripts/golden_points.py` compares all of them."""

import json

import pytest
from scripts.golden_points import FILE, POINTS, differences

from scaling import evaluate_point

WRITTEN = json.loads(FILE.read_text(encoding="utf-8"))["points"]


def test_every_golden_point_is_written_down():
    assert list(WRITTEN) == list(POINTS)


@pytest.mark.parametrize("overrides", [text for text in POINTS if "pixels dataset=digits" in text])
def test_a_golden_point_stays_where_it_was(place, overrides):
    got = evaluate_point(*overrides.split()).metrics()
    assert not differences(got, WRITTEN[overrides], 1e-5)  # a fit ends within 1e-6 of the optimum, on any processor


def test_a_golden_point_that_moved_is_told():
    assert differences({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.1, "c": 0.0}, 0.01) == [
        "c: on one side alone",
        "b: got 2.0, expected 2.1",
    ]
    assert differences({"a": float("nan")}, {"a": 1.0}, 0.01)
