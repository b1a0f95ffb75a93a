"""The command `python -m scaling.report`: runs → curves → figures, table and page, logged onto the parent run."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from scaling import terminal
from scaling.config import VERSION_BASE, config_path, plain, run_application, stops_on_user_errors
from scaling.core.curves import COLUMNS, Curve, curves_of, newest_by_fingerprint, rows
from scaling.core.errors import StoreError
from scaling.core.secrets import mask
from scaling.tracking import FINGERPRINT, KIND, REASON, RunStore, opened, to_point

FILES = ("curves.csv", "scaling.png", "upgradeability.png", "report.html")


@dataclass(frozen=True)
class Gap:
    """A grid point that a sweep asked for and that has no finished run."""

    model: str
    dataset: str
    adaptation: str
    n: int
    seed: int
    state: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.model} {self.dataset} {self.adaptation} n={self.n} seed={self.seed}"
        return f"{where}: {self.state}" + (f" ({self.reason.splitlines()[0]})" if self.reason else "")


@dataclass(frozen=True)
class Comparison:
    """A published figure beside the one that was measured; None where no point answers to it."""

    what: str
    source: str
    expected: float
    tolerance: float
    measured: float | None

    @property
    def verdict(self) -> str:
        """Say whether they agree."""
        if self.measured is None:
            return "not measured"
        return "agrees" if abs(self.measured - self.expected) <= self.tolerance + 1e-12 else "differs"


@dataclass(frozen=True)
class Report:
    """All that a report says."""

    experiment: str
    curves: list[Curve]
    gaps: list[Gap]
    duplicates: dict[str, int]
    comparisons: list[Comparison]
    parent: str | None


def collect(store: RunStore) -> Report:
    """Fetch the runs of an experiment and put them together.

    Raises:
        StoreError: the experiment has no finished grid point.
    """
    runs = store.runs()
    finished = [to_point(run) for run in runs if run.data.tags.get(KIND) == "point" and run.info.status == "FINISHED"]
    sweeps = sorted((run for run in runs if run.data.tags.get(KIND) == "sweep"), key=opened, reverse=True)
    grids = {run.info.run_id: json.loads(store.artifact(run.info.run_id, "grid.json") or "[]") for run in sweeps}
    gaps = find_gaps([entry for grid in grids.values() for entry in grid], runs)
    if not finished:
        why = f" {len(gaps)} points are missing, the first: {gaps[0]}." if gaps else ""
        raise StoreError(
            f"The MLflow experiment {store.experiment} has no finished grid point.{why}\n"
            "Run one first: python -m scaling.run -m n=1000,10000,100000"
        )
    points, duplicates = newest_by_fingerprint(finished)
    expected = [
        entry for run in sweeps for entry in json.loads(store.artifact(run.info.run_id, "expected.json") or "[]")
    ]
    curves = curves_of(points)
    return Report(
        experiment=store.experiment,
        curves=curves,
        gaps=gaps,
        duplicates=duplicates,
        comparisons=compare(expected, curves),
        parent=sweeps[0].info.run_id if sweeps else None,
    )


def find_gaps(grid: Sequence[Mapping[str, Any]], runs: Sequence[Any]) -> list[Gap]:
    """Return the points of all sweeps' grids that have no finished run, each once, with the newest run's state.

    A point that failed and was finished later with another setting, such as other weights, is no gap: a finished run
    of the same model, data set, adaptation, n and seed that started later stands for it.

    Args:
        grid: entries of the sweeps' grid.json.
        runs: all runs of the experiment, newest first.
    """
    newest: dict[str, Any] = {}
    done = set()
    finished_last: dict[tuple[str, ...], int] = {}
    for run in runs:
        fingerprint = run.data.tags.get(FINGERPRINT)
        newest.setdefault(fingerprint, run)
        if run.info.status == "FINISHED":
            done.add(fingerprint)
            finished_last.setdefault(_names(run.data.params), run.info.start_time)
    gaps = {}
    for entry in grid:
        if entry["fingerprint"] in done:
            continue
        run = newest.get(entry["fingerprint"])
        if run is not None and finished_last.get(_names(entry), 0) > run.info.start_time:
            continue
        state = run.info.status.lower() if run is not None else "missing"
        reason = run.data.tags.get(REASON, "") if run is not None else ""
        names = {key: entry[key] for key in ("model", "dataset", "adaptation", "n", "seed")}
        gaps[entry["fingerprint"]] = Gap(**names, state=state, reason=reason)
    return list(gaps.values())


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the five names of a point, of its params or its entry in a grid."""
    return tuple(str(entry.get(key)) for key in ("model", "dataset", "adaptation", "n", "seed"))


def compare(expected: Sequence[Mapping[str, Any]], curves: Sequence[Curve]) -> list[Comparison]:
    """Hold published figures against the curves.

    Args:
        expected: entries with model, dataset, adaptation, n, quantity (a point's attribute), value, tolerance
            and source. The measured value is the mean over seeds; curves that differ in a further setting are
            compared one by one.
    """
    comparisons = {}
    for entry in expected:
        names = {key: entry[key] for key in ("model", "dataset", "adaptation")}
        fitting = [c for c in curves if all(getattr(c.points[0], key) == value for key, value in names.items())]
        found = {curve.label: [getattr(p, entry["quantity"]) for p in curve.at(int(entry["n"]))] for curve in fitting}
        measured = {label: sum(values) / len(values) for label, values in found.items() if values}
        for label, value in measured.items() or [(" ".join(names.values()), None)]:
            what = f"{entry['quantity'].replace('_', ' ')}, {label}, n={entry['n']}"
            comparisons[what, entry["source"]] = Comparison(
                what=what,
                source=entry["source"],
                expected=float(entry["value"]),
                tolerance=float(entry["tolerance"]),
                measured=value,
            )
    return list(comparisons.values())


def write(report: Report, folder: Path) -> None:
    """Write curves.csv, the figures and the page; each file appears whole."""
    from scaling import figures

    folder.mkdir(parents=True, exist_ok=True)
    drafts = {name: folder / f".{name}" for name in FILES}
    with drafts["curves.csv"].open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(rows(report.curves))
    for name, draw in (
        ("scaling.png", figures.scaling_curves),
        ("upgradeability.png", figures.upgradeability_curves),
    ):
        page = figures.figure(draw, report.curves)
        page.savefig(drafts[name], dpi=160, format="png")
    drafts["report.html"].write_text(render(report, drafts), encoding="utf-8")
    for name, draft in drafts.items():
        draft.replace(folder / name)


def render(report: Report, figures: Mapping[str, Path]) -> str:
    """Return the page: one self-contained file."""
    import base64

    from jinja2 import Environment, PackageLoader, StrictUndefined

    images = {
        name.removesuffix(".png"): base64.b64encode(path.read_bytes()).decode()
        for name, path in figures.items()
        if name.endswith(".png")
    }
    environment = Environment(loader=PackageLoader("scaling", "templates"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("report.html.j2").render(
        report=report,
        images=images,
        summaries=[summary(curve) for curve in report.curves],
        flagged=flagged(report.curves),
    )


def summary(curve: Curve) -> dict[str, Any]:
    """Return a curve's table: one row an n, aggregated over seeds."""
    test, train, gap = (curve.band(name) for name in ("test_accuracy", "train_accuracy", "upgradeability"))
    interval = [curve.band(name).mean for name in ("test_low", "test_high")]
    entries = [
        {
            "n": n,
            "seeds": len(curve.at(n)),
            "train": train.mean[i],
            "test": test.mean[i],
            "interval": (interval[0][i], interval[1][i]),
            "range": (test.low[i], test.high[i]),
            "no_draw_variance": curve.no_draw_variance(n),
            "upgradeability": gap.mean[i],
            "runs": [point.run_id for point in curve.at(n)],
        }
        for i, n in enumerate(curve.n.tolist())
    ]
    return {"label": curve.label, "curve_id": curve.curve_id, "rows": entries}


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
    for line in flagged(report.curves):
        screen.print(f"flagged: {line}", markup=False)
    for item in report.comparisons:
        measured = "–" if item.measured is None else f"{item.measured:.4f}"
        screen.print(
            f"published: {item.what}: {measured}, expected {item.expected} ± {item.tolerance}: {item.verdict}",
            markup=False,
        )
    screen.print(f"report: {folder / 'report.html'}", markup=False)


def flagged(curves: Sequence[Curve]) -> list[str]:
    """Name the points whose score must not be averaged unseen, with the reason."""
    return [
        f"{curve.label} n={point.n} seed={point.seed}: {point.flag}"
        for curve in curves
        for point in curve.points
        if point.flag
    ]


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


if __name__ == "__main__":
    main()
