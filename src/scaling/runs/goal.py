"""What n=auto is asked, and how long it may take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaling.core.errors import SettingError

AUTO = "auto"
BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*")
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
#: Settings of the question, which have no meaning once n is known.
ASKED = ("target", "until", "budget")


@dataclass(frozen=True)
class Goal:
    """What is asked, and the seconds that may be spent on it; None for as many as it takes."""

    until: str
    target: float | None
    budget: float | None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Goal | None":
        """Read the settings; None where n is given.

        Raises:
            SettingError: nothing is asked, what is asked can't be, or something is asked although n is given.
        """
        target, until, budget = (settings[name] for name in ASKED)
        if settings["n"] != AUTO:
            if asked := [name for name in ASKED if settings[name] is not None]:
                raise SettingError(
                    f"{asked[0]}={settings[asked[0]]} belongs to n=auto: n={settings['n']} asks no question."
                )
            return None
        until = until or ("target" if target is not None else None)
        if until is None or (until == "target") != (target is not None):
            raise SettingError(
                f"n=auto until={until} target={target}: expected a question.\n"
                "Take target=0.9 (which n reaches it), until=saturation, or until=ranking with several models."
            )
        seconds = None
        if budget is not None:
            if not (found := BUDGET.fullmatch(str(budget))):
                raise SettingError(f"budget={budget}: expected a time such as 90s, 10min or 2h.")
            seconds = float(found[1]) * SECONDS[found[2]]
        return cls(until, target, seconds)
