"""Keep credentials out of what is shown and logged."""

import re

_CREDENTIALS = re.compile(r"(://)[^/\s]\S*@")  # up to the last @: a password may hold any character


def mask(text: str) -> str:
    """Hide user and password of every URI in a text.

    >>> mask("postgresql://me:secret@db/runs")
    'postgresql://***@db/runs'
    """
    return _CREDENTIALS.sub(r"\1***@", text)
