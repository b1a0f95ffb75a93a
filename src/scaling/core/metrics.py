"""The logged metrics that a curve can be drawn of: their direction, their bounds, and what makes an error of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import SettingError
from scaling.core.scores import Predictions

Floats = NDArray[np.float64]

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

    @property
    def uses_log_prob(self) -> bool:
        """Whether it is made of the probabilities of the true classes, besides predictions."""
        return not self.bounded

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


def sample_values(metric: Metric, test: Predictions) -> NDArray[np.float32] | None:
    """Return one value a test sample; their mean is the metric, their variance / m that of the metric.

    For a mean over samples these are its terms. Balanced accuracy and macro-F1 are smooth functions of means: their
    value plus the empirical influence function of each sample, whose variance is the infinitesimal jackknife's, the
    limit of the bootstrap over samples.

    Returns:
        Shape (m,), for m test samples; None where predictions don't tell the metric.

    Source: Efron (1982), The jackknife, the bootstrap and other resampling plans, section 6.
    """
    labels, predicted = test.labels, test.predicted
    right = (predicted == labels).astype(np.float64)
    if metric.name == "test/accuracy":
        return right.astype(np.float32)
    if metric.name == "test/nll":
        return -test.log_prob.astype(np.float32)
    if metric.name == "test/balanced_accuracy":
        return _balanced_accuracy(labels, right).astype(np.float32)
    if metric.name == "test/macro_f1":
        return _macro_f1(labels, predicted, right).astype(np.float32)
    return None


def _balanced_accuracy(labels: NDArray[np.integer], right: Floats) -> Floats:
    support = np.bincount(labels)
    recall = np.bincount(labels, weights=right) / np.maximum(support, 1)
    present = support > 0
    weight = len(labels) / (np.maximum(support, 1) * present.sum())
    return recall[present].mean() + weight[labels] * (right - recall[labels])


def _macro_f1(labels: NDArray[np.integer], predicted: NDArray[np.integer], right: Floats) -> Floats:
    classes = int(labels.max()) + 1
    known = (predicted >= 0) & (predicted < classes)
    claimed = np.where(known, predicted, 0)
    size = np.bincount(labels, minlength=classes) + np.bincount(claimed, weights=known, minlength=classes)
    score = 2 * np.bincount(labels, weights=right, minlength=classes) / np.maximum(size, 1)
    weight = len(labels) / (classes * np.maximum(size, 1))
    loss = score * weight
    return score.mean() + 2 * right * weight[labels] - loss[labels] - known * loss[claimed]
