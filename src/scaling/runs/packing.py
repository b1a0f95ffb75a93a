"""Which points a launcher's jobs run, where a job runs several, and the files by which they learn it."""

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from scaling.runs.job import Job
from scaling.runs.spec import RunSpec
from scaling.runs.sweep import Planned
from scaling.tracking import spool


def packed(points: Sequence[Planned], most: int | None, group_by: str | None) -> list[list[int]]:
    """Return the numbers of the points of each job.

    Args:
        most: points of a job; None for one, or for as many as a group has.
        group_by: "backbone" for jobs whose points share model, precision and data set; None for points as they come.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, item in enumerate(points):
        group = (Job(item.spec).backbone_id, item.point.dataset) if group_by else ()
        groups.setdefault(group, []).append(number)
    most = most or (len(points) if group_by else 1)
    return [numbers[start : start + most] for numbers in groups.values() for start in range(0, len(numbers), most)]


@contextmanager
def written(points: Sequence[Planned], jobs: Sequence[Sequence[int]], checkpoints: Path) -> Iterator[Path]:
    """Write what each job runs below the folder of checkpoints, which all jobs see; yield the folder.

    Where the launch is broken off the files stay, for jobs may have been handed over already.
    """
    spool.prepare(spool.below(checkpoints))
    folder = checkpoints.absolute() / "jobs" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    for number, job in enumerate(jobs):
        items = [(position, points[position]) for position in job]
        content = [(position, item.point.fingerprint, item.spec.config) for position, item in items]
        (folder / f"{number}.json").write_text(json.dumps(content), encoding="utf-8")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # others are in use
        folder.parent.rmdir()


def read_job(folder: Path, number: int) -> list[tuple[int, str, RunSpec]]:
    """Return the points of a job: position in the sweep, planned fingerprint, settings."""
    content = json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))
    return [(position, planned, RunSpec.read(config)) for position, planned, config in content]
