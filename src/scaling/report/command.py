"""The command: settings → store → files, screen and parent run."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scaling import machine, terminal
from scaling.config import VERSION_BASE, config_path, plain, run_application, stops_on_user_errors
from scaling.core.errors import StoreError, remedy
from scaling.core.extrapolation.collecting import Price
from scaling.core.secrets import mask
from scaling.findings import Settings
from scaling.metrics import metric_of
from scaling.report.bundle import write_bundle
from scaling.report.collection import Report, collect
from scaling.report.description import described
from scaling.report.files import write
from scaling.report.screen import show
from scaling.tracking import RunStore, spool
from scaling.tracking.records import SWEEP, USER, is_of

#: A single target, or number of labels, is taken for a list of one.
TYPES = {
    "metric": str | None, "threshold": float | None, "targets": float | tuple[float, ...],
    "labels": float | tuple[float, ...], "price.label": float, "price.round": float, "price.short": float,
    "level": float, "output": str, "bundle": str | None,
    "sweep": str | None, "checkpoints.dir": str, "tracking.uri": str | None, "tracking.experiment": str | None,
}  # fmt: skip


@hydra.main(version_base=VERSION_BASE, config_path=config_path(), config_name="report")
@stops_on_user_errors
def application(config: DictConfig) -> None:
    """Make the report of an experiment."""
    settings = plain(config, HydraConfig.get().overrides.task, TYPES)
    asked = asked_of(settings)
    uri, experiment, sweep = settings["tracking"]["uri"], settings["tracking"]["experiment"], settings["sweep"]
    chosen = None if experiment and not sweep else choose(uri, experiment, sweep)
    store = RunStore(uri, chosen.experiment if chosen else experiment)
    store.must_exist()
    kept = spool.below(Path(settings["checkpoints"]["dir"]))
    for note in store.deliver_kept(kept).notes(kept):
        terminal.console().print(note, markup=False)
    spool.tidy(kept)
    parent = chosen.run_id if chosen and sweep else None
    report = collect(store, asked, parent, None if experiment or sweep else machine.user())
    if chosen is not None:
        terminal.console().print(chosen.said, markup=False, soft_wrap=True)
    folder = Path(settings["output"]) / report.experiment
    try:
        files = write(report, folder)
    except OSError as error:
        message = f"The report can't be written to {folder}: {error.strerror}.\n"
        raise StoreError(message + remedy(error, "set output= to another place.")) from error
    show(report, folder)
    if settings["bundle"]:
        bundle(report, files, store, Path(settings["bundle"]))
    if report.parent is not None:
        store.describe(report.parent, described(report.curves, report.findings))
        store.log_files(report.parent, files, "report")  # its curves as metrics were drawn when the sweep ended


def bundle(report: Report, files: Sequence[Path], store: RunStore, path: Path) -> None:
    """Write the reviewer's archive, and say where it is."""
    try:
        write_bundle(report, files, lambda point, name: store.read(point.run_id, point.artifacts, name), path)
    except OSError as error:
        message = f"bundle={path} can't be written: {error.strerror}.\n"
        raise StoreError(message + remedy(error, "set bundle= to another place.")) from error
    terminal.console().print(f"bundle: {path}; unpack it and run python recount.py")


def asked_of(settings: Mapping[str, Any]) -> Settings:
    """Return what is asked of the findings.

    Raises:
        SettingError: a setting that can't be.
    """
    metric = settings["metric"] and metric_of(settings["metric"]).key
    lists = [value if isinstance(value := settings[name], list) else [value] for name in ("targets", "labels")]
    targets, labels = (tuple(map(float, entries)) for entries in lists)
    threshold = settings["threshold"]
    return Settings(
        metric, None if threshold is None else float(threshold), targets, labels, Price(**settings["price"]),
        float(settings["level"]),
    )  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """The sweep that a report is of: its run, its experiment, and what to say of the choice."""

    run_id: str
    experiment: str
    said: str


def choose(uri: str | None, experiment: str | None, sweep: str | None) -> Chosen:
    """Return the sweep of an id, or of the beginning of one; without one, the sweep that this user started last.

    Raises:
        StoreError: there is none, or there are several.
    """
    store, user = RunStore(uri, experiment) if experiment else RunStore(uri), machine.user()
    if not store.has_database():
        found = None
    elif sweep:
        found = named(store, sweep, experiment)
    else:
        found = store.newest_sweep(user)
    if found is None:
        raise StoreError(
            f"There is no sweep in {mask(store.uri)}.\n"
            "Run one first: python -m scaling.run -m n=1000,10000,100000; or name another store with tracking.uri=."
        )
    name = store.experiment_name(found.info.experiment_id)
    owner = found.data.tags.get(USER)
    whose = f"there is none of {user}; the newest is of {owner}" if owner and not is_of(found, user) else ""
    return Chosen(
        found.info.run_id, name,
        f"sweep={found.data.tags[SWEEP]} of tracking.experiment={name}"
        + ("" if sweep else f", {whose or 'the newest of ' + user}; these two choose another"),
    )  # fmt: skip


def named(store: RunStore, sweep: str, experiment: str | None) -> Any:
    """Return the sweep whose id, or run, begins so; see `choose`."""
    there = [run for run in store.sweeps() if not experiment or run.info.experiment_id == store.experiment_id]
    found = [run for run in there if run.data.tags[SWEEP].startswith(sweep) or run.info.run_id.startswith(sweep)]
    if len(found) == 1:
        return found[0]
    if found:
        message = f"sweep={sweep}: {len(found)} sweeps begin so.\nSet more of its id, or tracking.experiment= too."
    else:
        known = ", ".join(run.data.tags[SWEEP] for run in there[:5])
        message = f"sweep={sweep}: no sweep in {mask(store.uri)} begins so.\nExpected one of {known or 'none'}."
    raise StoreError(message)


def main() -> None:
    """Run the command; `experiment=NAME` is taken for `tracking.experiment=NAME`, as its runs were made with."""
    # To Hydra `experiment` is the group of committed grids, which a report doesn't compose.
    sys.argv[1:] = [f"tracking.{text}" if text.startswith("experiment=") else text for text in sys.argv[1:]]
    run_application(application, "report")
