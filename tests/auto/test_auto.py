"""`n=auto` as people type it, and the way that it takes on a curve whose law is known."""

import json

import numpy as np
import pytest
from tests.conftest import DIGITS

from scaling.auto import run
from scaling.auto.course import Course
from scaling.auto.lines import Line
from scaling.core.curves import Point, curves_of
from scaling.core.errors import SettingError
from scaling.runs.spec import composed
from scaling.tracking import RunStore
from scaling.tracking.records import KIND

POOL = 64_000


class Known(Line):
    """A curve whose first sizes need no data set."""

    first = (500, 2000, 8000)


def score(n, model, level):
    return 1 - level - 3 * n**-0.5 + np.random.default_rng([n, len(model)]).normal(0, 0.001)


def asking(**asked):
    """Return the settings of a point of n=auto, or of another n."""
    return composed([*DIGITS, *(f"{name}={value}" for name, value in {"n": "auto", **asked}.items())])


def walk(levels, budget=1e9, **asked):
    """Follow the course on curves with some asymptotes; return the reasons and the sizes that were measured."""
    spec = asking(**asked)
    lines = [Known(name, name, POOL, [((), spec)]) for name in levels]
    course = Course(spec.goal, lines, lambda points: sum(_n(p) / 1000 for _, p in points))
    points, said, left = [], [], budget
    for _ in range(40):
        step = course.next(curves_of(points), left)
        said.append(step.why)
        if not step.points:
            return said, points
        left -= course.seconds(step.points)
        line = next(line for line in lines if step.why.startswith(line.name)) if len(lines) > 1 else lines[0]
        points += [measured(line.curve_id, _n(of), of.seed, levels) for _, of in step.points]
    raise AssertionError(said)


def _n(spec):
    return POOL if spec.n is None else spec.n


def measured(name, n, seed, levels):
    value = score(n + seed, name, levels[name])
    return Point(
        name, name, "data", "probe", n, str(n), seed, "accuracy", 1.0, value, f"{name}{n}{seed}", f"{name}{n}{seed}",
        value - 0.003, value + 0.003, POOL,
    )  # fmt: skip


def test_a_target_is_bracketed_for_less_than_the_whole_set():
    said, points = walk({"a": 0.1}, target=0.86)  # reached at n = 5625
    assert "is reached at n =" in said[-1]
    reached = min(p.n for p in points if p.test_score >= 0.86)
    assert 5000 < reached < 10_000
    assert any(reached / 2 <= p.n < reached for p in points)
    assert sum(p.n for p in points) < POOL
    assert all("would narrow" in why for why in said[3:-1])


def test_a_target_above_all_data_ends_with_all_data():
    said, points = walk({"a": 0.1}, target=0.95)
    assert said[-1].startswith("not within the 64,000 samples")
    assert max(p.n for p in points) <= POOL


def test_saturation_is_found_with_a_reason_at_each_step():
    said, points = walk({"a": 0.2}, until="saturation")
    assert "aturated" in said[-1] or "told" in said[-1]
    assert len(points) < 12


def test_the_better_of_two_far_apart_is_named_early():
    said, points = walk({"a": 0.1, "bb": 0.3}, until="ranking")
    assert said[-1].startswith("a data probe is best with all data")
    assert max(p.n for p in points) < POOL
    with pytest.raises(SettingError, match="until=ranking needs several curves"):
        walk({"a": 0.1}, until="ranking")


def test_the_budget_is_kept():
    said, points = walk({"a": 0.1}, 13.0, target=0.86)
    assert sum(p.n / 1000 for p in points) <= 13
    assert said[-1].startswith("not answered: the next step takes")
    assert walk({"a": 0.1}, 1.0, target=0.86)[0][-1] == "the budget is spent before three sizes show a trend"


def test_auto_stands_alone():
    with pytest.raises(SettingError, match="n=auto stands beside other n"):
        run([((), asking(target=0.9)), ((), asking(n=10))], launch=None)


def test_the_points_of_a_curve_ask_nothing_further():
    line = Line("a", "a", POOL, [(["++n=auto", "model=a", "target=0.9"], asking(target=0.9))])
    ((overrides, spec),) = line.at(5, seed=1)
    assert overrides == ["model=a", "n=5", "seed=1", "target=null", "until=null", "budget=null"]
    assert (spec.n, spec.seed, spec.goal) == (5, 1, None)
    assert composed([*DIGITS, *overrides[1:]]) == spec


def test_a_sweep_of_its_own_that_resumes(command, capsys):
    asked = (*DIGITS, "n=auto", "target=0.95", "budget=2min")
    assert command("scaling.run", *asked, "plan=true") == 0
    said = capsys.readouterr().out
    assert "3 points to run" in said
    assert "at the worst" in said
    assert not RunStore().exists() or not RunStore().runs()
    assert command("scaling.run", *asked) == 0
    said = capsys.readouterr().out
    assert "three sizes are the fewest that show a trend" in said
    assert "would narrow the interval of n for an error of 0.05" in said
    assert "An error of 0.05 is reached at n =" in said
    runs = RunStore().runs()
    parents = [run for run in runs if run.data.tags[KIND] == "sweep"]
    assert len(parents) == 1
    points = [run for run in runs if run.data.tags[KIND] == "point"]
    grid = json.loads(RunStore().kept(parents[0], "grid.json"))
    assert sorted(entry["n"] for entry in grid) == sorted(int(run.data.params["n"]) for run in points)
    note = parents[0].data.tags["mlflow.note.content"]
    assert note.startswith("| curve | n |")
    assert "- **trend**: The error" in note
    assert command("scaling.run", *asked) == 0
    assert len(RunStore().runs()) == len(runs)
    assert "An error of 0.05 is reached at n =" in capsys.readouterr().out
