"""Which changes of an error count: those that matter, or those that a test set of finite size can measure."""

from dataclasses import dataclass
from math import ceil, sqrt

from scaling.core.errors import SettingError
from scaling.core.words import about, samples

#: Where nothing is said of what matters, a change below this share of the error is small in itself.
SMALL_SHARE = 0.1


def measurable(error: float, tested: int, coverage_z: float = 1.959963984540054) -> float:
    """Return the smallest difference of two error rates that a test set of `tested` samples can tell from 0.

    Both are taken as independent binomial shares: z √(2 e (1 − e) / m), with an e of at least one sample. Scores on the
    same test samples are correlated, so paired tests may tell less.
    """
    if tested < 1:
        raise SettingError(f"tested={tested}: expected a positive number of test samples.")
    share = max(error, 1 / (tested + 1))
    return coverage_z * sqrt(2 * share * (1 - share) / tested)


@dataclass(frozen=True)
class Threshold:
    """From which change on one can be told from none, and up to which one is small.

    Attributes:
        told: a change above it is one.
        small: a change below it is none; less than `told` where the test set can't measure changes that matter.
        measured: whether `told` is what the test set can measure, and not what matters.
        tested: size of the test set; None where it isn't known.
    """

    told: float
    small: float
    measured: bool = False
    tested: int | None = None

    @classmethod
    def given(cls, value: float) -> "Threshold":
        """Return the threshold of somebody who knows what matters."""
        if not value > 0:
            raise SettingError(f"threshold={value}: expected a gain above 0.")
        return cls(value, value)

    @classmethod
    def of_test_set(cls, smallest: float, error: float, tested: int | None) -> "Threshold":
        """Return that of a test set that tells differences from `smallest` on, where the error is `error`."""
        return cls(smallest, min(smallest, SMALL_SHARE * max(error, smallest)), True, tested)

    def __str__(self) -> str:
        if not self.measured:
            return f"{self.told:.4f}"
        return f"the {self.told:.4f} that {self._samples} can measure"

    @property
    def small_words(self) -> str:
        """What a small change is less than."""
        if self.small < self.told:
            return f"{self.small:.4f}, {100 * SMALL_SHARE:g} % of the error"
        return f"{self}, and {100 * SMALL_SHARE:g} % of the error" if self.measured else f"{self}"

    @property
    def _samples(self) -> str:
        return "this test set" if self.tested is None else f"{samples(self.tested)} test samples"

    def needed(self, change: float) -> float:
        """Return how many times as many test samples measure a change."""
        return (self.told / change) ** 2

    def enough(self, change: float) -> str:
        """Say which test set measures a change."""
        times = self.needed(change)
        if self.tested is None:
            return f"a test set {times:.2g} times as large"
        return f"about {about(ceil(times * self.tested))} test samples"
