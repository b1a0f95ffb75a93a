"""Settings read by their types: one reading of a value, whether a shell, a grid, a YAML file or Python gives it."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from math import inf
from sys import float_info
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from scaling.core.errors import SettingError

#: Booleans as YAML writes them.
BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}
NUMBER = re.compile(r"\s*[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Bounds:
    """What a number of an annotated type lies between, the ends included unless they are left out."""

    low: float
    high: float = inf
    ends: bool = True

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high if self.ends else self.low < value < self.high

    def __str__(self) -> str:
        if self.high == inf:
            return f"from {self.low:g} up" if self.ends else f"above {self.low:g}"
        return f"{'from' if self.ends else 'between'} {self.low:g} {'to' if self.ends else 'and'} {self.high:g}"


Count = Annotated[int, Bounds(1)]
Positive = Annotated[float, Bounds(0, ends=False)]


class Checked:
    """Settings, a dataclass, of which each is held against its type when they are made.

    Attributes:
        node: where they stand in the config.
    """

    node: ClassVar[str]

    def __post_init__(self) -> None:
        settings: Any = type(self)
        for name, kind in hints(settings).items():
            value = getattr(self, name)
            found = read(kind, value, f"{self.node}.{name}")
            if type(found) is not type(value) or found != value or isinstance(value, list):
                raise SettingError(f"{self.node}.{name}={shown(value)}: expected {words(kind)}.")


@cache
def hints(settings: type[Any]) -> Mapping[str, Any]:
    """Return the types of a dataclass's fields by name."""
    found = get_type_hints(settings, include_extras=True)
    return {field.name: found[field.name] for field in fields(settings) if field.init}


def read(kind: Any, value: Any, name: str) -> Any:
    """Return a setting's value as its type has it: text may stand for a number, and a whole number for text.

    A number with a point is never taken for text: 2024.10 has become 2024.1 by the time it gets here.

    Raises:
        SettingError: the value is of no such type.
    """
    with suppress(ValueError):
        return _read(kind, value)
    remedy = "\nPut text that YAML reads as something else into quotes." if is_text(kind) and value is not None else ""
    raise SettingError(f"{name}={shown(value)}: expected {words(kind)}.{remedy}")


def is_text(kind: Any) -> bool:
    """Say whether a number or boolean that is given for this type is text that looks like one."""
    return str in _options(kind) and not {int, float, bool} & set(_options(kind))


def whole_number(value: object) -> int:
    """Read a whole number: 200, "0200", 1e3 and 1000.0 are such.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str) and value.strip().lstrip("+-").replace("_", "").isdecimal():
        return int(value)
    number = _number(value)
    if number != int(number):
        raise ValueError(value)
    return int(number)


def shown(value: Any) -> str:
    """Write a value as one would type it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def words(kind: Any) -> str:
    """Say in words what a type takes, single values first."""
    single = {Literal, Annotated}
    ordered = sorted(_options(kind), key=lambda option: option not in WORDS and get_origin(option) not in single)
    return " or ".join(map(_words, ordered))


def _options(kind: Any) -> tuple[Any, ...]:
    """Return the types that a union is made of, or the type itself."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return f"{'one of ' * (len(choices) > 1)}{', '.join(map(shown, choices))}"
    if get_origin(kind) is Annotated:
        return " ".join(map(str, (words(get_args(kind)[0]), *kind.__metadata__)))
    if get_origin(kind) is tuple:
        return f"a list, each entry {words(get_args(kind)[0])}"
    origin = get_origin(kind) or kind
    return WORDS.get(kind) or f"{{NAME: VALUE, …}} ({getattr(origin, '__name__', origin)})"


def _read(kind: Any, value: Any) -> Any:
    """Return a value as its type has it, or raise ValueError."""
    if len(options := _options(kind)) > 1:
        for option in options:
            with suppress(ValueError):
                return _read(option, value)
        raise ValueError(value)
    if kind is Any or kind in READERS:
        return value if kind is Any else READERS[kind](value)
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Annotated:
        found = _read(inner[0], value)
        if any(found not in bounds for bounds in inner[1:]):
            raise ValueError(value)
        return found
    if origin is Literal:
        return _one_of([choice for choice in inner if shown(choice) == shown(value)])
    if origin is tuple and isinstance(value, list | tuple):
        kinds = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(value):
            raise ValueError(value)
        return type(value)(_read(entry, item) for entry, item in zip(kinds, value, strict=True))
    if isinstance(origin, type) and not isinstance(value, origin):
        raise ValueError(value)
    return value


def _one_of(found: list[Any]) -> Any:
    if not found:
        raise ValueError
    return found[0]


def _number(value: Any) -> int | float:
    number = float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value
    # Not isfinite, which fails on whole numbers beyond the floats.
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= float_info.max:
        raise ValueError(value)
    return number  # a whole number stays one: 1 and 1.0 may be two fingerprints


def _boolean(value: Any) -> bool:
    return bool(_one_of([known for word, known in BOOLEANS.items() if word == shown(value).strip().lower()]))


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(value)
    return str(value)


def _null(value: Any) -> None:
    if value is not None:
        raise ValueError(value)


READERS = {int: whole_number, float: _number, bool: _boolean, str: _text, NoneType: _null}
