"""From dataclasses and arrays to what JSON has."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from scaling.core.extrapolation.statements import Statement
from scaling.metrics import Metric


def as_plain(value: Any) -> Any:
    """Turn dataclasses, arrays and numbers into what JSON has; numbers keep seven significant digits."""
    if isinstance(value, Statement | Metric):
        return as_plain(value.as_dict())
    if is_dataclass(value):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [as_plain(entry) for entry in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return as_plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.7g}") if isfinite(value) else None
    return value
