"""From the runs of an experiment to all that a report says."""

import json
from dataclasses import dataclass

from scaling.core.curves import Curve, curves_of, newest_by_fingerprint
from scaling.core.errors import StoreError
from scaling.report.gaps import Gap, find_gaps
from scaling.report.published import Published, compare
from scaling.tracking import KIND, RunStore, opened, to_point


@dataclass(frozen=True)
class Report:
    """All that a report says."""

    experiment: str
    curves: list[Curve]
    gaps: list[Gap]
    duplicates: dict[str, int]
    comparisons: list[Published]
    parent: str | None


def collect(store: RunStore) -> Report:
    """Fetch the runs of an experiment and put them together.

    Raises:
        StoreError: the experiment has no finished grid point.
    """
    runs = store.runs()
    finished = [to_point(run) for run in runs if run.data.tags.get(KIND) == "point" and run.info.status == "FINISHED"]
    sweeps = sorted((run for run in runs if run.data.tags.get(KIND) == "sweep"), key=opened, reverse=True)
    grids = {run.info.run_id: json.loads(store.artifact(run.info.run_id, "grid.json") or "[]") for run in sweeps}
    gaps = find_gaps([entry for grid in grids.values() for entry in grid], runs)
    if not finished:
        why = f" {len(gaps)} points are missing, the first: {gaps[0]}." if gaps else ""
        raise StoreError(
            f"The MLflow experiment {store.experiment} has no finished grid point.{why}\n"
            "Run one first: python -m scaling.run -m n=1000,10000,100000"
        )
    points, duplicates = newest_by_fingerprint(finished)
    expected = [
        entry for run in sweeps for entry in json.loads(store.artifact(run.info.run_id, "expected.json") or "[]")
    ]
    curves = curves_of(points)
    return Report(
        experiment=store.experiment,
        curves=curves,
        gaps=gaps,
        duplicates=duplicates,
        comparisons=compare(expected, curves),
        parent=sweeps[0].info.run_id if sweeps else None,
    )
