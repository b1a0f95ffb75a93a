"""The files of a report: all are made before any replaces an older one, so that each appears whole."""

import csv
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaling.metrics.columns import COLUMNS, rows
from scaling.report.collection import Report
from scaling.report.page import render
from scaling.report.tables import as_csv, as_latex, as_markdown, main_table

#: Every report has these; further figures where there is something to draw.
FILES = ("curves.csv", "scaling.png", "upgradeability.png", "report.html")


def write(report: Report, folder: Path) -> list[Path]:
    """Write curves.csv, tables, figures, findings and the page, and return their paths.

    An error while they are made leaves the folder as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with drafts(folder) as place:
        write_points(report, place / "curves.csv")
        write_tables(report, place)
        write_figures(report, place)
        if report.findings is not None:
            text = json.dumps(report.findings.as_dict(), indent=1, allow_nan=False)
            (place / "findings.json").write_text(text, encoding="utf-8")
        (place / "report.html").write_text(render(report), encoding="utf-8")
        made = sorted(place.iterdir())
        for draft in made:
            draft.replace(folder / draft.name)
    return [folder / draft.name for draft in made]


@contextmanager
def drafts(folder: Path) -> Iterator[Path]:
    """Make a hidden folder for drafts within a folder, so that renaming them is one step; remove it in the end."""
    place = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_points(report: Report, path: Path) -> None:
    """Write one row a point."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(rows(report.curves))


def write_tables(report: Report, folder: Path) -> None:
    """Write the main table for programs and for papers."""
    table = main_table(report.curves, report.metric, report.findings)
    for suffix, form in (("csv", as_csv), ("md", as_markdown), ("tex", as_latex)):
        (folder / f"{table.name}.{suffix}").write_text(form(table), encoding="utf-8", newline="")


def write_figures(report: Report, folder: Path) -> None:
    """Write every figure in every format."""
    from scaling import figures

    for name, (draw, curves) in figures.drawings(report.curves, report.findings).items():
        figures.save(figures.figure(draw, curves, report.findings), folder, name)
