"""The logged metrics that a curve can be drawn of: their direction, their bounds, and what makes an error of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from scaling.core.errors import SettingError

#: Names by the last part, or the part before a class's name: what people call them, and whether more is better.
KNOWN: Mapping[str, tuple[str, bool]] = {
    "accuracy": ("accuracy", True),
    "balanced_accuracy": ("balanced accuracy", True),
    "macro_f1": ("macro-F1", True),
    "top5_accuracy": ("top-5 accuracy", True),
    "class_accuracy": ("accuracy on class", True),
    "nll": ("negative log-likelihood", False),
}
SPLITS = ("test", "train")


@dataclass(frozen=True)
class Metric:
    """A logged metric.

    Attributes:
        name: the name that it is logged by, such as test/accuracy.
        title: what people call it.
        higher_is_better: its direction.
        bounded: whether it lies between 0 and 1; its error is then 1 − value. Otherwise the value is a loss itself.
    """

    name: str
    title: str
    higher_is_better: bool
    bounded: bool

    @property
    def train_name(self) -> str:
        """The name of the same metric on the training samples."""
        return f"train/{self.name.partition('/')[2]}"

    def error(self, value: float) -> float:
        """Return what falls as a model gets better: 1 − value of a share, the value of a loss."""
        return 1 - value if self.bounded else value

    def value(self, error: float) -> float:
        """Return the metric of an error."""
        return 1 - error if self.bounded else error


def metric_of(name: str) -> Metric:
    """Return the metric that is logged by a name; a name without a split means the test set.

    Raises:
        SettingError: nothing is known of the direction of such a metric.
    """
    split, _, rest = name.partition("/") if name.partition("/")[0] in SPLITS else ("test", "", name)
    kind, _, of = rest.partition("/")
    if kind not in KNOWN or bool(of) != (kind == "class_accuracy"):
        shown = [f"test/{known}" + ("/NAME" if known == "class_accuracy" else "") for known in KNOWN]
        raise SettingError(f"metric={name}: not a metric that a curve can be drawn of.\nThere are: {', '.join(shown)}.")
    title, higher = KNOWN[kind]
    words = f"{split} {title} {of}".strip()
    return Metric(f"{split}/{rest}", words, higher, higher)
