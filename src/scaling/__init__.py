"""How does a pre-trained model's performance grow with my data, and what would more labels buy?

The public API, for scripts and notebooks; the commands are `python -m scaling.run` and `scaling.report`.
"""

from typing import TYPE_CHECKING, Any

from scaling._version import __version__

if TYPE_CHECKING:
    from scaling.api import evaluate_point
    from scaling.core.errors import ScalingError
    from scaling.metrics import Score
    from scaling.tracking import fetch_runs

__all__ = ["ScalingError", "Score", "__version__", "evaluate_point", "fetch_runs"]

_HOMES = {
    "evaluate_point": "scaling.api",
    "fetch_runs": "scaling.tracking",
    "Score": "scaling.metrics",
    "ScalingError": "scaling.core.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import scaling` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'scaling' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
