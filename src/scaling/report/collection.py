"""From the runs of an experiment to all that a report says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaling.core.curves import Curve, curves_of, newest_by_fingerprint
from scaling.core.errors import StoreError
from scaling.core.published import Published, compare
from scaling.core.secrets import mask
from scaling.findings import Findings, Settings, find
from scaling.metrics import Metric, primary_metric
from scaling.report.commands import command_for
from scaling.report.gaps import MissingPoint, find_gaps
from scaling.tracking import RunStore
from scaling.tracking.artifacts import RunLinks
from scaling.tracking.predictions import StoredSamples
from scaling.tracking.records import COMMAND, CURVE, KIND, PARENT, is_of, opened, to_point

#: Of so many sweeps, the newest, the page shows configuration and environment.
SWEEPS_SHOWN = 5


@dataclass(frozen=True)
class SweepRecord:
    """How a sweep was run: its command, and what one of its runs kept of config and environment; masked."""

    name: str
    command: str
    config: str
    environment: str


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Attributes:
        duplicates: finished runs of each fingerprint that has several.
        parent: run id of the newest sweep.
        commands: of the newest sweep of each curve, by curve_id.
        findings: what the curves say; None where nothing was asked.
    """

    experiment: str
    curves: list[Curve]
    gaps: list[MissingPoint]
    duplicates: dict[str, int]
    published: list[Published]
    parent: str | None
    findings: Findings | None = None
    links: RunLinks = field(default_factory=RunLinks)
    sweeps: tuple[SweepRecord, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)

    @property
    def next_steps(self) -> list[tuple[str, str]]:
        """What to measure next, the best first: in words, and the command."""
        points = {curve.curve_id: curve.points[0] for curve in self.curves}
        return [
            (
                f"{step.label}, {step.text}" if len(self.curves) > 1 else step.text,
                command_for(self.commands.get(step.curve_id, ""), points[step.curve_id], step.n, step.seeds),
            )
            for step in (self.findings.steps if self.findings else ())
        ]

    @property
    def metric(self) -> Metric:
        """What the curves show: what was asked for, else their primary metric."""
        return self.findings.metric if self.findings else primary_metric(self.curves[0].points[0].metric)

    @property
    def flagged(self) -> list[str]:
        """The points whose score must not be averaged unseen, with the reason."""
        return [
            f"{curve.label} n={point.n} seed={point.seed}: {point.flag}"
            for curve in self.curves
            for point in curve.points
            if point.flag
        ]


def collect(
    store: RunStore, settings: Settings | None = None, parent: str | None = None, user: str | None = None
) -> Report:  # fmt: skip
    """Fetch the runs of an experiment and put them together.

    Args:
        parent: run of the sweep whose grid alone is shown.
        user: whose sweeps are shown: not what is in others' grids alone.

    Raises:
        StoreError: the experiment has no finished grid point.
        SettingError: no run has the metric that is asked for.
    """
    runs = store.runs()
    finished = [to_point(run) for run in runs if run.data.tags.get(KIND) == "point" and run.info.status == "FINISHED"]
    sweeps = sorted((run for run in runs if run.data.tags.get(KIND) == "sweep"), key=opened, reverse=True)
    others: list[Any] = []
    if parent is not None:
        sweeps = [run for run in sweeps if run.info.run_id == parent]
    elif user is not None:
        others = [run for run in sweeps if not is_of(run, user)]
        sweeps = [run for run in sweeps if is_of(run, user)] or others
    grid = _entries(store, sweeps, "grid.json")
    asked = {entry["fingerprint"] for entry in grid}
    hidden = {entry["fingerprint"] for entry in _entries(store, others, "grid.json")} - asked
    finished = [
        point for point in finished if point.fingerprint in asked or not (parent or point.fingerprint in hidden)
    ]
    points, duplicates = newest_by_fingerprint(finished)
    curves = curves_of(points)
    labels = {curve.curve_id: curve.label for curve in curves}
    gaps = find_gaps(grid, runs, labels)
    if not finished:
        why = f" {len(gaps)} points are missing, the first: {gaps[0]}." if gaps else ""
        raise StoreError(
            f"The MLflow experiment {store.experiment} has no finished grid point.{why}\n"
            "Run one first: python -m scaling.run -m n=1000,10000,100000"
        )
    return Report(
        experiment=store.experiment,
        curves=curves,
        gaps=gaps,
        duplicates=duplicates,
        published=compare(_entries(store, sweeps, "expected.json"), curves),
        parent=sweeps[0].info.run_id if sweeps else None,
        findings=find(curves, StoredSamples(store), settings),
        links=store.links(),
        sweeps=sweep_records(store, sweeps, runs),
        commands=commands(sweeps, runs),
    )


def commands(sweeps: Sequence[Any], runs: Sequence[Any]) -> dict[str, str]:
    """Return the command of the newest sweep of each curve; secrets are masked, and so of no use."""
    said = {sweep.info.run_id: mask(sweep.data.tags.get(COMMAND, "")) for sweep in sweeps}
    found: dict[str, str] = {}
    for run in runs:
        if (command := said.get(run.data.tags.get(PARENT, ""))) and CURVE in run.data.tags:
            found.setdefault(run.data.tags[CURVE], command)
    return found


def _entries(store: RunStore, sweeps: Sequence[Any], name: str) -> list[Mapping[str, Any]]:
    """Return the entries of a list that each sweep keeps as an artifact."""
    return [entry for run in sweeps for entry in json.loads(store.kept(run, name) or "[]")]


def sweep_records(store: RunStore, sweeps: Sequence[Any], runs: Sequence[Any]) -> tuple[SweepRecord, ...]:
    """Return how the newest sweeps were run, from the newest finished run of each."""
    newest: dict[str, Any] = {}
    for run in runs:
        if run.info.status == "FINISHED" and PARENT in run.data.tags:
            newest.setdefault(run.data.tags[PARENT], run)
    return tuple(
        SweepRecord(
            name=sweep.info.run_name or sweep.info.run_id,
            command=mask(sweep.data.tags.get("scaling.command", "")),
            config=mask(store.kept(newest.get(sweep.info.run_id), "config.yaml") or ""),
            environment=mask(store.kept(newest.get(sweep.info.run_id), "environment.json") or ""),
        )
        for sweep in sweeps[:SWEEPS_SHOWN]
    )
