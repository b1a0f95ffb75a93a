"""One grid point, from settings to scores."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scaling import machine
from scaling.adapt.base import DIVERGED, Adaptation, Context, Outcome, Subset, check_network, positive_number
from scaling.config import build, build_dataset, known_precision, resolve_precision
from scaling.core.errors import SettingError
from scaling.core.identity import GridPoint, digest
from scaling.core.reporter import Reporter, SilentReporter
from scaling.core.subsets import FULL, effective_n, parse_n, subset_indices
from scaling.data.base import VECTORS, Dataset, DataSource, Vectors, load
from scaling.features.given import PRECISION as GIVEN_PRECISION
from scaling.features.given import GivenFeatures, check_match
from scaling.features.provider import FEATURE_VERSION, FeatureProvider, Features, FeatureSettings
from scaling.metrics import Score
from scaling.models.base import ModelSource
from scaling.training.recipe import TrainingSettings, whole

#: The strategy with which several processes share a training.
DISTRIBUTED = "ddp"
#: What may be set of the trainer where a network is trained: where it runs, and in which parts.
TRAINER = ("accelerator", "benchmark", "deterministic", "devices", "micro_batch", "num_nodes", "strategy")


@dataclass(frozen=True)
class Job:
    """The settings of one grid point, checked, and all that follows from them without computing anything.

    Attributes:
        settings: the resolved config as plain containers.
    """

    settings: Mapping[str, Any]

    @cached_property
    def seed(self) -> int:
        """The seed; 0 is one like any other."""
        seed = self.settings["seed"]
        if not whole(seed, 0):
            raise SettingError(f"seed={seed}: expected a whole number from 0 up.")
        return seed

    @cached_property
    def n_asked(self) -> int | None:
        """Samples asked for; None is all."""
        return parse_n(self.settings["n"])

    @cached_property
    def precision(self) -> str:
        """The precision that will really be used; features that are given have theirs, and no forward pass."""
        asked = str(self.settings["precision"])
        if self.given:
            return known_precision(asked) and GIVEN_PRECISION
        return resolve_precision(asked, str(self.trainer.get("accelerator", "auto")))

    @cached_property
    def trainer(self) -> dict[str, Any]:
        """Keyword arguments of the Lightning Trainer in one process: frozen passes run in one, on one device."""
        settings = {key: value for key, value in self.settings["trainer"].items() if key != "micro_batch"}
        strategy, devices = settings.get("strategy", "auto"), settings.get("devices", 1)
        if strategy == DISTRIBUTED:
            return {**settings, "strategy": "auto", "devices": 1}
        # Lightning would start the whole command again for each device.
        if strategy != "auto" or not (devices in (1, "1") or (isinstance(devices, list) and len(devices) == 1)):
            raise SettingError(
                f"trainer.strategy={strategy} trainer.devices={devices}: expected one device, or trainer=ddp"
                " trainer.devices=NUMBER for several."
            )
        return settings

    @cached_property
    def training(self) -> TrainingSettings:
        """How and where networks are trained, apart from what changes a score."""
        trainer, places = self.settings["trainer"], self.settings["checkpoints"]
        trains = self.adaptation.passes(1, 1) is not None
        if trains and (others := sorted(set(trainer) - set(TRAINER))):
            raise SettingError(
                f"{', '.join(f'trainer.{name}={trainer[name]}' for name in others)}: expected, where a network is"
                f" trained, only {', '.join(TRAINER)}; others could change the score without being part of the"
                " point.\nLeave it out. For gradient accumulation set trainer.micro_batch=."
            )
        processes, micro_batch = 1, trainer.get("micro_batch")
        if trainer.get("strategy") == DISTRIBUTED and not whole(processes := trainer.get("devices")):
            raise SettingError(f"trainer.devices={processes}: with trainer.strategy=ddp expected a number from 1 up.")
        if micro_batch is not None and not whole(micro_batch):
            raise SettingError(f"trainer.micro_batch={micro_batch}: expected a whole number from 1 up, or null.")
        if not positive_number(places["seconds"]) and places["seconds"] != 0:
            raise SettingError(f"checkpoints.seconds={places['seconds']}: expected a number from 0 up.")
        fingerprint = self.point.fingerprint
        return TrainingSettings(
            processes, micro_batch, Path(places["dir"]) / f"{fingerprint}.pt", fingerprint, places["seconds"],
            self.settings["keep_checkpoint"],
        )  # fmt: skip

    @cached_property
    def source(self) -> DataSource:
        """The settings of the data set."""
        return build_dataset(self.settings["dataset"])

    @cached_property
    def model(self) -> ModelSource:
        """The settings of the model."""
        return build(self.settings["model"])

    @property
    def given(self) -> bool:
        """Whether features come with the data set, so that no network is run."""
        return self.model.modality == VECTORS

    @cached_property
    def adaptation(self) -> Adaptation:
        """The settings of the adaptation."""
        return build(self.settings["adaptation"])

    @cached_property
    def features(self) -> FeatureSettings:
        """Where and how features are kept."""
        return build({"_target_": "scaling.features.FeatureSettings", **self.settings["features"]})

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, loaded and verified."""
        return load(self.source)

    @cached_property
    def subset(self) -> Subset:
        """The training samples of this point."""
        targets = self.dataset.train.targets
        strata = self.dataset.task.strata(targets)
        indices = subset_indices(strata, self.n_asked, self.seed, self.settings["subset"]["draw"])
        return Subset(indices, targets[indices], self.seed)

    @cached_property
    def model_identity(self) -> dict[str, Any]:
        """What of the model changes a score."""
        return self.model.identity()

    def provider(self, reporter: Reporter) -> Features:
        """Return where features come from: the data set itself, or a forward pass and its store."""
        if self.given:
            return GivenFeatures(self.dataset)
        return FeatureProvider(
            self.features, self.model, self.dataset, self.precision, self.trainer, reporter, self.model_identity
        )

    @cached_property
    def point(self) -> GridPoint:
        """Who this point is."""
        adaptation = self.adaptation
        # How features are computed is no part of what is given.
        computed = {} if self.given else {"features": FEATURE_VERSION}
        return GridPoint(
            model=self.model.id,
            dataset=self.dataset.name,
            adaptation=adaptation.name,
            n=effective_n(self.n_asked, len(self.dataset.train)),
            n_requested=FULL if self.n_asked is None else str(self.n_asked),
            seed=self.seed,
            identity={
                "dataset": self.dataset.identity(),
                "model": {**self.model_identity, **computed},
                "adaptation": {
                    "name": adaptation.name, "version": adaptation.METHOD_VERSION, **adaptation.identity(),
                    **adaptation.wording(self.dataset, self.model), **self._parts(),
                },
                "draw": self.settings["subset"]["draw"],
                "precision": self.precision,
            },
        )  # fmt: skip

    def _parts(self) -> dict[str, Any]:
        """Return how a step's batch is divided, where that changes the score."""
        trainer = self.settings["trainer"]
        processes = trainer.get("devices") if trainer.get("strategy") == DISTRIBUTED else 1
        divided = {"micro_batch": trainer.get("micro_batch"), "processes": processes}
        undivided = divided == {"micro_batch": None, "processes": 1}
        return {"parts": divided} if not undivided and self.adaptation.sees_parts(self.model) else {}

    def check(self) -> GridPoint:
        """Check everything that can be wrong before anything is computed; return the point.

        Raises:
            ScalingError: a setting, the data, the weights' file or their combination can't be used.
        """
        check_match(self.dataset, self.model)
        check_network(self.adaptation, self.model)
        point = self.point
        _ = self.features, self.subset, self.training
        self.adaptation.check(self.dataset, self.model, point.n)
        if self.settings["keep_model"]:
            self._check_kept()
        return point

    def _check_kept(self) -> None:
        """Refuse to keep a head where there is none, or where new samples could not be given as these were."""
        if not self.adaptation.keeps_head:
            raise SettingError(
                f"keep_model=true: adaptation={self.adaptation.name} has no head to keep; linear_probe has.\n"
                "The weights of a fine-tuned network are kept by keep_checkpoint=true."
            )
        samples = self.dataset.train.samples
        if isinstance(samples, Vectors) and samples.shifted:
            raise SettingError(
                f"keep_model=true: columns of {self.dataset.name} were shifted as they were read, as new samples would"
                f" not be: {', '.join(samples.shifted[:5])}.\nSubtract an offset of your own first."
            )

    def check_network(self) -> None:
        """Refuse a network that can't be made or can't take the images; stored features say that it can.

        Raises:
            ModelError: the weights can't be had or don't fit, or the network takes images of other sizes.
        """
        provider = self.provider(SilentReporter())
        if not self.model.trainable or not isinstance(provider, FeatureProvider):
            return
        if provider.entry("train") or provider.entry("test"):
            return
        from scaling.features.trial import check

        check(self.model, self.dataset.train.samples)

    def forget_checkpoint(self) -> None:
        """Delete what an interrupted training would go on from; called once the point is finished for good."""
        if self.training.checkpoint is not None and not self.training.keep:
            with suppress(OSError):  # a file that stays does no harm; the point is finished
                self.training.checkpoint.unlink(missing_ok=True)

    @cached_property
    def backbone_id(self) -> str:
        """Hash of what the speed of a forward pass depends on, besides the machine."""
        return digest({"model": self.model_identity, "precision": self.precision})[:32]

    @cached_property
    def machine(self) -> str:
        """The machine in a few words: runs on such a machine tell how long others will take there."""
        return f"{machine.processor()}, {machine.cores()} cores, accelerator={self.trainer.get('accelerator', 'auto')}"

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
    features = job.provider(reporter)
    context = Context(job.dataset, job.model, features, job.precision, job.trainer, reporter, job.training)
    outcome = job.adaptation.run(context, job.subset)
    task = job.dataset.task
    scores = task.scored(outcome.train, outcome.test)
    said = (task.flag(scores, outcome.train, outcome.test), outcome.tags.get(DIVERGED, ""))
    return Evaluation(scores, outcome, features.computed, features.model_size, "; ".join(filter(None, said)))
