"""What people see while a sweep runs: progress bars, one line a point, tables of at most 80 columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from math import isfinite

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)  # fmt: skip
from rich.table import Table
from rich.text import Text

from scaling.core.costs import Estimate, duration, size
from scaling.core.curves import Curve
from scaling.core.identity import GridPoint
from scaling.core.reporter import Advance
from scaling.metrics import Score

#: A stage shorter than this many steps needs no bar of its own.
LONG_STAGE = 2
#: A plot is drawn on screens of this width, for no more curves than there are signs to mark their points.
NARROWEST, PLOT_WIDTH, PLOT_HEIGHT, MARKERS = 80, 56, 12, "oxabcd"


def console() -> Console:
    """Return a console on stdout; piped output is as wide as its lines, not cut to a guessed width.

    What is printed are names and messages of users and libraries: brackets and colons in them mean nothing.
    """
    width = None if Console().is_terminal else 200
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False, width=width)


class _Rate(ProgressColumn):
    """Steps a second, where a stage counts steps."""

    def render(self, task) -> Text:  # type: ignore[no-untyped-def]
        """Draw the rate."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class PointProgress(Progress):
    """The bars of one grid point: all points of the sweep, and the stage that this one is in."""

    def __init__(self, screen: Console, position: int, total: int, shown: bool) -> None:
        super().__init__(
            TextColumn("{task.description:<22}", markup=False), BarColumn(bar_width=20), MofNCompleteColumn(), _Rate(),
            TimeRemainingColumn(), console=screen, transient=True, disable=not (shown and screen.is_terminal),
        )  # fmt: skip
        self.add_task("grid points", completed=position, total=total)

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Advance]:
        """Show a bar for a stage while it lasts."""
        if total is None or total < LONG_STAGE:
            yield lambda steps: None
            return
        task = self.add_task(name, total=total)
        try:
            yield lambda steps: self.advance(task, steps)
        finally:
            self.remove_task(task)


def varying(points: Sequence[GridPoint]) -> list[str]:
    """Return the names in which the points of a grid differ, n first: what a line must say to tell them apart."""
    fields = ("model", "dataset", "adaptation")
    return [name for name in fields if len({getattr(point, name) for point in points}) > 1]


def describe(point: GridPoint, fields: Sequence[str]) -> str:
    """Name a point within its grid: "n=1000 seed=0", with the fields that vary before it."""
    names = [str(getattr(point, name)) for name in fields]
    return " ".join([*names, f"n={point.n:<6}", f"seed={_seed(point)}"])


def _seed(point: GridPoint) -> str:
    return "all" if point.every_seed else str(point.seed)


def result_line(position: int, total: int, name: str, score: Score, seconds: float, remark: str = "") -> str:
    """Say how a point came out, in one line."""
    width = len(str(total))
    text = (
        f"[{position:>{width}}/{total}] {name}  test {score.test_score:.4f}"
        f"  train {score.train_score:.4f}  {seconds:.1f} s"
    )
    return f"{text}  {remark}" if remark else text


def counts_line(counts: Mapping[str, int]) -> str:
    """Say how many points are in which state: "9 points: 6 done, 1 failed, 2 pending"."""
    total = sum(counts.values())
    parts = [f"{counts[state]} {state}" for state in ("done", "failed", "running", "pending") if counts.get(state)]
    return f"{total} point{'s' * (total != 1)}: {', '.join(parts)}"


def plan_table(rows: Iterable[tuple[GridPoint, str, str]]) -> Table:
    """Return a table of points with their state, for plan=true."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "dataset", "adaptation"):
        table.add_column(heading, overflow="fold", no_wrap=False)
    table.add_column("n", justify="right")
    table.add_column("seed", justify="right")
    table.add_column("state", overflow="fold")
    for point, state, why in rows:
        names = (point.model, point.dataset, point.adaptation, str(point.n), _seed(point))
        table.add_row(*names, f"{state} {why}".strip())
    return table


def estimate_text(cost: Estimate) -> str:
    """Say what the pending points will take, one after the other."""
    points = f"{cost.points} point{'s' * (cost.points != 1)}"
    lines = [f"{points} to run, {duration(cost.seconds)} or so one after the other:"]
    if cost.samples:
        samples = f"{cost.samples} samples"
        lines.append(f"  forward passes  {samples:<16} {duration(cost.forward_seconds):<13} {cost.forward_source}")
    lines.append(f"  fits            {points:<16} {duration(cost.fit_seconds):<13} {cost.fit_source}")
    lines.append(f"  disk            {size(cost.disk):<16} memory up to {size(cost.memory)}")
    return "\n".join(lines)


def curve_tables(curves: Sequence[Curve]) -> Iterator[Table]:
    """Yield one table a curve: n, seeds, train, test with its range over seeds, upgradeability, flagged seeds."""
    for curve in curves:
        table = Table(title=curve.label, box=None, title_justify="left", pad_edge=False, header_style="bold")
        for heading in ("n", "seeds", "train", "test", "test over seeds", "upgradeability"):
            table.add_column(heading, justify="right")
        if any(point.flag for point in curve.points):
            table.add_column("flagged", justify="right", style="yellow")
        test, train, gap = (curve.band(q) for q in ("test_score", "train_score", "upgradeability"))
        for i, n in enumerate(curve.n.tolist()):
            seeds = len(curve.at(n))
            if curve.no_draw_variance(n):
                spread = "no draw variance"
            elif seeds == 1:
                spread = "one seed"
            else:
                spread = f"{test.low[i]:.4f} – {test.high[i]:.4f}"
            table.add_row(
                str(n),
                str(seeds),
                f"{train.mean[i]:.4f}",
                f"{test.mean[i]:.4f}",
                spread,
                f"{gap.mean[i]:+.4f}",
                *([str(sum(bool(point.flag) for point in curve.at(n)) or "")] if len(table.columns) > 6 else []),
            )
        yield table


def plot(curves: Sequence[Curve], screen: Console) -> str:
    """Draw mean test scores over n, on a logarithmic axis; empty where the screen or the curves don't allow it."""
    drawn = [curve for curve in curves if len(curve.n) > 1]
    metrics = {curve.points[0].metric for curve in drawn}
    means = [curve.band("test_score").mean.tolist() for curve in drawn]
    wide = screen.is_terminal and screen.width >= NARROWEST and screen.encoding.lower().startswith("utf")
    if not wide or len(metrics) != 1 or len(drawn) > len(MARKERS) or not all(map(isfinite, chain(*means))):
        return ""
    import plotille

    figure = plotille.Figure()
    figure.width, figure.height, figure.with_colors = PLOT_WIDTH, PLOT_HEIGHT, False
    figure.x_label, figure.y_label = "n", f"test {metrics.pop()}"
    figure.x_ticks_fkt = lambda low, high: f"{10**low:.0f}"
    figure.y_ticks_fkt = lambda low, high: f"{low:.4f}"
    for curve, mean, marker in zip(drawn, means, MARKERS, strict=False):
        figure.plot(np.log10(curve.n), mean, label=curve.label, marker=marker)
    return str(figure.show(legend=len(drawn) > 1)).replace("⠀", " ")
