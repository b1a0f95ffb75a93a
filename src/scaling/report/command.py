"""The command: settings → store → files, screen and parent run."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scaling.config import VERSION_BASE, config_path, plain, run_application, stops_on_user_errors
from scaling.core.errors import StoreError, remedy
from scaling.core.secrets import mask
from scaling.findings import Settings
from scaling.metrics import metric_of
from scaling.report.collection import collect
from scaling.report.files import write
from scaling.report.screen import show
from scaling.terminal import console
from scaling.tracking import RunStore, spool

#: A single target, or number of labels, is taken for a list of one.
TYPES = {
    "metric": str | None, "threshold": float | None, "targets": float | tuple[float, ...],
    "labels": float | tuple[float, ...], "level": float, "output": str,
    "checkpoints.dir": str, "tracking.uri": str | None, "tracking.experiment": str | None,
}  # fmt: skip


@hydra.main(version_base=VERSION_BASE, config_path=config_path(), config_name="report")
@stops_on_user_errors
def application(config: DictConfig) -> None:
    """Make the report of an experiment."""
    settings = plain(config, HydraConfig.get().overrides.task, TYPES)
    asked = asked_of(settings)
    uri = settings["tracking"]["uri"]
    experiment = settings["tracking"]["experiment"] or newest_experiment(uri)
    store = RunStore(uri, experiment)
    store.must_exist()
    kept = spool.below(Path(settings["checkpoints"]["dir"]))
    for note in store.deliver_kept(kept).notes(kept):
        console().print(note, markup=False)
    spool.tidy(kept)
    report = collect(store, asked)
    folder = Path(settings["output"]) / report.experiment
    try:
        files = write(report, folder)
    except OSError as error:
        message = f"The report can't be written to {folder}: {error.strerror}.\n"
        raise StoreError(message + remedy(error, "set output= to another place.")) from error
    show(report, folder)
    if report.parent is not None:  # its curves as metrics were drawn when the sweep ended
        store.log_files(report.parent, files, "report")


def asked_of(settings: Mapping[str, Any]) -> Settings:
    """Return what is asked of the findings.

    Raises:
        SettingError: a setting that can't be.
    """
    metric = settings["metric"] and metric_of(settings["metric"]).key
    lists = [value if isinstance(value := settings[name], list) else [value] for name in ("targets", "labels")]
    targets, labels = (tuple(map(float, entries)) for entries in lists)
    threshold = settings["threshold"]
    return Settings(metric, None if threshold is None else float(threshold), targets, labels, float(settings["level"]))


def newest_experiment(uri: str | None) -> str:
    """Return the name of the experiment whose sweep was started last."""
    store = RunStore(uri)
    newest = store.newest_sweep() if store.has_database() else None
    if newest is None:
        raise StoreError(
            f"There is no sweep in {mask(store.uri)}.\n"
            "Run one first: python -m scaling.run -m n=1000,10000,100000; or name another store with tracking.uri=."
        )
    return store.experiment_name(newest.info.experiment_id)


def main() -> None:
    """Run the command; `experiment=NAME` is taken for `tracking.experiment=NAME`, as its runs were made with."""
    # To Hydra `experiment` is the group of committed grids, which a report doesn't compose.
    sys.argv[1:] = [f"tracking.{text}" if text.startswith("experiment=") else text for text in sys.argv[1:]]
    run_application(application, "report")
