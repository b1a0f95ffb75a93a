"""What every family of metrics shares: what a metric is, its interval, and the score of a grid point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import ceil, inf, sqrt
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from scaling.core.variance import RATE_PSEUDO, components
from scaling.core.words import about, samples

Floats = NDArray[np.floating]
#: With more classes than this, the metrics of single classes have no intervals: they would fill the store.
MOST_CLASSES = 20
Z_95 = 1.959963984540054  # 97.5 % point of the standard normal distribution


@dataclass(frozen=True)
class Metric:
    """What is known of a metric without any predictions.

    Attributes:
        name: such as `recall`; with a slash at its end it stands for one metric a class, `recall/NAME`.
        title: what people call it.
        higher_is_better: its direction.
        bounds: lowest and highest value.
        counts: whether each test sample's value is 0 or 1, so that exact tests of proportions hold.
        complement: what people call what is missing from its best value; empty for "1 − title".
        split: the samples that it is of, "test" or "train".
        share: whether that of a class is a share of its samples, so that its values tell how many there are.
    """

    name: str
    title: str
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    counts: bool = False
    complement: str = ""
    split: str = "test"
    share: bool = False

    @property
    def key(self) -> str:
        """The name that it is logged by."""
        return f"{self.split}/{self.name}"

    @property
    def train_key(self) -> str:
        """The name of the same metric on the training samples."""
        return f"train/{self.name}"

    @property
    def words(self) -> str:
        """What people call it, with its split."""
        return f"{self.split} {self.title}"

    @property
    def error_title(self) -> str:
        """What people call its error; empty where it is one itself."""
        return (self.complement or f"{self.bounds[1]:g} − {self.title}") if self.higher_is_better else ""

    @property
    def bounded(self) -> bool:
        """Whether its error lies between 0 and 1: then it is a rate."""
        return self.bounds == (0.0, 1.0)

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "name": self.key,
            "title": self.words,
            "higher_is_better": self.higher_is_better,
            "bounded": self.bounded,
        }

    def error(self, value: float) -> float:
        """Return what falls as a model gets better, and is 0 at best."""
        return self.bounds[1] - value if self.higher_is_better else value - self.bounds[0]

    def value(self, error: float) -> float:
        """Return the metric of an error."""
        return self.bounds[1] - error if self.higher_is_better else error + self.bounds[0]

    def reaches(self, value: float) -> bool:
        """Say whether a value lies between the bounds."""
        return self.bounds[0] < value < self.bounds[1]


@dataclass(frozen=True)
class Predictions:
    """What a predictor says of m samples, in arrays of one row a sample; families say what more is kept, or None.

    Attributes:
        labels: what is true of each sample.
    """

    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def primary(self) -> float:
        """Value of the family's primary metric."""
        raise NotImplementedError

    @property
    def log_loss(self) -> float:
        """Mean loss of the probabilities."""
        raise NotImplementedError

    @property
    def finite(self) -> bool:
        """Whether all that they say is numbers."""
        raise NotImplementedError

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return the arrays from which the primary metric can be recounted."""
        raise NotImplementedError

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Join predictions of consecutive batches."""
        return _joined(parts, np.concatenate)

    @classmethod
    def interleaved(cls, shares: Sequence[Self]) -> Self:
        """Join the shares of W processes, of which process r predicted the samples r, r + W, r + 2W, …"""
        return _joined(shares, _woven)

    def rearranged(self, places: NDArray[np.integer[Any]]) -> Self:
        """Return them in another order."""
        return _joined([self], lambda column: column[0][places])


P = TypeVar("P", bound=Predictions)


def _joined(parts: Sequence[P], join: Callable[[list[NDArray[Any]]], NDArray[Any]]) -> P:
    found: dict[str, Any] = {}
    for name in (entry.name for entry in fields(parts[0])):
        column = [getattr(part, name) for part in parts]
        found[name] = None if any(part is None for part in column) else join(column)
    return type(parts[0])(**found)


def _woven(shares: Sequence[NDArray[Any]]) -> NDArray[Any]:
    joined = np.empty((sum(map(len, shares)), *shares[0].shape[1:]), shares[0].dtype)
    for first, share in enumerate(shares):
        joined[first :: len(shares)] = share
    return joined


@dataclass(frozen=True)
class Measures:
    """What predictions come to.

    Attributes:
        values: each metric, by name.
        samples: one value a sample, shape (m,), by name: their mean is the metric, and their variance / m that of the
            metric. For a mean over samples these are its terms; for any other smooth function of the sample the metric
            plus the sample's empirical influence, whose variance is the infinitesimal jackknife's.
        intervals: 95 % intervals that are known in closed form, by name; the others follow from `samples`.

    Source: Efron (1982), The jackknife, the bootstrap and other resampling plans, section 6.
    """

    values: Mapping[str, float]
    samples: Mapping[str, Floats] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def interval(values: Floats, metric: Metric) -> tuple[float, float]:
    """Return the 95 % interval of a metric from one value a test sample, shape (m,).

    Rates hold two further samples on either side, which keep their interval off a width of zero (Agresti and Coull
    1998, Approximate is better than "exact" for interval estimation of binomial proportions, American Statistician).
    """
    found = components(np.asarray(values)[None], RATE_PSEUDO if metric.bounded else ())
    half = Z_95 * sqrt(found.test_variance)
    return max(metric.bounds[0], found.mean - half), min(metric.bounds[1], found.mean + half)


@dataclass(frozen=True)
class Score:
    """The scores of one grid point, train and test from the same fitted predictor.

    Attributes:
        metric: name of the primary metric, the one that P stands for.
        n: samples trained on.
        train, test: every metric by name.
        intervals: 95 % intervals of test metrics, by name.
        samples: one value a test sample, by metric; see `Measures`.
    """

    metric: str
    n: int
    train: Mapping[str, float]
    test: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    samples: Mapping[str, Floats] = field(default_factory=dict, compare=False)

    @property
    def train_score(self) -> float:
        """P(f, D_train)."""
        return self.train[self.metric]

    @property
    def test_score(self) -> float:
        """P(f, D_test)."""
        return self.test[self.metric]

    @property
    def upgradeability(self) -> float:
        """U(f) = P(f, D_test) − P(f, D_train)."""
        return self.test_score - self.train_score

    def __getattr__(self, name: str) -> float:
        """Return a metric by its split and name: `score.test_NAME` is `score.test["NAME"]`."""
        split, _, metric = name.partition("_")
        if split in ("train", "test") and (found := self.__dict__.get(split, {}).get(metric)) is not None:
            return found
        raise AttributeError(f"{type(self).__name__} has no {name}")

    def metrics(self) -> dict[str, float]:
        """Return every score under the name it is logged by."""
        bounds = {f"test/{name}_{end}": value for name, pair in self.intervals.items()
                  for end, value in zip(("low", "high"), pair, strict=True)}  # fmt: skip
        return {
            **{f"train/{name}": value for name, value in self.train.items()},
            **{f"test/{name}": value for name, value in self.test.items()},
            **bounds,
            "upgradeability": self.upgradeability,
            "n": float(self.n),
        }


def score(train: Measures, test: Measures, n: int, metrics: Sequence[Metric]) -> Score:
    """Put together what was measured on the subset (plain resubstitution) and on the test set.

    Args:
        metrics: of the task, the primary one first. Those of single classes have no train counterpart; a metric that
            predictions don't tell is absent.
    """
    known = {metric.name: metric for metric in metrics}
    of = {name: known[name.partition("/")[0] + "/" * ("/" in name)] for name in test.samples}
    intervals = {name: interval(values, of[name]) for name, values in test.samples.items() if len(values) > 1}
    return Score(
        metric=metrics[0].name,
        n=n,
        train={name: value for name, value in train.values.items() if name in known},
        test=dict(test.values),
        intervals={**intervals, **test.intervals},
        samples=dict(test.samples),
    )


def at_chance(found: Score, metric: Metric, chance: float, how: str, tested: int, variance: float) -> str:
    """Say in words that a test score is at chance or can't be told from it; nothing where it can.

    It is not ruled out where the lower end of the 95 % interval does not lie above it; that of a score p lies above
    chance c from z² v / (p − c)² samples on, with v the variance of one sample's value.

    Args:
        how: what comes to chance, with its verb.
        tested: number of test samples.
    """
    p, low = found.test_score, found.intervals.get(metric.name, (-inf, inf))[0]
    if low > chance:
        return ""
    reached = f"{how} {chance:.4f}"
    if p <= chance:
        return f"{metric.words} {p:.4f} is at chance: {reached}"
    told = f"{metric.words} {p:.4f} can't be told from chance by {samples(tested)} test samples: {reached}"
    needed = ceil(Z_95**2 * variance / (p - chance) ** 2)
    return f"{told}; about {about(needed)} would do"
