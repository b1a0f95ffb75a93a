"""Numbers that predictions have: one file a family. All that is known of a metric is said here, and nowhere else."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from scaling.core.errors import SettingError
from scaling.metrics import classification, multilabel
from scaling.metrics.base import Measures, Metric, Score, interval, score

__all__ = [
    "FAMILIES", "Measures", "Metric", "Score", "class_metric", "interval", "is_metric", "metric_of", "primary_metric",
    "score",
]  # fmt: skip

#: The metrics of each family, the primary one first.
FAMILIES = {"classification": classification.METRICS, "multilabel": multilabel.METRICS}
#: The metric that P stood for when there was no other: runs without a name for theirs mean it.
FIRST = classification.PRIMARY
SPLITS = ("test", "train")


def is_metric(name: str) -> bool:
    """Say whether a curve can be drawn of what is logged by a name."""
    try:
        return bool(metric_of(name))
    except SettingError:
        return False


def primary_metric(name: str) -> Metric:
    """Return the primary metric of a name, as its own family has it."""
    return metric_of(name, [name])


def class_metric(name: str) -> Metric | None:
    """Return the metric of single classes in the family of a primary metric, NAME/; None where there is none."""
    family = next(family for family in FAMILIES.values() if family[0].name == name)
    return next((metric for metric in family if metric.name.endswith("/")), None)


def metric_of(name: str, primaries: Iterable[str] = ()) -> Metric:
    """Return the metric that is logged by a name; a name without a split means the test set.

    Args:
        primaries: names of the primary metrics of the families that it may be of; nothing for all families.

    Raises:
        SettingError: nothing is known of the direction of such a metric.
    """
    split, _, rest = name.partition("/") if name.partition("/")[0] in SPLITS else ("test", "", name)
    kind, _, of = rest.partition("/")
    wanted = set(primaries)
    families = [family for family in FAMILIES.values() if not wanted or family[0].name in wanted]
    known: dict[str, Metric] = {}
    for metric in chain(*families):
        known.setdefault(metric.name, metric)
    found = known.get(f"{kind}/") if of else known.get(kind)
    if found is None:
        shown = [f"test/{entry}" + ("NAME" if entry.endswith("/") else "") for entry in known]
        raise SettingError(f"metric={name}: not a metric that a curve can be drawn of.\nThere are: {', '.join(shown)}.")
    return replace(
        found,
        name=rest,
        title=f"{found.title} {of}".strip(),
        split=split,
        complement=f"{found.complement} {of}".strip(),
    )
