"""How long-running code says what it is doing, without knowing who listens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Reporter(Protocol):
    """Listens to the stages of one grid point."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Enter a stage of `total` steps; the context's value is called with the steps done."""
        ...

    def value(self, name: str, value: float, step: int) -> None:
        """Take a value as it happens, such as the loss of an epoch."""
        ...

    def note(self, message: str) -> None:
        """Take a sentence that the user should read."""
        ...


class SilentReporter:
    """Listens and says nothing."""

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Enter a stage."""
        yield lambda steps: None

    def value(self, name: str, value: float, step: int) -> None:
        """Drop the value."""

    def note(self, message: str) -> None:
        """Drop the sentence."""
