"""Standard streams that can't come between a result and its log: they never fail, and tell no secret."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO, cast

from scaling.core.secrets import learn_environment, mask

#: What to write where an encoding lacks a sign of ours.
PLAIN = str.maketrans({"–": "-", "−": "-", "…": "...", "±": "+-", "×": "x", "·": "."})


class SafeStream:
    """A text stream over another: secrets are masked, what it can't encode is replaced, and writing never fails.

    Its reader may be gone (`| head -1`), its disk full: neither is a reason to lose a point.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text as far as that is possible."""
        with suppress(OSError, ValueError):  # ValueError: it was closed
            self._stream.write(encodable(mask(text), self._stream.encoding or "utf-8"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush what was written as far as that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def encodable(text: str, encoding: str) -> str:
    """Return a text with what an encoding lacks replaced.

    >>> encodable("0.81 – 0.82 für n ≥ 10", "ascii")
    '0.81 - 0.82 f?r n ? 10'
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
    return text


def guard() -> None:
    """Make this process's standard streams safe; every command and every job of a launcher begins with it."""
    learn_environment()
    # Where a standard stream is closed, the next file to be opened would take its place, and what is printed.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, SafeStream):
            stream = open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: PTH123, SIM115
            setattr(sys, name, cast(TextIO, SafeStream(stream)))
