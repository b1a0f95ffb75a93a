"""`n=auto`: measure, forecast, choose the next n, and stop when the question is answered.

Every step is an ordinary point of an ordinary sweep: what is finished counts, whoever ran it, and the same command goes
on where it was. Which point comes next is what `scaling.findings.next_steps` expects to narrow the answer most for each
second that `scaling.runs.estimate` says it takes.
"""

import time

from scaling import terminal
from scaling.auto.course import Course
from scaling.auto.lines import Points, lines
from scaling.core.costs import duration
from scaling.core.curves import curves_of, newest_by_fingerprint
from scaling.core.errors import SettingError
from scaling.core.identity import digest
from scaling.findings.next_steps import sizes
from scaling.runs.estimate import estimate
from scaling.runs.job import Job
from scaling.runs.sweep import Launch, Planned, plan, run_grid
from scaling.tracking import RunStore

__all__ = ["run"]


def run(candidates: Points, launch: Launch, in_process: bool = True) -> list[Planned]:
    """Run a grid, or where its n is to be chosen, choose and run.

    Raises:
        SettingError: n=auto stands beside other n.
        SweepError: points failed.
    """
    kinds = {spec.goal is not None for _, spec in candidates}
    if len(kinds) > 1:
        raise SettingError("n=auto stands beside other n: it chooses them all.\nLeave the others out.")
    return (run_auto if kinds == {True} else run_grid)(candidates, launch, in_process)


def run_auto(candidates: Points, launch: Launch, in_process: bool = True) -> list[Planned]:
    """Run a grid of n=auto until its question is answered, can't be, or the budget is spent; say why at each step.

    Returns:
        The points of all steps.

    Raises:
        SweepError: points failed.
    """
    first, screen, started = candidates[0][1], terminal.console(), time.monotonic()
    assert first.goal is not None
    goal, found = first.goal, lines(candidates)
    store = RunStore(first.places.uri, first.places.experiment)

    def seconds(points: Points) -> float:
        waiting = [item for item in plan(points, store) if item.state.state != "done"]
        return estimate([Job(item.spec) for item in waiting], store).seconds if waiting else 0.0

    course = Course(goal, found, seconds)
    if first.plan:
        return _show_plan(course, launch, in_process)
    name = digest(["auto", goal.until, goal.target, sorted(line.curve_id for line in found)])[:16]
    budget = goal.budget or float("inf")
    asked: Points = ()
    planned: list[Planned] = []
    while True:
        finished = store.finished_points(line.curve_id for line in found) if store.exists() else []
        curves = curves_of(newest_by_fingerprint(finished)[0])
        step = course.next(curves, budget - (time.monotonic() - started))
        screen.print(step.why)
        if not step.points:
            break
        asked = [*asked, *step.points]
        planned = run_grid(asked, launch, in_process, sweep_id=name)
    for table in terminal.curve_tables(curves):
        screen.print(table)
    return planned


def _show_plan(course: Course, launch: Launch, in_process: bool) -> list[Planned]:
    """Print the first steps, and what the longest way would take."""
    first = [point for line in course.lines for n in line.first for point in line.at(n)]
    planned = run_grid(first, launch, in_process)
    longest = [p for line in course.lines for n in {*line.first, *sizes(line.first, line.pool)} for p in line.at(n)]
    budget = course.goal.budget
    worst = f"{len(longest)} points, {duration(course.seconds(longest))} or so"
    stop = f", and it stops after {duration(budget)}" if budget is not None else ""
    terminal.console().print(f"then n is chosen step by step; at the worst {worst} in all{stop}")
    return planned
