"""One grid point as it is asked for: a config read once into typed, checked settings that can be sent to a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling.adapt.base import Adaptation
from scaling.config import build, build_dataset, compose, plain, resolve_precision
from scaling.core.errors import SettingError
from scaling.core.reading import Count, read
from scaling.core.subsets import FULL, Draw, parse_n
from scaling.datasets.base import DataSource
from scaling.features.given import PRECISION as GIVEN_PRECISION
from scaling.features.provider import FeatureSettings
from scaling.models.base import ModelSource
from scaling.runs.goal import ASKED, Goal
from scaling.tracking import spool

#: The strategy with which several processes share a training.
DISTRIBUTED = "ddp"
#: What may be set of the trainer where a network is trained: where it runs, and in which parts.
TRAINER = ("accelerator", "benchmark", "deterministic", "devices", "micro_batch", "num_nodes", "strategy")


@dataclass(frozen=True)
class Parts:
    """How a step's batch is divided: among processes, and into parts that are run one after the other."""

    processes: int = 1
    micro_batch: int | None = None

    def identity(self) -> dict[str, int | None]:
        """Return what may change the score of a training."""
        return {"micro_batch": self.micro_batch, "processes": self.processes}


@dataclass(frozen=True)
class Places:
    """Where a point's results, and what it takes long to compute, are kept.

    Attributes:
        uri: of the store of runs; None for the one that the environment names, else the folder's own.
        checkpoints: folder of trainings that are under way, and of results that wait for the store.
        seconds: between two checkpoints.
        keep_checkpoint: whether the fitted weights stay when a point is finished.
        keep_model: whether the fitted head is kept as an MLflow model.
        system_metrics: whether the run logs what the machine is doing.
    """

    uri: str | None
    experiment: str
    checkpoints: Path
    seconds: float
    keep_checkpoint: bool
    keep_model: bool
    system_metrics: bool

    @property
    def spool(self) -> Path:
        """Folder in which results are kept until they are logged."""
        return spool.below(self.checkpoints)


@dataclass(frozen=True)
class RunSpec:
    """The settings of one grid point; `read` makes it.

    Attributes:
        n: training samples that were asked for; None is all, and what n=auto chooses among.
        goal: what n=auto is asked; None where n is given.
        precision: the one that is really used; features that are given have theirs, and no forward pass.
        trainer: keyword arguments of the Lightning Trainer in one process, on one device, as frozen passes take it.
        force: whether a finished point is run again.
        plan: whether the grid is only planned.
        progress: whether bars may be drawn.
        expected: published figures that a report compares with.
        config: all settings as plain containers, as they are kept beside the result.
    """

    source: DataSource
    model: ModelSource
    adaptation: Adaptation
    n: int | None
    seed: int
    draw: Draw
    precision: str
    trainer: dict[str, Any]
    parts: Parts
    features: FeatureSettings
    places: Places
    force: bool
    plan: bool
    progress: bool
    expected: tuple[Any, ...]
    goal: Goal | None
    config: Mapping[str, Any]

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "RunSpec":
        """Read a resolved config.

        Raises:
            SettingError: a setting is unknown, or its value can't be used.
        """
        model, adaptation, trainer = build(config["model"]), build(config["adaptation"]), config["trainer"]
        accelerator, goal = str(trainer.get("accelerator", "auto")), Goal.of(config)
        return cls(
            source=build_dataset(config["dataset"]),
            model=model,
            adaptation=adaptation,
            n=None if goal else parse_n(config["n"]),
            seed=config["seed"],
            draw=config["subset"]["draw"],
            precision=GIVEN_PRECISION if model.given else resolve_precision(str(config["precision"]), accelerator),
            trainer=_in_one_process(trainer),
            parts=_parts(trainer, trains=adaptation.passes(1, 1) is not None),
            features=build({"_target_": "scaling.features.FeatureSettings", **config["features"]}),
            places=_places(config),
            force=config["force"],
            plan=config["plan"],
            progress=config["progress"],
            expected=tuple(config.get("expected") or ()),
            goal=goal,
            config=config,
        )

    def at(self, n: int | None, seed: int) -> "tuple[list[str], RunSpec]":
        """Return the settings of a point that n=auto chose, after the overrides that tell them from these."""
        values = {"n": FULL if n is None else n, "seed": seed} | dict.fromkeys(ASKED)
        overrides = [f"{name}={'null' if value is None else value}" for name, value in values.items()]
        return overrides, replace(self, n=n, seed=seed, goal=None, config={**self.config, **values})

    @property
    def accelerator(self) -> str:
        """What kind of device Lightning is asked for."""
        return str(self.trainer.get("accelerator", "auto"))


def composed(overrides: Sequence[str] = ()) -> RunSpec:
    """Return the settings of the point that these overrides describe, as the command line takes them.

    Raises:
        SettingError: see `RunSpec.read`.
    """
    return RunSpec.read(plain(compose(overrides), overrides))


def _in_one_process(trainer: Mapping[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in trainer.items() if key != "micro_batch"}
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


def _parts(trainer: Mapping[str, Any], trains: bool) -> Parts:
    if trains and (others := sorted(set(trainer) - set(TRAINER))):
        raise SettingError(
            f"{', '.join(f'trainer.{name}={trainer[name]}' for name in others)}: expected, where a network is"
            f" trained, only {', '.join(TRAINER)}; others could change the score without being part of the"
            " point.\nLeave it out. For gradient accumulation set trainer.micro_batch=."
        )
    processes = 1
    if trainer.get("strategy") == DISTRIBUTED:
        processes = read(Count, trainer.get("devices"), "with trainer.strategy=ddp trainer.devices")
    return Parts(processes, trainer.get("micro_batch"))


def _places(config: Mapping[str, Any]) -> Places:
    tracking, checkpoints = config["tracking"], config["checkpoints"]
    return Places(
        tracking["uri"], tracking["experiment"], Path(checkpoints["dir"]), checkpoints["seconds"],
        config["keep_checkpoint"], config["keep_model"], tracking["system_metrics"],
    )  # fmt: skip
