"""Figures of what was found beyond curves: the gain of pre-training, and scalability against the size of models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling.core.curves import Curve
from scaling.figures.over_n import finish
from scaling.figures.style import legible, look
from scaling.findings import Findings, ModelSize

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pretraining_gains(
    ax: "Axes", curves: Sequence[Curve], labels: Sequence[str], findings: Findings | None = None
) -> None:
    """Draw pre-trained − from scratch over n with its paired interval, one line a pair of curves."""
    assert findings is not None
    names = {curve.curve_id: label for curve, label in zip(curves, labels, strict=True)}
    for position, pair in enumerate(findings.pretraining):
        colour, marker = look(position)
        n, gain = [entry.n for entry in pair.gains], np.array([entry.gain for entry in pair.gains])
        known = [
            (value if entry.low is None else entry.low, value if entry.high is None else entry.high)
            for entry, value in zip(pair.gains, gain, strict=True)
        ]
        reach = np.abs(np.array(known).reshape(-1, 2).T - gain)
        label = names.get(pair.a, pair.a)
        ax.errorbar(n, gain, reach, color=colour, marker=marker, markersize=5, capsize=3, linewidth=1.6, label=label)
    ax.axhline(0, color="#777777", linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    finish(ax, "n training samples", f"gain in {findings.metric.words}", "What pre-training gains over n")


def model_sizes(ax: "Axes", curves: Sequence[Curve], labels: Sequence[str], findings: Findings | None = None) -> None:
    """Draw the local exponent of each curve against its model's parameters."""
    assert findings is not None
    names = {curve.curve_id: label for curve, label in zip(curves, labels, strict=True)}
    for position, row in enumerate(sized(findings)):
        colour, marker = look(position)
        value = row.exponent or 0.0
        reach = [[abs((bound or 0.0) - value)] for bound in row.bounds.get("exponent", (value, value))]
        label = names.get(row.curve_id, legible(row.model))
        ax.errorbar(row.parameters or 0, value, reach, fmt=marker, color=colour, markersize=8, capsize=3, label=label)
    counts = [row.parameters or 0 for row in sized(findings)]
    if 0 in counts:  # raw pixels have none
        ax.set_xscale("symlog", linthresh=min((count for count in counts if count), default=10) / 10)
    else:
        ax.set_xscale("log")
    finish(ax, "parameters", "local exponent", "How fast the error falls, against the size of the model")


def sized(findings: Findings) -> list[ModelSize]:
    """Return the curves whose model's size and exponent are known."""
    return [row for row in findings.complexity.rows if row.parameters is not None and row.exponent is not None]
