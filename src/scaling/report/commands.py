"""The command that measures the next points of a curve: that of its sweep, with other n and seeds."""

import shlex
from collections.abc import Sequence

from scaling.config import is_choice
from scaling.core.curves import Point

#: Settings of a sweep that are not those of the points that come next.
REPLACED = ("n", "seed", "plan", "force", "target", "until", "budget")
#: Settings of which a sweep may have had several values where one curve has one.
PARTS = ("model", "dataset", "adaptation")


def command_for(swept: str, point: Point, n: int, seeds: Sequence[int]) -> str:
    """Return the command for some seeds at an n of a curve.

    Args:
        swept: the command of its sweep, words parted by spaces.
        point: any point of the curve.

    >>> from scaling.core.curves import Point
    >>> point = Point("c", "pixels", "digits", "knn", 100, "100", 0, "auroc", 1.0, 0.9, "f", "r")
    >>> command_for("run.py -m model=pixels,minilm dataset=digits n=10,20", point, 300, (0, 1))
    'python -m scaling.run -m model=pixels dataset=digits n=300 seed=0,1'
    >>> command_for("run.py experiment=digits", point, 300, (0,))
    'python -m scaling.run experiment=digits model=pixels dataset=digits adaptation=knn n=300 seed=0'
    """
    kept = [_of_curve(text, point) for text in overrides(swept) if _name(text) not in REPLACED]
    names = {_name(text) for text in kept}
    if "experiment" in names:  # which may have several of each
        own = {part: str(getattr(point, part)) for part in PARTS if part not in names}
        kept += [f"{part}={value}" for part, value in own.items() if is_choice(part, value)]
    words = [*kept, f"n={n}", f"seed={','.join(map(str, seeds))}"]
    several = ["-m"] if any("," in text.partition("=")[2] for text in words) else []
    return shlex.join(["python", "-m", "scaling.run", *several, *words])


def overrides(swept: str) -> list[str]:
    """Return the overrides of a command, the last of each name; a word without a name goes on the one before it."""
    found: list[str] = []
    for word in swept.split():
        if "=" in word:
            found.append(word)
        elif found and not word.startswith("-"):
            found[-1] += f" {word}"
    return list({_name(text): text for text in found}.values())


def _name(text: str) -> str:
    return text.partition("=")[0].lstrip("+")


def _of_curve(text: str, point: Point) -> str:
    """Return an override with the one of its values that is the curve's, where it is among them."""
    name, _, value = text.partition("=")
    own = str(getattr(point, name)) if name in PARTS else ""
    return f"{name}={own}" if own and own in value.split(",") else text
