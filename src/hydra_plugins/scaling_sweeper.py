"""A Hydra sweeper that runs a grid through `scaling.sweep`: finished points are dropped before jobs start.

Hydra imports this module in every application of the environment: everything heavy waits until it is used.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class GridSweeperConf:
    """Settings of the sweeper; `params` maps names to lists of values, as in Hydra's basic sweeper."""

    _target_: str = "hydra_plugins.scaling_sweeper.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] | None = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="scaling_grid", node=GridSweeperConf, provider="scaling")

#: Overrides that are plain values: points that differ only in them are composed once.
PLAIN_KEYS = ("n", "seed")


@dataclass(frozen=True)
class Task:
    """What a launcher runs in a job, in whichever process: the point runner on the job's config.

    Attributes:
        planned: fingerprints of the points, by the number of the job.
    """

    runner: Any
    planned: tuple[str, ...]

    def __call__(self, config: DictConfig) -> Any:
        """Run the point."""
        from hydra.core.hydra_config import HydraConfig

        from scaling.config import plain

        hydra = HydraConfig.get()
        return self.runner(plain(config, hydra.overrides.task), hydra.job.num, self.planned[hydra.job.num])


class GridSweeper(BasicSweeper):
    """Expands a grid as Hydra's basic sweeper does, and hands it to `scaling.sweep.run_grid`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a launcher needs; it is made once it is known what is to be run."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the grid of these overrides."""
        from scaling.auto import run
        from scaling.core.errors import SettingError
        from scaling.core.secrets import lift
        from scaling.overrides import alternatives, spelled
        from scaling.point import PointRunner, Result, failure_reason
        from scaling.sweep import Planned

        assert self.hydra_context is not None
        assert self.config is not None
        context, config = self.hydra_context, self.config
        if config.tracking.uri:
            config.tracking.uri = lift(str(config.tracking.uri))  # launchers send the config along, some in files
        parser = OverridesParser.create(config_loader=context.config_loader)
        overrides = parser.parse_overrides([*map(spelled, self._parse_config()), *arguments])
        values = {item.get_key_element(): alternatives(item) for item in overrides}  # of two, the last one
        if empty := [name for name, alternative in values.items() if not alternative]:
            raise SettingError(f"{empty[0]}= stands for no value at all, so that there is no point to run.")
        grid = [list(point) for point in itertools.product(*values.values())]
        in_process = config.hydra.launcher._target_.endswith(".BasicLauncher")

        def launch(runner: PointRunner, points: Sequence[Planned]) -> list[Result]:
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=context,
                task_function=Task(runner, tuple(item.point.fingerprint for item in points)),
                config=config,
            )
            returns = launcher.launch([list(item.overrides) for item in points], initial_job_idx=0)
            results = []
            for item, job in zip(points, returns, strict=False):
                try:
                    results.append(job.return_value)
                except Exception as error:  # of this job alone: the others have theirs
                    results.append(Result(item.point.fingerprint, "failed", failure_reason(error)))
            return results

        return run(self._compose(grid), launch, in_process)

    def _compose(self, grid: list[list[str]]) -> list[tuple[list[str], dict[str, Any]]]:
        """Resolve the settings of each point. Composing is slow (about 0.1 s): n and seed are only filled in."""
        from scaling.config import plain, quoted
        from scaling.core.secrets import lift

        assert self.hydra_context is not None
        assert self.config is not None
        parse = functools.cache(OverridesParser.create().parse_override)
        composed: dict[tuple[str, ...], DictConfig] = {}
        points = []
        for overrides in grid:
            filled = [text for text in overrides if text.partition("=")[0] in PLAIN_KEYS]
            rest = tuple(text for text in overrides if text not in filled)
            if rest not in composed:
                composed[rest] = self.hydra_context.config_loader.load_sweep_config(self.config, list(rest))
            for override in map(parse, filled):
                composed[rest][override.key_or_group] = override.value()
            settings = plain(composed[rest], overrides)
            tracking = settings["tracking"]
            if tracking["uri"] != (uri := tracking["uri"] and lift(str(tracking["uri"]))):
                settings["tracking"] = {**tracking, "uri": uri}
                overrides = [*overrides, f"tracking.uri={quoted(uri)}"]
            points.append((overrides, settings))
        return points
