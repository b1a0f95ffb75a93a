"""Tables of a report: values, how they are written, and the forms in which the main one leaves for a paper."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from operator import methodcaller
from typing import Any

from scaling.core.curves import Curve
from scaling.findings import Findings, Gap
from scaling.metrics import Metric

#: What LaTeX reads as commands.
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "−": "$-$", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
#: What Markdown, and the HTML that it may hold, would take for markup.
MARKDOWN = {letter: f"\\{letter}" for letter in "\\`*_{}[]<>#|$~"}


@dataclass(frozen=True)
class Column:
    """A column: its heading, its name in CSV, and how its values are written ("" for text)."""

    title: str
    name: str
    form: str = ""

    def text(self, value: Any) -> str:
        """Write a value; what is not known is a dash."""
        if value is None or (isinstance(value, float) and not isfinite(value)):
            return "–"
        return format(value, self.form) if self.form else str(value)


@dataclass(frozen=True)
class Table:
    """A table with a caption; rows hold plain values in the columns' order."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def written(self) -> list[list[str]]:
        """Return the rows as they are shown."""
        return [[column.text(value) for column, value in zip(self.columns, row, strict=True)] for row in self.rows]


N = Column("n", "n", "d")
SEEDS = Column("seeds", "seeds", "d")


def share(title: str, name: str, sign: str = "") -> Column:
    """Return a column of shares with four decimals."""
    return Column(title, name, f"{sign}.4f")


def main_table(curves: Sequence[Curve], metric: Metric, findings: Findings | None) -> Table:
    """Return one row a curve and n, aggregated over seeds.

    The 95 % interval is that of the finite test set, the range that over seeds; None where there is one seed, or
    where all seeds share the whole training set. Where any point is flagged, the last column counts them.
    """
    columns: tuple[Column, ...] = (
        Column("curve", "curve"), N, SEEDS,
        share("train", f"train_{metric.name}"), share("test", f"test_{metric.name}"),
        share("95 % low", "test_low"), share("95 % high", "test_high"), share("seeds low", "seeds_low"),
        share("seeds high", "seeds_high"), share("upgradeability", "upgradeability", "+"),
        share("low", "upgradeability_low", "+"), share("high", "upgradeability_high", "+"),
    )  # fmt: skip
    gaps = {(found.curve_id, gap.n): gap for found in (findings.curves if findings else ()) for gap in found.gaps}
    rows: list[tuple[Any, ...]] = [row for curve in curves for row in _rows(curve, metric, gaps)]
    flagged = [sum(bool(point.flag) for point in curve.at(n)) for curve in curves for n in curve.n.tolist()]
    if any(flagged):  # their scores are in the means all the same
        columns = (*columns, Column("flagged", "flagged", "d"))
        rows = [(*row, count) for row, count in zip(rows, flagged, strict=True)]
    return Table("numbers", "One row a curve and n, means over seeds", columns, tuple(rows))


def _rows(curve: Curve, metric: Metric, gaps: dict[tuple[str, int], Gap]) -> list[tuple[Any, ...]]:
    keys = (metric.key, metric.train_key, f"{metric.key}_low", f"{metric.key}_high")
    test, train, low, high = (curve.band(methodcaller("logged", key)) for key in keys)
    rows = []
    for i, n in enumerate(curve.n.tolist()):
        seeds, paired = len(curve.at(n)), gaps.get((curve.curve_id, n))
        spread = (None, None) if seeds == 1 or curve.no_draw_variance(n) else (test.low[i], test.high[i])
        gap = test.mean[i] - train.mean[i]
        values = (train.mean[i], test.mean[i], low.mean[i], high.mean[i], *spread, gap)
        interval = (paired.low, paired.high) if paired else (None, None)
        rows.append((curve.label, n, seeds, *(known(v) for v in values), *interval))
    return rows


def known(value: float | None) -> float | None:
    """Round as curves.csv does; what is not a number is not known."""
    return round(float(value), 12) if value is not None and isfinite(value) else None


def as_csv(table: Table) -> str:
    """Write the plain values; what is not known is empty."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([column.name for column in table.columns])
    writer.writerows([["" if value is None else value for value in row] for row in table.rows])
    return file.getvalue()


def as_markdown(table: Table) -> str:
    """Write a pipe table, numbers to the right."""
    lines = [[escaped(column.title, MARKDOWN) for column in table.columns]]
    lines.append(["---:" if column.form else "---" for column in table.columns])
    lines += [[escaped(text, MARKDOWN) for text in row] for row in table.written()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(table: Table) -> str:
    """Write a tabular for the package booktabs."""
    lines = [" & ".join(escaped(column.title, LATEX) for column in table.columns)]
    lines += [" & ".join(escaped(text, LATEX) for text in row) for row in table.written()]
    head, *body = (f"{line} \\\\" for line in lines)
    form = "".join("r" if column.form else "l" for column in table.columns)
    parts = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{form}}}", "\\toprule", head, "\\midrule", *body]
    return "\n".join([*parts, "\\bottomrule", "\\end{tabular}", ""])


def escaped(text: str, signs: dict[str, str]) -> str:
    """Replace signs that mean something; a line break would end the row."""
    return "".join(signs.get(letter, letter) for letter in " ".join(text.split()))
