"""The command `python -m scaling.run`: one grid point, or with -m a grid of them."""

import signal
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from scaling import machine
from scaling.config import VERSION_BASE, config_path, plain, run_application, stops_on_user_errors


@hydra.main(version_base=VERSION_BASE, config_path=config_path(), config_name="config")
@stops_on_user_errors
def application(config: DictConfig) -> Any:
    """Run one grid point; in a multirun the sweeper calls its own function instead."""
    from scaling.auto import run
    from scaling.runs.point import PointRunner, Result
    from scaling.runs.spec import RunSpec
    from scaling.runs.sweep import Planned

    assert HydraConfig.get().mode == RunMode.RUN

    spec = RunSpec.read(plain(config, HydraConfig.get().overrides.task))

    def launch(runner: PointRunner, points: Sequence[Planned]) -> list[Result]:
        return [runner(item.spec, position, item.point.fingerprint) for position, item in enumerate(points)]

    run([((), spec)], launch)


def main() -> None:
    """Run the command; SIGTERM ends it as Ctrl-C does, so that no run is left RUNNING."""
    signal.signal(signal.SIGTERM, _terminate)
    run_application(application)


def _terminate(number: int, frame: Any) -> None:
    machine.stopping.set()
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
