"""Points that are worth measuring next, in numbers and in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from scaling.core.costs import duration
from scaling.core.words import samples


@dataclass(frozen=True)
class Step:
    """Points worth measuring next.

    Attributes:
        seconds: that they take one after the other; None where no run tells.
        narrowing: by which share each open answer's interval would shrink, by the answer's name.
    """

    curve_id: str
    label: str
    n: int
    seeds: tuple[int, ...]
    seconds: float | None
    narrowing: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Narrowing of all answers for each second, or for each sample where no time is known."""
        return sum(self.narrowing.values()) / (self.seconds or self.n * len(self.seeds))

    @property
    def text(self) -> str:
        """The step and what it is expected to settle, in words."""
        count = len(self.seeds)
        time = f", {duration(self.seconds)}" if self.seconds is not None else ""
        answers = [f"{name} by about {100 * share:.0f} %" for name, share in self.narrowing.items()]
        head = f"n = {samples(self.n)}, {count} seed{'s' * (count > 1)}{time}"
        return f"{head}: would narrow the interval of {', of '.join(answers)}."
