"""The only room that draws: curves go into the axes that the caller hands in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.core.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's (2008) colours, told apart by colour-blind readers; yellow is left out, too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Inches that a line of the legend takes.
LEGEND_ROW = 0.2
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def draw_band(ax: "Axes", curve: Curve, quantity: str, position: int, label: str) -> None:
    """Draw the mean over seeds as a line, and the range over seeds as a band."""
    band, colour = curve.band(quantity), COLOURS[position % len(COLOURS)]
    marker = MARKERS[(position + position // len(COLOURS)) % len(MARKERS)]
    ax.plot(curve.n, band.mean, color=colour, marker=marker, markersize=5, linewidth=1.6, label=label)
    if (band.high > band.low).any():
        ax.fill_between(curve.n, band.low, band.high, color=colour, alpha=0.18, linewidth=0)


def scaling_curves(ax: "Axes", curves: Sequence[Curve], labels: Sequence[str]) -> None:
    """Draw test accuracy over n, one line a curve, a bar for the 95 % interval of the test set."""
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        draw_band(ax, curve, "test_accuracy", position, label)
        mean, low, high = (curve.band(name).mean for name in ("test_accuracy", "test_low", "test_high"))
        ax.errorbar(
            curve.n, mean, [(mean - low).clip(min=0), (high - mean).clip(min=0)], fmt="none", capsize=2,
            color=COLOURS[position % len(COLOURS)], linewidth=0.9,
        )  # fmt: skip
    over_n(ax, curves, "test accuracy", "Scaling: test accuracy over n")


def upgradeability_curves(ax: "Axes", curves: Sequence[Curve], labels: Sequence[str]) -> None:
    """Draw P(test) − P(train) over n, one line a curve."""
    for position, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        draw_band(ax, curve, "upgradeability", position, label)
    ax.axhline(0, color="#777777", linewidth=0.8, zorder=0)
    over_n(ax, curves, "test accuracy − train accuracy", "Upgradeability over n")


def over_n(ax: "Axes", curves: Sequence[Curve], quantity: str, title: str) -> None:
    """Label the axes: n logarithmic, with the sizes that were run as ticks."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    sizes = sorted({int(n) for curve in curves for n in curve.n})
    ax.set_xscale("log")
    if len(sizes) <= 8:
        ax.xaxis.set_major_locator(FixedLocator(sizes))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(sizes, [f"{n:,}".replace(",", " ") for n in sizes])
    ax.xaxis.set_minor_formatter(NullFormatter())
    if len(sizes) == 1:
        ax.set_xlim(sizes[0] / 2, sizes[0] * 2)
    ax.set_xlabel("n training samples")
    ax.set_ylabel(quantity)
    ax.set_title(title, loc="left", fontsize=11)
    ax.grid(visible=True, color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    # Below the axes no curve is covered, however many there are.
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), frameon=False, fontsize=8.5, ncols=1, borderaxespad=0)


def short_labels(labels: Sequence[str]) -> tuple[list[str], str]:
    """Split labels into what tells them apart and what they share, word by word.

    >>> short_labels(["pixels digits knn", "pixels digits linear_probe"])
    (['knn', 'linear_probe'], 'pixels digits')
    """
    words = [label.split() for label in labels]
    if len(words) < 2:
        return list(labels), ""
    shared = [word for word in words[0] if all(word in other for other in words)]
    short = [" ".join(word for word in other if word not in shared) for other in words]
    if not all(short) or len(set(short)) < len(short):
        return list(labels), ""
    return short, " ".join(shared)


def legible(label: str) -> str:
    """Keep matplotlib from reading a label as mathematics ($) or as one to leave out (a leading _)."""
    escaped = label.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


def figure(draw: "object", curves: Sequence[Curve]) -> "Figure":
    """Return a figure with one of the drawings above."""
    from matplotlib.figure import Figure

    labels, shared = short_labels([curve.label for curve in curves])
    page = Figure(figsize=(7, 4.2 + LEGEND_ROW * len(curves)), layout="constrained")
    ax = page.subplots()
    draw(ax, curves, [legible(label) for label in labels])  # type: ignore[operator]
    if shared:
        ax.set_title(f"{ax.get_title(loc='left')}\n{legible(shared)}", loc="left", fontsize=10.5)
    return page
