"""The files of a report, each written whole."""

import csv
from pathlib import Path

from scaling.core.curves import COLUMNS, rows
from scaling.report.collect import Report
from scaling.report.page import render

FILES = ("curves.csv", "scaling.png", "upgradeability.png", "report.html")


def write(report: Report, folder: Path) -> None:
    """Write curves.csv, the figures and the page; each file appears whole."""
    from scaling import figures

    folder.mkdir(parents=True, exist_ok=True)
    drafts = {name: folder / f".{name}" for name in FILES}
    with drafts["curves.csv"].open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(rows(report.curves))
    for name, draw in (
        ("scaling.png", figures.scaling_curves),
        ("upgradeability.png", figures.upgradeability_curves),
    ):
        page = figures.figure(draw, report.curves)
        page.savefig(drafts[name], dpi=160, format="png")
    drafts["report.html"].write_text(render(report, drafts), encoding="utf-8")
    for name, draft in drafts.items():
        draft.replace(folder / name)
