"""What a report misses: grid points that were asked for and have no finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.core.curves import base_label
from scaling.tracking.records import CURVE, EVERY_SEED, FINGERPRINT, REASON


@dataclass(frozen=True)
class MissingPoint:
    """A grid point that a sweep asked for and that has no finished run; label is its curve's."""

    label: str
    n: int
    seed: int
    state: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.label} n={self.n} seed={self.seed}"
        return f"{where}: {self.state}" + (f" ({self.reason.splitlines()[0]})" if self.reason else "")


def find_gaps(grid: Sequence[Mapping[str, Any]], runs: Sequence[Any], labels: Mapping[str, str]) -> list[MissingPoint]:
    """Return the points of all sweeps' grids that have no finished run, each once, with the newest run's state.

    A point that failed and was finished later with another setting, such as other weights, is no gap: a finished run
    of the same model, data set, adaptation, n and seed that started later stands for it. One that stands for all
    seeds fills the gaps of each.

    Args:
        grid: entries of the sweeps' grid.json.
        runs: all runs of the experiment, newest first.
        labels: those of the curves that have points, by curve_id.
    """
    newest: dict[str, Any] = {}
    done, for_all_seeds = set(), set()
    finished_last: dict[tuple[str, ...], int] = {}
    for run in runs:
        fingerprint = run.data.tags.get(FINGERPRINT)
        newest.setdefault(fingerprint, run)
        if run.info.status == "FINISHED":
            done.add(fingerprint)
            if EVERY_SEED in run.data.tags:
                for_all_seeds.add((run.data.tags[CURVE], int(run.data.params["n"])))
            finished_last.setdefault(_names(run.data.params), run.info.start_time)
    gaps = {}
    for entry in grid:
        if entry["fingerprint"] in done or (entry["curve_id"], entry["n"]) in for_all_seeds:
            continue
        run = newest.get(entry["fingerprint"])
        if run is not None and finished_last.get(_names(entry), 0) > run.info.start_time:
            continue
        state = run.info.status.lower() if run is not None else "missing"
        reason = run.data.tags.get(REASON, "") if run is not None else ""
        label = labels.get(entry["curve_id"]) or base_label(entry["model"], entry["dataset"], entry["adaptation"])
        gaps[entry["fingerprint"]] = MissingPoint(label, entry["n"], entry["seed"], state, reason)
    return list(gaps.values())


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the five names of a point, of its params or its entry in a grid."""
    return tuple(str(entry.get(key)) for key in ("model", "dataset", "adaptation", "n", "seed"))
