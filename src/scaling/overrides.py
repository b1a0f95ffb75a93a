"""Overrides as people type them: put into Hydra's grammar where that can't read them, taken apart where it splits them.

`model.weights=epoch=3-step=10.ckpt` can mean one thing only; the grammar wants quotes around it.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

#: Characters that the grammar takes for its own after a backslash.
ESCAPED = re.compile(r"\\[\\()\[\]{}:=, \t]")
CALL = re.compile(r"(\w+)\s*\(.*\)\s*", re.DOTALL)
#: Pieces of a value: an escaped character, a quoted text, a bracket, a comma, or anything else.
PIECE = re.compile(r"""\\.|(?<![^,\[\]{}(): ])(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|.""", re.DOTALL)


def spelled(override: str) -> str:
    """Return an override with quotes where Hydra's grammar needs them; what is ambiguous stays as it is."""
    key, equals, value = override.partition("=")
    parser = OverridesParser.create()
    if not equals or _parses(parser, override):
        return override
    parts = [part if _parses(parser, f"{key}={part}") else _quoted(part, parser) for part in elements(value)]
    return f"{key}={','.join(parts)}" if parts and all(parts) else override


def elements(value: str) -> list[str]:
    """Split a value at the commas of a grid, which stand outside of quotes and brackets."""
    parts, depth = [""], 0
    for piece in PIECE.findall(value):
        depth += (piece in ("(", "[", "{")) - (piece in (")", "]", "}"))
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    # Where brackets don't pair, as in a(1,2.csv, it can't be told what a comma is.
    return [part.strip() for part in parts] if depth == 0 or "," not in value else []


def alternatives(override: Override) -> list[str]:
    """Return the overrides that a parsed one of a grid stands for, each as it was typed where that can be told."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    found, swept = elements(override.get_value_string()), override.value()
    if not (isinstance(swept, ChoiceSweep) and swept.simple_form and len(found) == len(swept.list)):
        found = list(override.sweep_string_iterator())
    return [f"{override.get_key_element()}={text}" for text in found]


def flags_last(arguments: Sequence[str]) -> list[str]:
    """Move flags, each with the value that follows it, behind the overrides: Hydra takes those in one piece alone."""
    overrides: list[str] = []
    flags: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        flag = argument.startswith("-") or (before.startswith("-") and not re.match(r"~|[^=]+=", argument))
        (flags if flag else overrides).append(argument)
    return [*overrides, *flags]


def unreadable(override: str) -> str:
    """Say what to type instead of an override that Hydra can't read."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"{override}: expected NAME=VALUE, such as n=1000."
    typed = shlex.quote(f"{key}={QuotedString(value, Quote.double).with_quotes()}")
    return (
        f"{override}: this value can't be read.\nText with such characters is typed in quotes: {typed}.\n"
        f"A list is typed as '{key}=[1,2]', and in it or in a grid each text has quotes of its own."
    )


def _parses(parser: OverridesParser, override: str) -> bool:
    try:
        parser.parse_override(override)
    except HydraException:
        return False
    return True


def _quoted(text: str, parser: OverridesParser) -> str:
    """Put text into quotes; return nothing where it may be meant as a list, a map, a function or an escape."""
    call = CALL.fullmatch(text)
    if text[:1] in ("", "[", "{", '"', "'") or ESCAPED.search(text) or (call and call[1] in parser.functions.functions):
        return ""
    home = str(Path(text).expanduser()) if text[0] == "~" else text
    return QuotedString(home, Quote.double).with_quotes()
