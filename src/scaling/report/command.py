"""The command: settings → store → files, screen and parent run."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from scaling import terminal
from scaling.config import VERSION_BASE, config_path, plain, run_application, stops_on_user_errors
from scaling.core.errors import StoreError
from scaling.core.secrets import mask
from scaling.report.collect import Report, collect
from scaling.report.files import write
from scaling.tracking import RunStore


def show(report: Report, folder: Path) -> None:
    """Print the tables, what is missing or double, and where the files are."""
    screen = terminal.console()
    for table in terminal.curve_tables(report.curves):
        screen.print(table)
    for gap in report.gaps:
        screen.print(f"missing: {gap}", markup=False)
    for fingerprint, count in report.duplicates.items():
        screen.print(
            f"duplicate: {name_of(report, fingerprint)} has {count} finished runs; the newest counts",
            markup=False,
        )
    for item in report.comparisons:
        measured = "–" if item.measured is None else f"{item.measured:.4f}"
        screen.print(
            f"published: {item.what}: {measured}, expected {item.expected} ± {item.tolerance}: {item.verdict}",
            markup=False,
        )
    screen.print(f"report: {folder / 'report.html'}", markup=False)


def name_of(report: Report, fingerprint: str) -> str:
    """Return the words for a fingerprint."""
    return next(
        f"{curve.label} n={point.n} seed={point.seed}"
        for curve in report.curves
        for point in curve.points
        if point.fingerprint == fingerprint
    )


@hydra.main(version_base=VERSION_BASE, config_path=config_path(), config_name="report")
@stops_on_user_errors
def application(config: DictConfig) -> None:
    """Make the report of an experiment."""
    settings = plain(config)
    uri = settings["tracking"]["uri"]
    experiment = settings["tracking"]["experiment"] or newest_experiment(uri)
    store = RunStore(uri, experiment)
    store.must_exist()
    report = collect(store)
    folder = Path(settings["output"]) / report.experiment
    write(report, folder)
    show(report, folder)
    if report.parent is not None:  # its curves as metrics were drawn when the sweep ended
        store.log_artifacts(report.parent, folder, "report")


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
