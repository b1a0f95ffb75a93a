"""Keep credentials out of what is shown and logged."""

import re

_CREDENTIALS = re.compile(r"(://)[^/\s]\S*@")  # up to the last @: a password may hold any character
_PARAMETERS = re.compile(r"([?&](?:user|username|password|passwd|pwd|token|secret)=)[^&\s]*", re.IGNORECASE)


def mask(text: str) -> str:
    """Hide user and password of every URI in a text.

    >>> mask("postgresql://me:secret@db/runs")
    'postgresql://***@db/runs'
    """
    return _PARAMETERS.sub(r"\1***", _CREDENTIALS.sub(r"\1***@", text))
