"""The only room that draws, and the only one that knows matplotlib and plotly."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.core.curves import Curve
from scaling.figures.others import model_sizes, pretraining_gains, sized
from scaling.figures.over_n import (
    MANY,
    cost_curves,
    scaling_curves,
    seconds_of,
    train_and_test_curves,
    upgradeability_curves,
)  # fmt: skip
from scaling.figures.style import COLOURS, DISTINCT, MARKERS, legible, look, short_labels
from scaling.findings import Findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "MARKERS", "Drawing", "cost_curves", "drawings", "figure", "look", "model_sizes", "plotly_script",
    "pretraining_gains", "save", "scaling_curves", "seconds_of", "short_labels", "train_and_test_curves",
    "upgradeability_curves",
]  # fmt: skip

#: A drawing takes axes, curves, their labels, and the findings where there are any.
Drawing = Callable[..., None]
#: Inches that a line of the legend takes.
LEGEND_ROW = 0.2
#: Letters of a label that fit below the axes.
LONGEST = 76
FORMATS = ("png", "svg", "pdf")
DPI = 160


def drawings(curves: Sequence[Curve], findings: Findings | None) -> dict[str, tuple[Drawing, list[Curve]]]:
    """Return what there is to draw, by the name of its file: the drawing, and its curves."""
    everything = list(curves)
    found: dict[str, tuple[Drawing, list[Curve]]] = {
        "scaling": (scaling_curves, everything),
        "upgradeability": (upgradeability_curves, everything),
        "train_and_test": (train_and_test_curves, everything),
    }
    datasets = sorted({curve.points[0].dataset for curve in curves})
    if len(datasets) > 1:
        for name in datasets:
            found[f"scaling-{file_name(name)}"] = (scaling_curves, [c for c in curves if c.points[0].dataset == name])
    if findings is None:
        return found
    if any(seconds_of(findings).values()):
        found["cost"] = (cost_curves, everything)
    if findings.pretraining:
        found["pretraining"] = (pretraining_gains, everything)
    if len({row.model for row in sized(findings)}) > 1:
        found["complexity"] = (model_sizes, everything)
    return found


def file_name(name: str) -> str:
    """Return a data set's name as part of a file's name.

    >>> file_name("my data/v2")
    'my_data_v2'
    """
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def figure(draw: Drawing, curves: Sequence[Curve], findings: Findings | None = None) -> "Figure":
    """Return a figure with one of the drawings above."""
    from matplotlib.figure import Figure

    labels, shared = short_labels([curve.label for curve in curves])
    named = len(curves) <= DISTINCT
    rows = (len(curves) if named else 1) + (findings is not None)
    page = Figure(figsize=(7, 4.2 + LEGEND_ROW * rows), layout="constrained" if len(curves) <= MANY else None)
    ax = page.subplots()
    extra: dict[str, Any] = {} if findings is None else {"findings": findings}
    draw(ax, curves, [legible(label if len(curves) <= MANY else cut(label)) for label in labels], **extra)
    if shared:
        ax.set_title(f"{ax.get_title(loc='left')}\n{legible(shared)}", loc="left", fontsize=10.5)
    if not named and (legend := ax.get_legend()) is not None:
        legend.remove()
        said = f"{len(curves)} curves: report.html and numbers.csv tell them apart"
        ax.text(0, -0.16, said, transform=ax.transAxes, fontsize=8.5, va="top")
    if len(curves) > MANY:
        height = page.get_figheight()
        page.subplots_adjust(0.11, (LEGEND_ROW * rows + 0.75) / height, 0.97, 1 - 0.5 / height)
    return page


def cut(label: str) -> str:
    """Shorten a label in its middle to what fits below the axes."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST // 2]}…{label[-LONGEST // 2 :]}"


def save(page: "Figure", folder: Path, name: str) -> None:
    """Write a figure in every format."""
    for suffix in FORMATS:
        page.savefig(folder / f"{name}.{suffix}", dpi=DPI, format=suffix)
        page.set_layout_engine(None)  # places are found once; to find them, matplotlib draws everything twice


def plotly_script() -> str:
    """Return plotly's JavaScript, 4.8 MB; the package ships no smaller bundle."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
