"""Features on demand: stored rows are read, the others are computed once and stored."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.core.reading import Bounds, Checked, Count
from scaling.core.reporter import Reporter, SilentReporter
from scaling.datasets.base import Dataset
from scaling.features.layout import Layout
from scaling.features.store import FeatureEntry, FeatureStore
from scaling.models.base import ModelSource, build

#: Raise when the same settings give other features than before.
FEATURE_VERSION = 2
#: What an entry of the store knows of its model's size, under the names that runs log it by.
SIZE = ("model/parameters", "model/flops")


@dataclass(frozen=True)
class FeatureSettings(Checked):
    """Where features are kept and how they are computed; none of it changes them.

    Attributes:
        dir: folder of the store.
        batch_size: samples a forward pass; None finds it by trying.
        workers: threads that read samples ahead; None for as many as help.
        size_limit: bytes that the store may take; None for no limit. Entries used longest ago go first.
    """

    dir: str
    batch_size: Count | None = None
    workers: Annotated[int, Bounds(0)] | None = None
    size_limit: Count | None = None

    node: ClassVar[str] = "features"


class Features(Protocol):
    """Where adaptations get frozen features from."""

    @property
    def computed(self) -> int:
        """Samples whose features were computed for this grid point, for the record."""
        ...

    @property
    def model_size(self) -> Mapping[str, float]:
        """Parameters and FLOPs of the model under the names they are logged by, as far as they are known."""
        ...

    def rows(self, split: str, samples: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return features (rows, d) of samples (k,) of a split, "train" or "test", ascending: an array of its own."""
        ...


@dataclass
class FeatureProvider:
    """Serves the features of one data set under one model.

    Attributes:
        precision: precision of the forward pass, resolved; it changes the features.
        trainer: keyword arguments of the Lightning Trainer (accelerator, devices, …).
        model_identity: the model's `identity()`, where the caller has it already.
    """

    settings: FeatureSettings
    source: ModelSource
    dataset: Dataset
    precision: str
    trainer: dict[str, Any]
    reporter: Reporter = field(default_factory=SilentReporter)
    model_identity: dict[str, Any] | None = None
    computed: int = 0  # samples computed by this provider, for the record

    def rows(self, split: str, samples: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of samples of a split.

        Args:
            split: "train" or "test".
            samples: which, ascending, shape (k,).

        Returns:
            Features that enter the model's head, one sample after the other: (k, d), or more rows where the task has
            several a sample.
        """
        indices = self.layout(split).rows(samples)
        store, entry = FeatureStore(Path(self.settings.dir)), self.entry(split)
        features, good = None, np.zeros(len(indices), np.bool_)
        if entry is not None:
            with suppress(FileNotFoundError):  # another job may prune it before it is read
                features, good = entry.read(indices)
        entry = entry or self._create(store, split)
        if features is None:
            features = np.empty((len(indices), entry.width), np.float32)
        if not good.all():
            while True:
                with entry.computing(lambda: self.reporter.note("waiting for features that another job computes")):
                    if entry.exists():
                        good |= self._complete(entry, split, features, indices, ~good)
                        break
                entry = self._create(store, split)  # it was pruned while we waited; making it takes the lock
            self._prune(store)
        if not good.all():
            raise OSError(f"Features in {entry.folder} changed on disk right after they were written.")
        entry.touch()
        return features

    def entry(self, split: str) -> FeatureEntry | None:
        """Return what is stored of a split, or None."""
        return FeatureStore(Path(self.settings.dir)).find(self.key(split))

    def layout(self, split: str) -> Layout:
        """Return where the rows of samples lie in an entry."""
        return Layout(self.dataset.task.sizes(self.dataset.split(split).targets))

    @property
    def model_size(self) -> Mapping[str, float]:
        """Parameters and FLOPs of the model, kept beside its features: no network is built to know them."""
        entry = self.entry("test") or self.entry("train")
        kept = {} if entry is None else entry.label
        return {name: float(kept[name]) for name in SIZE if name in kept}

    def key(self, split: str) -> dict[str, Any]:
        """Return everything that the features of a split are a function of."""
        if self.model_identity is None:
            self.model_identity = self.source.identity()
        return {
            "version": FEATURE_VERSION,
            "model": self.model_identity,
            "images": self.dataset.split(split).sample_content,
            "precision": self.precision,
            "layer": "head_input",
        }

    def _create(self, store: FeatureStore, split: str) -> FeatureEntry:
        from scaling.features.forward import first_sample, width
        from scaling.models.size import size_of

        key = self.key(split)
        if folder := store.discard_damaged(key):
            self.reporter.note(f"what was stored in {folder} can't be read: its features are computed again")
        samples, backbone = self.dataset.split(split).samples, build(self.source)
        found = width(self.source, backbone, samples)
        size = size_of(self.source, backbone, first_sample(self.source, samples))
        label = {
            "model": self.source.id,
            "dataset": self.dataset.name,
            "split": split,
            "precision": self.precision,
            **{name: repr(value) for name, value in size.items()},
        }
        return store.create(key, int(self.layout(split).ends[-1]), found, label)

    def _complete(
        self, entry: FeatureEntry, split: str, features: NDArray[np.float32], indices: NDArray[np.int64],
        wanted: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Fill in the wanted rows, computing those that are missing or changed on disk; say which of them are good."""
        good = entry.fill(features, indices, wanted)  # another job may have been faster
        absent = wanted & ~good
        missing = indices[absent]
        damaged = missing[entry.present()[missing]]
        if len(damaged):
            self.reporter.note(
                f"{len(damaged)} feature rows in {entry.folder} were damaged on disk: they are computed again"
            )
            entry.forget(damaged)
        if len(missing):
            self._compute(entry, split, self.layout(split).samples(missing))
            good |= entry.fill(features, indices, absent)
        return good

    def _compute(self, entry: FeatureEntry, split: str, missing: NDArray[np.int64]) -> None:
        """Run the network over some samples and store their rows."""
        from scaling.features.forward import forward_pass
        from scaling.lightning import device_of, emulates_bf16

        device = device_of(self.trainer)
        if self.computed == 0 and self.precision.startswith("bf16") and emulates_bf16(device):
            self.reporter.note(
                f"this processor has no instructions for bf16: {self.precision} is emulated, far slower than 32-true"
            )
        samples = self.dataset.split(split).samples
        with self.reporter.stage(f"features of {split}", total=len(missing)) as advance:
            forward = forward_pass(self.source, self.precision, self.settings.batch_size, device.type != "cpu")
            trainer = {**self.trainer, "precision": self.precision}
            forward.compute(entry, samples, missing, self.settings.workers, trainer, advance, self.layout(split))
        self.computed += len(missing)
        for note in self.source.processor().reader(samples).notes():
            self.reporter.note(f"{split}: {note}")

    def _prune(self, store: FeatureStore) -> None:
        """Keep the store within its limit; what this data set and model need now stays."""
        if self.settings.size_limit is not None:
            both = {found.folder for part in ("train", "test") if (found := self.entry(part))}
            store.prune(self.settings.size_limit, keep=frozenset(both))
