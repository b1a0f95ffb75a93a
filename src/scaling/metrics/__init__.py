"""Numbers that predictions have: one file a family. All that is known of a metric is said here, and nowhere else."""

from dataclasses import replace

from scaling.core.errors import SettingError
from scaling.metrics import classification
from scaling.metrics.base import Measures, Metric, Score, interval, score

__all__ = ["FAMILIES", "Measures", "Metric", "Score", "interval", "metric_of", "score"]

#: The metrics of each family, the primary one first.
FAMILIES = {"classification": classification.METRICS}
#: The metric that P stood for when there was no other: runs without a name for theirs mean it.
FIRST = classification.PRIMARY
SPLITS = ("test", "train")


def metric_of(name: str) -> Metric:
    """Return the metric that is logged by a name; a name without a split means the test set.

    Raises:
        SettingError: nothing is known of the direction of such a metric.
    """
    split, _, rest = name.partition("/") if name.partition("/")[0] in SPLITS else ("test", "", name)
    kind, _, of = rest.partition("/")
    known = {metric.name: metric for family in FAMILIES.values() for metric in family}
    found = known.get(f"{kind}/") if of else known.get(kind)
    if found is None:
        shown = [f"test/{known}" + ("NAME" if known.endswith("/") else "") for known in known]
        raise SettingError(f"metric={name}: not a metric that a curve can be drawn of.\nThere are: {', '.join(shown)}.")
    return replace(
        found,
        name=rest,
        title=f"{found.title} {of}".strip(),
        split=split,
        complement=f"{found.complement} {of}".strip(),
    )
