"""The question of n=auto, as settings say it."""

import pytest

from scaling.core.errors import SettingError
from scaling.runs.goal import Goal

SETTINGS = {"n": "auto", "until": None, "target": None, "budget": None}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "expected a question"),
        ({"until": "target"}, "expected a question"),
        ({"until": "saturation", "target": 0.9}, "expected a question"),
        ({"target": 0.9, "budget": "10"}, "budget=10: expected a time"),
        ({"n": 10, "target": 0.9}, r"target=0\.9 belongs to n=auto"),
        ({"n": "full", "budget": "1h"}, "budget=1h belongs to n=auto"),
    ],
)
def test_what_is_no_question_is_refused(asked, message):
    with pytest.raises(SettingError, match=message):
        Goal.of({**SETTINGS, **asked})


def test_a_given_n_asks_nothing():
    assert Goal.of({**SETTINGS, "n": 10}) is None


def test_budgets_are_times():
    budgets = {text: Goal.of({**SETTINGS, "target": 0.9, "budget": text}).budget for text in ("90s", "10min", "1.5 h")}
    assert budgets == {"90s": 90, "10min": 600, "1.5 h": 5400}
