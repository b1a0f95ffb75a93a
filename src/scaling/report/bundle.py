"""A report as one archive for a reviewer: its files, what each of its runs kept, and a script that recounts scores."""

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from scaling.core.curves import Point
from scaling.report.collection import Report

#: What a run kept, as far as it has it.
KEPT = ("config.yaml", "environment.json", "predictions.npz", "values.npz")
SCRIPT = Path(__file__).parents[1] / "templates" / "recount.py"

#: Reads a file that a run kept; None where it has none of that name.
Read = Callable[[Point, str], bytes | None]


def write_bundle(report: Report, files: Sequence[Path], read: Read, path: Path) -> None:
    """Write the archive whole or not at all.

    Args:
        files: of the report.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(SCRIPT, "recount.py")
            for file in files:
                archive.write(file, f"report/{file.name}")
            for point in (point for curve in report.curves for point in curve.points):
                folder = f"runs/{point.run_id}"
                archive.writestr(f"{folder}/metrics.json", json.dumps(dict(sorted(point.metrics.items())), indent=1))
                for name in KEPT:
                    if (content := read(point, name)) is not None:
                        archive.writestr(f"{folder}/{name}", content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
