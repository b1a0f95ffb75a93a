"""Tags of words, as IOB1, IOB2 and BIOES write spans: told apart, checked, and turned into IOB2.

IOB1 writes B- only where a span follows another of its type at once, IOB2 wherever one begins; BIOES also says where it
ends (E-, or L-) and which are single words (S-, or U-).

Source: Ramshaw and Marcus (1995), Text chunking using transformation-based learning; Ratinov and Roth (2009), Design
challenges and misconceptions in named entity recognition, CoNLL.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from scaling.core.errors import DataError

Scheme = Literal["iob1", "iob2", "bioes"]
OUTSIDE = "O"
TAG = re.compile(r"([BIESLU])-(.+)")
SHOWN = {"iob1": "IOB1", "iob2": "IOB2", "bioes": "BIOES"}
#: Other letters for the end of a span and for a single word.
LETTERS = {"L": "E", "U": "S"}


@dataclass(frozen=True)
class Tag:
    """A tag: its letter, O outside of spans, and the type of its span."""

    letter: str
    type: str


@dataclass(frozen=True)
class Tagged:
    """A sentence with a tag a word.

    Attributes:
        place: says where a word stands, as a person finds it: "train.txt, line 7".
    """

    words: Sequence[str]
    tags: Sequence[Tag]
    place: Callable[[int], str]


def parsed(text: str, place: str) -> Tag:
    """Read a tag.

    Raises:
        DataError: it is none.
    """
    if text == OUTSIDE:
        return Tag(OUTSIDE, "")
    if (found := TAG.fullmatch(text)) is None:
        raise DataError(
            f"{place}: the tag {text!r} is none of a span: expected O, or B-, I-, E- or S- before a type, as in B-PER."
            "\nTags are taken from the last column; name another, from 0 up: dataset.tag_column=NUMBER"
        )
    return Tag(LETTERS.get(found[1], found[1]), found[2])


def scheme_of(sentences: Iterable[Tagged]) -> Scheme:
    """Say which scheme tags are written in: by letters, and whether I- begins spans, and B- only where it must."""
    letters: set[str] = set()
    inside_begins = b_needless = False
    for sentence in sentences:
        for before, tag in _pairs(sentence.tags):
            letters.add(tag.letter)
            adjacent = before.letter != OUTSIDE and before.type == tag.type
            inside_begins |= tag.letter == "I" and not adjacent
            b_needless |= tag.letter == "B" and not adjacent
    if letters & {"E", "S"}:
        return "bioes"
    return "iob1" if inside_begins and not b_needless else "iob2"


def normalised(sentence: Tagged, scheme: Scheme) -> list[Tag]:
    """Return the tags of a sentence in IOB2.

    Raises:
        DataError: a tag doesn't continue a span that it should continue, or a span doesn't end.
    """
    found, before = [], Tag(OUTSIDE, "")
    for number, tag in enumerate(sentence.tags):
        is_open = before.letter in (("B", "I") if scheme == "bioes" else ("B", "I", "E", "S"))
        continues = is_open and before.type == tag.type
        if tag.letter in ("I", "E") and not continues and scheme != "iob1":
            raise DataError(_broken(sentence, number, scheme))
        if scheme == "bioes" and is_open and tag.letter not in ("I", "E"):
            raise DataError(_unended(sentence, number))
        begins = tag.letter in ("B", "S") or (tag.letter == "I" and not continues)
        found.append(tag if tag.letter == OUTSIDE else Tag("B" if begins else "I", tag.type))
        before = tag
    if scheme == "bioes" and before.letter in ("B", "I"):
        raise DataError(_unended(sentence, len(found)))
    return found


def _pairs(tags: Sequence[Tag]) -> Iterator[tuple[Tag, Tag]]:
    """Yield each tag with the one before it."""
    return zip([Tag(OUTSIDE, ""), *tags], tags, strict=False)


def _broken(sentence: Tagged, number: int, scheme: Scheme) -> str:
    tag, before = sentence.tags[number], sentence.tags[number - 1] if number else None
    follows = "the beginning of the sentence" if before is None else _shown(before)
    lenient = ", or read I- as a beginning too: dataset.scheme=iob1" if scheme == "iob2" else ""
    return (
        f"{sentence.place(number)}: {_shown(tag)} ({sentence.words[number]!r}) continues no span: it follows"
        f" {follows}.\nThe file is {SHOWN[scheme]}, where a span begins with B-. Correct the tag{lenient}."
    )


def _unended(sentence: Tagged, number: int) -> str:
    return (
        f"{sentence.place(number - 1)}: {_shown(sentence.tags[number - 1])} ({sentence.words[number - 1]!r}) is the"
        " last word of its span, which should end with E-, or be S- where it is one word.\n"
        "The file is BIOES. Correct the tag."
    )


def _shown(tag: Tag) -> str:
    return tag.letter if tag.letter == OUTSIDE else f"{tag.letter}-{tag.type}"
