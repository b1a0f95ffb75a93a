"""What the terminal shows of a report, in at most 80 columns where that is ours to say."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from scaling import terminal
from scaling.core.curves import caveats
from scaling.findings import CurveFindings
from scaling.report.collection import Report

WIDTH = 80
#: With more curves than this, the page alone says what they tell.
MOST_CURVES = 6
#: What is said on the screen; the page says everything.
KINDS = ("trend", "saturation", "data_requirement", "collection_plan", "marginal_value", "limit")


def show(report: Report, folder: Path) -> None:
    """Print the tables, what the curves say, what is missing or double, and where the files are."""
    screen = terminal.console()
    for table in terminal.curve_tables(report.curves):
        screen.print(table)
    for line in lines(report):
        screen.print(line)
    screen.print(f"report: {folder / 'report.html'}")


def lines(report: Report) -> Iterator[str]:
    """Yield what stands below the tables."""
    for line in caveats(report.curves):
        yield f"data: {line}"
    yield from finding_lines(report)
    for gap in report.gaps:
        yield f"missing: {gap}"
    for line in report.flagged:
        yield f"flagged: {line}"
    for fingerprint, count in report.duplicates.items():
        yield f"duplicate: {name_of(report, fingerprint)} has {count} finished runs; the newest counts"
    for item in report.published:
        yield f"expected: {item}"


def finding_lines(report: Report) -> Iterator[str]:
    """Yield the statements of few curves, and how many comparisons found a difference."""
    if report.findings is None:
        return
    if len(report.findings.curves) <= MOST_CURVES:
        for curve in report.findings.curves:
            yield from statement_lines(curve)
    else:
        yield f"statements: on {len(report.findings.curves)} curves, in the page"
    told = [item.verdict != "open" for item in report.findings.comparisons]
    if told:
        yield f"comparisons: {sum(told)} of {len(told)} pairs can be told apart, corrected for their number"
    for crossover in report.findings.crossovers:
        if crossover.told:
            yield from wrapped(f"crossover: {crossover.text}")
    for text, command in report.next_steps:
        yield from wrapped(f"next: {text}")
        yield f"    {command}"


def statement_lines(curve: CurveFindings) -> Iterator[str]:
    """Yield a curve's label and its statements, one paragraph each."""
    yield curve.label
    for statement in curve.statements:
        if statement.kind in KINDS:
            yield from wrapped(f"  {statement.kind.replace('_', ' ')}: {statement.text}")


def wrapped(text: str) -> list[str]:
    """Break a line at 80 columns; what follows is indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def name_of(report: Report, fingerprint: str) -> str:
    """Return the words for a fingerprint."""
    return next(
        f"{curve.label} n={point.n} seed={point.seed}"
        for curve in report.curves
        for point in curve.points
        if point.fingerprint == fingerprint
    )
