"""One grid point, from its settings to its scores."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scaling import machine
from scaling.adapt.base import DIVERGED, Context, Outcome, Subset, check_network
from scaling.core.errors import SettingError
from scaling.core.identity import GridPoint, digest
from scaling.core.reporter import Reporter, SilentReporter
from scaling.core.subsets import FULL, effective_n, subset_indices
from scaling.datasets.base import Dataset, load
from scaling.features.given import GivenFeatures, check_match
from scaling.features.provider import FEATURE_VERSION, FeatureProvider, Features
from scaling.metrics import Score
from scaling.modalities.vectors import Vectors
from scaling.runs.spec import Parts, RunSpec
from scaling.training.recipe import TrainingSettings


@dataclass(frozen=True)
class Job:
    """A grid point with its data, and all that follows from both without computing anything."""

    spec: RunSpec

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, loaded and verified."""
        return load(self.spec.source)

    @cached_property
    def subset(self) -> Subset:
        """The training samples of this point."""
        targets = self.dataset.train.targets
        strata = self.dataset.task.strata(targets)
        indices = subset_indices(strata, self.spec.n, self.spec.seed, self.spec.draw)
        return Subset(indices, targets[indices], self.point.seed)

    @cached_property
    def model_identity(self) -> dict[str, Any]:
        """What of the model changes a score."""
        return self.spec.model.identity()

    def provider(self, reporter: Reporter) -> Features:
        """Return where features come from: the data set itself, or a forward pass and its store."""
        spec = self.spec
        if spec.model.given:
            return GivenFeatures(self.dataset)
        return FeatureProvider(
            spec.features, spec.model, self.dataset, spec.precision, spec.trainer, reporter, self.model_identity
        )

    @cached_property
    def point(self) -> GridPoint:
        """Who this point is."""
        spec, adaptation = self.spec, self.spec.adaptation
        n = effective_n(spec.n, len(self.dataset.train))
        every_seed = n == len(self.dataset.train) and not adaptation.draws
        # How features are computed is no part of what is given.
        computed = {} if spec.model.given else {"features": FEATURE_VERSION}
        parts = spec.parts != Parts() and adaptation.sees_parts(spec.model)
        return GridPoint(
            model=spec.model.id,
            dataset=self.dataset.name,
            adaptation=adaptation.name,
            n=n,
            n_requested=FULL if spec.n is None else str(spec.n),
            seed=0 if every_seed else spec.seed,
            revision=adaptation.revision(spec.model, n),
            every_seed=every_seed,
            identity={
                "dataset": self.dataset.identity(),
                "model": {**self.model_identity, **computed},
                "adaptation": {
                    "name": adaptation.name, "version": adaptation.METHOD_VERSION, **adaptation.identity(),
                    **adaptation.wording(self.dataset, spec.model),
                    **({"parts": spec.parts.identity()} if parts else {}),
                },
                "draw": spec.draw,
                "precision": spec.precision,
            },
        )  # fmt: skip

    @property
    def training(self) -> TrainingSettings:
        """How and where networks are trained, apart from what changes a score."""
        parts, places, fingerprint = self.spec.parts, self.spec.places, self.point.fingerprint
        return TrainingSettings(
            parts.processes, parts.micro_batch, places.checkpoints / f"{fingerprint}.pt", fingerprint, places.seconds,
            places.keep_checkpoint,
        )  # fmt: skip

    def check(self) -> GridPoint:
        """Check everything that can be wrong before anything is computed; return the point.

        Raises:
            ScalingError: a setting, the data, the weights' file or their combination can't be used.
        """
        model, adaptation = self.spec.model, self.spec.adaptation
        check_match(self.dataset, model)
        check_network(adaptation, model)
        _ = self.subset
        adaptation.check(self.dataset, model, self.point.n)
        if self.spec.places.keep_model:
            self._check_kept()
        return self.point

    def _check_kept(self) -> None:
        """Refuse to keep a head where there is none, or where new samples could not be given as these were."""
        if not self.spec.adaptation.keeps_head:
            raise SettingError(
                f"keep_model=true: adaptation={self.spec.adaptation.name} has no head to keep; linear_probe has.\n"
                "The weights of a fine-tuned network are kept by keep_checkpoint=true."
            )
        samples = self.dataset.train.samples
        if isinstance(samples, Vectors) and samples.shifted:
            raise SettingError(
                f"keep_model=true: columns of {self.dataset.name} were shifted as they were read, as new samples would"
                f" not be: {', '.join(samples.shifted[:5])}.\nSubtract an offset of your own first."
            )

    def check_network(self) -> None:
        """Refuse a network that can't be made or can't take the samples; stored features say that it can.

        Raises:
            ModelError: the weights can't be had or don't fit, or the network takes other samples.
        """
        provider = self.provider(SilentReporter())
        if not self.spec.model.trainable or not isinstance(provider, FeatureProvider):
            return
        if provider.entry("train") or provider.entry("test"):
            return
        from scaling.features.trial import check

        check(self.spec.model, self.dataset.train.samples)

    def forget_checkpoint(self) -> None:
        """Delete what an interrupted training would go on from; called once the point is finished for good."""
        if self.training.checkpoint is not None and not self.training.keep:
            with suppress(OSError):  # a file that stays does no harm; the point is finished
                self.training.checkpoint.unlink(missing_ok=True)

    @cached_property
    def backbone_id(self) -> str:
        """Hash of what the speed of a forward pass depends on, besides the machine."""
        return digest({"model": self.model_identity, "precision": self.spec.precision})[:32]

    @cached_property
    def machine(self) -> str:
        """The machine in a few words: runs on such a machine tell how long others will take there."""
        return f"{machine.processor()}, {machine.cores()} cores, accelerator={self.spec.accelerator}"

    def subset_digest(self) -> str:
        """Return the hash of which samples are in the subset."""
        return digest(self.subset.indices.tolist())[:32]


@dataclass(frozen=True)
class Evaluation:
    """What came out of a grid point.

    Attributes:
        flag: what a reader of the score must know before it is averaged with others; empty where there is nothing.
    """

    score: Score
    outcome: Outcome
    features_computed: int
    model_size: Mapping[str, float]
    flag: str


def evaluate_job(job: Job, reporter: Reporter | None = None) -> Evaluation:
    """Evaluate one grid point.

    Raises:
        ScalingError: see `Job.check` and `Job.check_network`; also where the disk is full.
    """
    reporter = reporter or SilentReporter()
    machine.keep_freed_memory()
    with reporter.stage("load"):
        job.check()
        job.check_network()
    spec, task, features = job.spec, job.dataset.task, job.provider(reporter)
    context = Context(job.dataset, spec.model, features, spec.precision, spec.trainer, reporter, job.training)
    outcome = spec.adaptation.run(context, job.subset)
    scores = task.scored(outcome.train, outcome.test)
    said = (task.flag(scores, outcome.train, outcome.test), outcome.tags.get(DIVERGED, ""))
    return Evaluation(scores, outcome, features.computed, features.model_size, "; ".join(filter(None, said)))
