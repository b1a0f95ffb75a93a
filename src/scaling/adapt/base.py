"""The shape that all adaptations share: (context, subset) → predictions on the subset and on the test set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.core.costs import Cost
from scaling.core.errors import AdaptationError
from scaling.core.reporter import Reporter
from scaling.datasets.base import Dataset
from scaling.features.provider import Features
from scaling.metrics.base import Predictions
from scaling.models.base import Backbone, ModelSource, build
from scaling.tasks.base import Targets, Task
from scaling.training.recipe import TrainingSettings

if TYPE_CHECKING:
    import pytorch_lightning as pl
    import torch

#: Tag of a run whose loss stopped being a number at some learning rate.
DIVERGED = "scaling.diverged"


def positive_number(value: Any) -> bool:
    """Say whether a setting is a positive finite number; YAML may hold anything."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


@dataclass(frozen=True)
class Subset:
    """The n training samples of a grid point.

    Attributes:
        indices: ascending positions in the training split, shape (n,).
        targets: what is true of them, one row a sample.
        seed: seed for whatever the adaptation draws.
    """

    indices: NDArray[np.int64]
    targets: Targets
    seed: int

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> Targets:
        """The targets, by the name that they have where they are classes."""
        return self.targets


@dataclass
class Context:
    """All that an adaptation may use besides the subset.

    Attributes:
        precision: resolved precision of the network's passes.
        trainer: keyword arguments of the Lightning Trainer for one process (accelerator, devices, …).
        training: how and where networks are trained, apart from what changes a score.
    """

    dataset: Dataset
    model: ModelSource
    features: Features
    precision: str
    trainer: dict[str, Any]
    reporter: Reporter
    training: TrainingSettings = field(default_factory=TrainingSettings)

    @cached_property
    def backbone(self) -> Backbone:
        """The network and its head, built when first needed."""
        return build(self.model)

    @cached_property
    def device(self) -> "torch.device":
        """Where heads are fitted: where the trainer computes, but on the CPU where it can't do float64 (MPS)."""
        import torch

        from scaling.lightning import device_of

        device = device_of(self.trainer)
        return torch.device("cpu") if device.type == "mps" else device

    @cached_property
    def tester(self) -> "pl.Trainer":
        """The Trainer that runs heads over features; making one takes 10 ms."""
        from scaling.lightning import quiet_trainer

        return quiet_trainer(**self.trainer)

    @property
    def task(self) -> Task:
        """What is to be predicted."""
        return self.dataset.task

    @property
    def classes(self) -> int:
        """Number of the data set's classes, each of which has an output of a head."""
        return self.task.outputs

    def train_features(self, subset: Subset) -> NDArray[np.float32]:
        """Return the subset's frozen features, shape (n, d)."""
        return self.features.rows("train", subset.indices)

    def test_features(self) -> NDArray[np.float32]:
        """Return the whole test set's frozen features, shape (m, d)."""
        return self.features.rows("test", np.arange(len(self.dataset.test)))


@dataclass(frozen=True)
class Outcome:
    """What an adaptation hands back.

    Attributes:
        train, test: predictions of the same fitted predictor on the subset and on the test set.
        metrics: further named values to log.
        params: what was chosen inside the n samples, such as a penalty; named chosen.*, apart from settings.
        tags: things to know about the run, in words.
        tables: small tables to keep, each a list of rows.
        head: the fitted head's arrays, see `kept`; none where the adaptation keeps none.
    """

    train: Predictions
    test: Predictions
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    head: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Adaptation(Protocol):
    """Settings of an adaptation, and how it turns a subset into predictions; subclasses say what differs from here."""

    name: ClassVar[str]
    #: Raise when the same settings give other predictions than before.
    METHOD_VERSION: ClassVar[int]
    #: Whether it needs a network, and would not do with features.
    needs_network: ClassVar[bool] = False
    #: Whether seeds differ on one and the same subset: by first weights, batches, dropout. Where they don't, or only in
    #: the samples held out for a choice, the full set has one result, that of seed 0.
    draws: ClassVar[bool] = True
    #: Whether it hands back a head that can be kept.
    keeps_head: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """Return the settings that change a score."""
        ...

    def revision(self, model: ModelSource, n: int) -> int:
        """Return a number that is raised when the method changes for some n alone; 0 where it never did.

        It counts for the points at these n, and not for their curve: the others stay finished.
        """
        return 0

    def wording(self, dataset: Dataset, model: ModelSource) -> dict[str, Any]:
        """Return what changes a score because of how classes are called; nothing where their names say nothing."""
        return {}

    def check(self, dataset: Dataset, model: ModelSource, n: int) -> None:
        """Raise AdaptationError where this can't work; called before any run is opened."""

    def cost(self, n: int, m: int, d: int, classes: int) -> Cost | None:
        """Return what a fit on n samples and the prediction of m take, with d features; None where it can't be told."""
        return None

    def passes(self, n: int, m: int) -> float | None:
        """Return the passes of one sample through the network that a training takes; None where none is trained."""
        return None

    def reads(self, model: ModelSource) -> tuple[str, ...]:
        """Return the splits whose frozen features are read."""
        return ("train", "test")

    def sees_parts(self, model: ModelSource) -> bool:
        """Say whether how a step's batch is divided changes the score."""
        return False

    def run(self, context: Context, subset: Subset) -> Outcome:
        """Fit on the subset and predict the subset and the test set."""
        ...


def check_network(adaptation: Adaptation, model: ModelSource) -> None:
    """Raise AdaptationError where features are given and an adaptation needs the network behind them."""
    if adaptation.needs_network and model.given:
        raise AdaptationError(
            f"{adaptation.name} needs the model's network; {model.id} stands for embeddings, which come without one.\n"
            "Take an adaptation that works on features: adaptation=linear_probe or adaptation=knn."
        )
