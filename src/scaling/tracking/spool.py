"""Results on their way to the store: kept on this machine's disk first, so that an outage costs time and no result.

Each is a folder with `result.json`, which is written last, and `artifacts/`. It names its run and holds no address of a
store: it belongs to the store that has this run, wherever that has moved to.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Raise when results kept by an earlier version can't be logged by this one.
FORMAT = 1
NAME = "result.json"
#: Lies in a spool with which the folder above was made, which goes with it.
ALONE = ".alone"

#: Name, value, step, and when it was reported, in milliseconds since the epoch.
Value = tuple[str, float, int, int]


@dataclass(frozen=True)
class Result:
    """All that a computed point has to show, besides its artifacts.

    Attributes:
        forced: whether the point was to be run although it was finished.
        ended: when it was computed, in milliseconds since the epoch.
        dataset: name, digest, source and profile of the data set.
        values: those reported along the way.
    """

    run_id: str
    fingerprint: str
    forced: bool
    ended: int
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    dataset: Mapping[str, str]
    values: Sequence[Value]


def below(checkpoints: Path) -> Path:
    """Return the spool that lies in a folder of checkpoints."""
    return checkpoints / "spool"


def prepare(root: Path) -> None:
    """Make a spool, and with it the folder above where there is none; `tidy` deletes what was made."""
    alone = not root.parent.exists()
    root.mkdir(parents=True, exist_ok=True)
    if alone:
        (root / ALONE).touch()


def keep(root: Path, result: Result, artifacts: Path) -> Path:
    """Write a result and what lies in a folder below `root`; return its entry."""
    prepare(root)
    entry = root / result.run_id
    shutil.copytree(artifacts, entry / "artifacts", dirs_exist_ok=True)
    draft = entry / "result.tmp"
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(result)}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(entry / NAME)
    return entry


def entries(root: Path) -> list[Path]:
    """Return the results that are kept below a folder."""
    return sorted(path.parent for path in root.glob(f"*/{NAME}"))


def read(entry: Path) -> Result:
    """Return a result that was kept.

    Raises:
        OSError, ValueError, TypeError: it is gone, or damaged.
    """
    content: dict[str, Any] = json.loads((entry / NAME).read_text(encoding="utf-8"))
    if (found := content.pop("format", None)) != FORMAT:
        raise ValueError(f"its format is {found}, expected {FORMAT}")
    return Result(**content)


def forget(entry: Path) -> None:
    """Delete a result that is logged; one that stays does no harm, for its run is finished."""
    shutil.rmtree(entry, ignore_errors=True)


def tidy(root: Path) -> None:
    """Delete a spool that is empty, and the folder above if it was made for it and is empty too."""
    if entries(root):
        return
    with suppress(OSError):
        alone = (root / ALONE).exists()
        (root / ALONE).unlink(missing_ok=True)
        root.rmdir()
        if alone:
            root.parent.rmdir()
