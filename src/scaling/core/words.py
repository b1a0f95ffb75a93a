"""How numbers are written in sentences, and when two names are one."""

from collections.abc import Iterable, Sequence
from unicodedata import category, decomposition, normalize

from scaling.core.errors import DataError

#: Hyphens that no one tells from the one on the keyboard: U+2010, and U+2011, which doesn't break.
HYPHENS = str.maketrans("\u2010\u2011", "--")


def samples(n: float) -> str:
    """Write a number of samples to the last one: 60,000."""
    return f"{n:,.12g}"


def about(n: float) -> str:
    """Write a number of samples to three figures, never as a power of ten: 1,240 and 60,000."""
    return samples(float(f"{n:.3g}"))


def class_names(written: Iterable[str], where: object) -> dict[str, str]:
    """Map names of classes as they are written, in ascending order, to one spelling each.

    Names that Unicode calls equal (ü as one code point or as two) are one class, and so are those that differ in
    spaces around them.

    Raises:
        DataError: two names that stay different look the same.
    """
    names = {name: normalize("NFC", name).strip() for name in sorted(set(written))}
    seen: dict[str, str] = {}
    for name in names.values():
        other = seen.setdefault(look(name), name)
        if other != name:
            raise DataError(
                f"{where}: the classes {other!r} ({_points(other, name)}) and {name!r} ({_points(name, other)}) look"
                " the same.\nSpell them alike where they are one class, else rename one."
            )
    return names


def places(names: Sequence[str], among: Sequence[str]) -> list[int] | None:
    """Return where each name stands among others; None where the two don't name the same.

    >>> places(["Negative", "positive"], ["positive", "negative"])
    [1, 0]
    """
    wanted, known = ([look(normalize("NFC", name)).casefold() for name in both] for both in (names, among))
    if len(set(known)) < len(known) or sorted(wanted) != sorted(known):
        return None
    return [known.index(name) for name in wanted]


def look(name: str) -> str:
    """Reduce a name to what is seen of it: without invisible characters, kinds of spaces, and compatible forms."""
    seen = (
        normalize("NFKC", character) if decomposition(character).startswith(("<compat>", "<noBreak>")) else character
        for character in name.translate(HYPHENS)
        if category(character) not in ("Cc", "Cf") and not "\ufe00" <= character <= "\ufe0f"
    )
    return " ".join("".join(seen).split())


def _points(name: str, other: str) -> str:
    """Name the code points of a name that another one lacks: U+200B, or "nothing else"."""
    return " ".join(f"U+{ord(character):04X}" for character in name if character not in other) or "nothing else"
