"""Grid points that differ only in n and seed form a curve. Points in, curves and their statistics out."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Point:
    """A finished grid point as the tracking store holds it.

    Attributes:
        metric: name of the primary metric, of which the scores are.
        test_low, test_high: 95 % interval of the test score; NaN where unknown.
        settings: flat settings that change the score, by which curves of one report are told apart.
        pool: size of the whole training set, for "all seeds share this subset"; None where unknown.
        metrics: everything that the run logged as numbers, by name.
        seconds: from the run's start to its end; None where unknown.
        machine: where it ran, in words.
        artifacts: URI of the folder with what the run kept; empty where unknown.
        flag: what must be known of the score before it is averaged with others; empty where there is nothing.
        caveats: what must be known of the data set.
        revision: of the adaptation's method at this n; of two the lower is out of date.
        every_seed: whether it stands for all seeds, as on the full set where nothing else is drawn.
    """

    curve_id: str
    model: str
    dataset: str
    adaptation: str
    n: int
    n_requested: str
    seed: int
    metric: str
    train_score: float
    test_score: float
    fingerprint: str
    run_id: str
    test_low: float = float("nan")
    test_high: float = float("nan")
    pool: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    machine: str = ""
    artifacts: str = ""
    flag: str = ""
    caveats: tuple[str, ...] = ()
    revision: int = 0
    every_seed: bool = False

    @property
    def upgradeability(self) -> float:
        """Test score − train score."""
        return self.test_score - self.train_score

    def logged(self, key: str) -> float:
        """Return what the run logged by a name, such as test/recall; NaN where it didn't."""
        name, own = f"test/{self.metric}", {f"train/{self.metric}": self.train_score}
        own |= {name: self.test_score, f"{name}_low": self.test_low, f"{name}_high": self.test_high}
        return float(self.metrics.get(key, own.get(key, float("nan"))))


@dataclass(frozen=True)
class Band:
    """A quantity over n: mean, and the smallest and largest value over seeds. All shapes (k,)."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """All points of one curve, and their aggregates over seeds, by ascending n."""

    curve_id: str
    label: str
    points: tuple[Point, ...]

    @cached_property
    def _by_n(self) -> dict[int, list[Point]]:
        """The points at each n, by seed; n ascending."""
        groups: dict[int, list[Point]] = defaultdict(list)
        for point in sorted(self.points, key=lambda point: (point.n, point.seed)):
            groups[point.n].append(point)
        return dict(groups)

    @property
    def n(self) -> NDArray[np.int64]:
        """The distinct n, ascending, shape (k,)."""
        return np.array(list(self._by_n), dtype=np.int64)

    def at(self, n: int) -> list[Point]:
        """Return the points at this n, by seed."""
        return list(self._by_n.get(n, ()))

    def logged(self, key: str, n: int) -> list[float]:
        """Return what the runs at this n logged by a name, by seed; those that didn't are left out."""
        return [value for point in self.at(n) if isfinite(value := point.logged(key))]

    def band(self, quantity: str | Callable[[Point], float]) -> Band:
        """Aggregate a quantity (an attribute of Point, or a function of it) over seeds at each n."""
        value = attrgetter(quantity) if isinstance(quantity, str) else quantity
        groups = [np.array([value(point) for point in points]) for points in self._by_n.values()]
        return Band(
            mean=np.array([group.mean() for group in groups]),
            low=np.array([group.min() for group in groups]),
            high=np.array([group.max() for group in groups]),
        )

    def no_draw_variance(self, n: int) -> bool:
        """Whether all seeds share the subset at this n, because it is the whole training set."""
        return any(point.pool is not None and point.pool <= n for point in self.at(n))


def caveats(curves: Iterable[Curve]) -> tuple[str, ...]:
    """Return what must be known of the curves' data sets, each once."""
    points = [point for curve in curves for point in curve.points]
    return tuple(dict.fromkeys(f"{point.dataset}: {text}" for point in points for text in point.caveats))


def base_label(model: str, dataset: str, adaptation: str) -> str:
    """Return the part of a curve's label that every curve has."""
    return f"{model} {dataset} {adaptation}"


def curve_labels(points: Iterable[Point]) -> dict[str, str]:
    """Name each curve by model, data set and adaptation, and by any further setting in which curves differ.

    Returns:
        Label of each curve_id. Where curves share the three names, the settings in which they differ follow
        ("… linear_probe input_size:64"); should even those agree, the first digits of the curve_id do.
    """
    by_base: dict[str, dict[str, Point]] = defaultdict(dict)
    for point in points:
        by_base[base_label(point.model, point.dataset, point.adaptation)].setdefault(point.curve_id, point)
    labels: dict[str, str] = {}
    for base, curves in by_base.items():
        keys = sorted({key for point in curves.values() for key in point.settings})
        # A content hash never tells a reader what differs; the setting behind it does.
        shown = [key for key in keys if len({p.settings.get(key) for p in curves.values()}) > 1]
        for curve_id, point in curves.items():
            extra = [f"{key.rsplit('.', 1)[-1]}:{point.settings.get(key, 'none')}" for key in shown]
            labels[curve_id] = " ".join([base, *extra]) if len(curves) > 1 else base
        names = [labels[curve_id] for curve_id in curves]
        for curve_id in curves:
            if names.count(labels[curve_id]) > 1:
                labels[curve_id] += f" {curve_id[:8]}"
    return labels


def newest_by_fingerprint(points: Sequence[Point]) -> tuple[list[Point], dict[str, int]]:
    """Keep the first of the points with one fingerprint, and at each n of a curve those of the newest method.

    Args:
        points: newest first.

    Returns:
        The points kept, and how many finished runs each duplicated fingerprint has.
    """
    kept: dict[str, Point] = {}
    counts: dict[str, int] = defaultdict(int)
    newest: dict[tuple[str, int], int] = defaultdict(int)
    for point in points:
        kept.setdefault(point.fingerprint, point)
        counts[point.fingerprint] += 1
        newest[point.curve_id, point.n] = max(newest[point.curve_id, point.n], point.revision)
    return (
        [point for point in kept.values() if point.revision == newest[point.curve_id, point.n]],
        {key: count for key, count in counts.items() if count > 1},
    )


def curves_of(points: Iterable[Point]) -> list[Curve]:
    """Group points into curves, by label; points of a curve by n, then seed."""
    points = list(points)
    labels = curve_labels(points)
    groups: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        groups[point.curve_id].append(point)
    curves = [
        Curve(curve_id, labels[curve_id], tuple(sorted(group, key=lambda point: (point.n, point.seed))))
        for curve_id, group in groups.items()
    ]
    return sorted(curves, key=lambda curve: curve.label)
