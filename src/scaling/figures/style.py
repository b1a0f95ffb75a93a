"""How curves look and what they are called in figures, on paper and on the page alike."""

from collections.abc import Sequence

#: Okabe and Ito's (2008) colours, told apart by colour-blind readers; yellow is left out, too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


#: Curves that differ in colour or marker; more of them no legend can tell apart.
DISTINCT = len(COLOURS) * len(MARKERS)


def look(position: int) -> tuple[str, str]:
    """Return colour and marker of the curve at a position; DISTINCT ones differ."""
    colour = COLOURS[position % len(COLOURS)]
    return colour, MARKERS[(position + position // len(COLOURS)) % len(MARKERS)]


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
