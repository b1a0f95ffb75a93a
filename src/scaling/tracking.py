"""The only room that knows MLflow: open the store, claim, log and finish runs, and fetch them back."""

import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from filelock import FileLock, Timeout

from scaling import machine
from scaling.core.curves import Point, curves_of, newest_by_fingerprint
from scaling.core.errors import StoreError
from scaling.core.identity import GridPoint
from scaling.core.secrets import mask

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

DEFAULT_STORE = "mlruns/mlflow.db"
HEARTBEAT_SECONDS = 60.0
STALE_SECONDS = 600.0
LOCK_SECONDS = 120.0
SQLITE_PATIENCE = 30
PAGE = 1000

KIND, SWEEP, FINGERPRINT, CURVE = "scaling.kind", "scaling.sweep", "scaling.fingerprint", "scaling.curve_id"
HOST, PROCESS, HEARTBEAT, REASON = "scaling.host", "scaling.process", "scaling.heartbeat", "scaling.reason"
PRECISION_USED, POOL = "scaling.precision_used", "scaling.pool"
PARENT = "mlflow.parentRunId"
GONE = "its process was gone before it finished"
#: Params that say who a point is; all other params are settings by which curves may differ.
POINT_PARAMS = ("model", "dataset", "adaptation", "n", "n_requested", "seed")
SETTING_PREFIXES = ("model.", "dataset.", "adaptation.", "subset.", "precision")


def resolve_uri(uri: str | None) -> str:
    """Return the store's URI: the setting, else MLFLOW_TRACKING_URI, else SQLite below the working directory."""
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(DEFAULT_STORE).absolute()}"
    if "://" not in chosen or chosen.startswith("file:"):
        raise StoreError(
            f"tracking.uri={mask(chosen)}: MLflow keeps runs in a database or on a server, no longer in plain files.\n"
            "Use sqlite:///PATH/mlflow.db, postgresql://…, or http://…; or leave it out for mlruns/mlflow.db."
        )
    if chosen.startswith("sqlite:///"):
        return f"sqlite:///{Path(unquote(chosen.removeprefix('sqlite:///'))).absolute()}"
    return chosen


@dataclass(frozen=True)
class Sweep:
    """A parent run: its run id, and the id of the grid that it stands for."""

    run_id: str
    sweep_id: str


@dataclass(frozen=True)
class Claim:
    """What came of claiming a point: a run of our own, or the run of whoever has it."""

    run_id: str
    ours: bool
    finished: bool = False
    owner: str = ""


@dataclass(frozen=True)
class PointState:
    """What the store knows of a grid point: done, failed, running, or pending."""

    state: str
    run_id: str | None = None
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


class RunStore:
    """An MLflow experiment, opened for reading and writing grid points.

    Raises:
        StoreError: the store is not writable, is locked, or was written by another version of MLflow.
    """

    def __init__(self, uri: str | None = None, experiment: str = "scaling") -> None:
        self.uri = resolve_uri(uri)
        self.experiment = experiment

    # ---- opening -------------------------------------------------------------------------------------------

    @cached_property
    def client(self) -> "MlflowClient":
        """The MLflow client; the first use creates or checks the database, one process at a time."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import logging

        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with self.locked(), self.translated():
            # SQLite waits this long for a lock, so that a busy store loses no finished point.
            patience = f"?timeout={SQLITE_PATIENCE}" if self._database is not None else ""
            client = MlflowClient(tracking_uri=self.uri + patience)
            with few_retries():
                client.search_experiments(max_results=1)
        return client

    @cached_property
    def experiment_id(self) -> str:
        """The experiment's id; it is created where it is new."""
        with self.locked(), self.translated():
            found = self.client.get_experiment_by_name(self.experiment)
            if found is None:
                return self.client.create_experiment(
                    self.experiment,
                    artifact_location=self._artifact_location(),
                    tags={"mlflow.experimentKind": "custom_model_development"},
                )
        if found.lifecycle_stage == "deleted":
            raise StoreError(
                f"The MLflow experiment {self.experiment} is deleted.\n"
                "Restore it in the MLflow UI, or choose another name with tracking.experiment=."
            )
        return found.experiment_id

    @property
    def _database(self) -> Path | None:
        """The SQLite file, or None for a server."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    def _prepare_folder(self) -> None:
        if self._database is None:
            return
        folder = self._database.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The store's folder {folder} can't be made: {error.strerror}.\n"
                "Set tracking.uri=sqlite:///PATH/mlflow.db to another place."
            ) from error
        for path in (folder, self._database):
            if path.exists() and not os.access(path, os.W_OK):
                raise StoreError(
                    f"The store {self._database} is not writable: no write permission on {path}.\n"
                    "Give yourself the permission, or set tracking.uri=sqlite:///PATH/mlflow.db."
                )

    def _artifact_location(self) -> str | None:
        if self._database is None:
            return None  # the server decides
        return (self._database.parent / "artifacts" / self.experiment).absolute().as_uri()

    def has_database(self) -> bool:
        """Say whether there is a store; a server is taken to be there until it is asked."""
        return self._database is None or self._database.exists()

    def exists(self) -> bool:
        """Say whether there is a store with this experiment, without making either."""
        if not self.has_database():
            return False
        with self.translated():
            return self.client.get_experiment_by_name(self.experiment) is not None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store against other processes of this host: for its creation and for claims."""
        try:
            with self._lock.acquire(timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise StoreError(
                f"Another process has held {self._lock.lock_file} for {LOCK_SECONDS:.0f} s.\n"
                "Wait for it, or end it, and start again."
            ) from error

    @cached_property
    def _lock(self) -> FileLock:
        if self._database is not None:
            self._prepare_folder()
            return FileLock(self._database.with_suffix(".lock"))
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = f"scaling-{user}-{sha256(self.uri.encode()).hexdigest()[:16]}.lock"
        return FileLock(Path(tempfile.gettempdir()) / name)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn MLflow's and the database's errors into ones that say what to do."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except ModuleNotFoundError as error:
            raise StoreError(
                f"The store {mask(self.uri)} needs the Python package {error.name}, which is not installed here.\n"
                f"Install it: pip install {'psycopg[binary]' if error.name == 'psycopg' else error.name}"
            ) from error
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise StoreError(explain(error, mask(self.uri))) from error

    # ---- sweeps --------------------------------------------------------------------------------------------

    def open_sweep(self, sweep_id: str, name: str, tags: Mapping[str, str]) -> Sweep:
        """Return the parent run of a grid, reopened where the grid was run before."""
        experiment = self.experiment_id
        with self.locked(), self.translated():
            found = self._search(f"tags.`{KIND}` = 'sweep' and tags.`{SWEEP}` = '{sweep_id}'", limit=1)
            if found:
                run_id = found[0].info.run_id
                self.client.update_run(run_id, status="RUNNING")
                for key, value in self._owner_tags().items():
                    self.client.set_tag(run_id, key, value)
            else:
                everything = {KIND: "sweep", SWEEP: sweep_id, **tags, **self._owner_tags(), **source_tags()}
                run_id = self.client.create_run(experiment, run_name=name, tags=everything).info.run_id
            return Sweep(run_id, sweep_id)

    def finish_sweep(self, sweep: Sweep, status: str) -> None:
        """End the parent run; a grid that is run again reopens it."""
        with self.translated():
            self.client.set_terminated(sweep.run_id, status)

    def log_curves(self, run_id: str, points: Sequence[Point], labels: Mapping[str, str] | None = None) -> None:
        """Log mean accuracies over n, one metric a curve with step = n, so that the MLflow UI draws them."""
        from mlflow.entities import Metric

        now, metrics = int(time.time() * 1000), []
        for curve in curves_of(points):
            label = (labels or {}).get(curve.curve_id, curve.label)
            for quantity, name in (
                ("test_accuracy", "test/accuracy"), ("train_accuracy", "train/accuracy"),
                ("upgradeability", "upgradeability"),
            ):  # fmt: skip
                key = metric_key(f"{name}/{label}")
                logged = self._history(run_id, key)
                for n, value in zip(curve.n.tolist(), curve.band(quantity).mean.tolist(), strict=True):
                    if logged.get(n) != value:
                        metrics.append(Metric(key, value, now, n))
        with self.translated():
            for start in range(0, len(metrics), PAGE):
                self.client.log_batch(run_id, metrics=metrics[start : start + PAGE])

    def _history(self, run_id: str, key: str) -> dict[int, float]:
        return {metric.step: metric.value for metric in self.client.get_metric_history(run_id, key)}

    # ---- points --------------------------------------------------------------------------------------------

    def states(self, points: Iterable[GridPoint]) -> dict[str, PointState]:
        """Return what the store knows of each point, by fingerprint; one query a curve."""
        points = list(points)
        runs: dict[str, list[Run]] = {point.fingerprint: [] for point in points}
        if not self.exists():
            return {fingerprint: PointState("pending") for fingerprint in runs}
        with self.translated():
            for curve_id in sorted({point.curve_id for point in points}):
                for run in self._search(f"tags.`{KIND}` = 'point' and tags.`{CURVE}` = '{curve_id}'"):
                    fingerprint = run.data.tags.get(FINGERPRINT, "")
                    if fingerprint in runs:
                        runs[fingerprint].append(run)
        return {fingerprint: _state(found) for fingerprint, found in runs.items()}

    def claim(
        self, point: GridPoint, sweep: Sweep, params: Mapping[str, Any], tags: Mapping[str, str], force: bool
    ) -> Claim:
        """Open a run for a point, unless it is finished or another live process has it.

        Runs left RUNNING by a process that is gone are marked KILLED on the way.
        """
        experiment = self.experiment_id
        with self.locked(), self.translated():
            for run in self._search(f"tags.`{FINGERPRINT}` = '{point.fingerprint}'"):
                if run.info.status == "FINISHED" and not force:
                    return Claim(run.info.run_id, ours=False, finished=True)
                if run.info.status == "RUNNING":
                    if not is_stale(run.data.tags):
                        return Claim(run.info.run_id, ours=False, owner=_owner(run.data.tags))
                    self._end(run.info.run_id, "KILLED", GONE)
            name = f"{point.model} {point.dataset} {point.adaptation} n={point.n} seed={point.seed}"
            everything = {
                KIND: "point", FINGERPRINT: point.fingerprint, CURVE: point.curve_id, SWEEP: sweep.sweep_id,
                PARENT: sweep.run_id, **tags, **self._owner_tags(), **source_tags(),
            }  # fmt: skip
            run_id = self.client.create_run(experiment, run_name=name, tags=everything).info.run_id
            from mlflow.entities import Param

            self.client.log_batch(run_id, params=[Param(k, str(v)[:6000]) for k, v in params.items()])
            return Claim(run_id, ours=True)

    def close_stale(self) -> None:
        """Mark all runs of the experiment KILLED that a process left RUNNING when it was killed."""
        _ = self.experiment_id
        with self.locked(), self.translated():
            for run in self._search("attributes.status = 'RUNNING'"):
                if KIND in run.data.tags and is_stale(run.data.tags):
                    self._end(run.info.run_id, "KILLED", GONE)

    @contextmanager
    def heartbeat(self, run_id: str) -> Iterator[None]:
        """Keep saying that a run is alive, from a thread, until the context ends."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(HEARTBEAT_SECONDS):
                try:
                    self.client.set_tag(run_id, HEARTBEAT, f"{time.time():.0f}")
                except Exception:  # a beat that is missed is made up for by the next
                    continue

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def log_point(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        dataset: Mapping[str, str],
        folder: Path,
    ) -> None:
        """Log all that a finished point has to show; `folder` holds its artifacts.

        Args:
            dataset: name, digest, source and profile of the data set, logged as the run's input.
        """
        from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

        now = int(time.time() * 1000)
        step = int(metrics.get("n", 0))
        with self.translated():
            values = [Metric(metric_key(key), float(value), now, step) for key, value in metrics.items()]
            for start in range(0, len(values), PAGE):
                self.client.log_batch(run_id, metrics=values[start : start + PAGE])
            self.client.log_batch(
                run_id,
                params=[Param(key, str(value)[:6000]) for key, value in params.items()],
                tags=[RunTag(key, str(value)[:5000]) for key, value in tags.items()],
            )
            entity = Dataset(
                name=dataset["name"], digest=dataset["digest"][:36], source_type="local",
                source=dataset["source"], profile=dataset["profile"],
            )  # fmt: skip
            self.client.log_inputs(run_id, datasets=[DatasetInput(dataset=entity)])
            self.client.log_artifacts(run_id, str(folder))

    def log_value(self, run_id: str, name: str, value: float, step: int) -> None:
        """Log one value."""
        with self.translated():
            self.client.log_metric(run_id, metric_key(name), value, step=step)

    def finish(self, run_id: str) -> None:
        """Mark a run FINISHED: the last thing that happens to it."""
        with self.translated():
            self.client.set_terminated(run_id, "FINISHED")

    def fail(self, run_id: str, reason: str, folder: Path, status: str = "FAILED") -> None:
        """Mark a run FAILED or KILLED, with its reason as a tag and its log among the artifacts."""
        with self.translated():
            self.client.log_artifacts(run_id, str(folder))
            self._end(run_id, status, reason)

    def log_artifacts(self, run_id: str, folder: Path, path: str | None = None) -> None:
        """Keep all files of a folder with a run."""
        with self.translated():
            self.client.log_artifacts(run_id, str(folder), path)

    def _end(self, run_id: str, status: str, reason: str) -> None:
        self.client.set_tag(run_id, REASON, reason[:5000])
        self.client.set_terminated(run_id, status)

    # ---- reading -------------------------------------------------------------------------------------------

    def finished_points(self, curve_ids: Iterable[str] | None = None) -> list[Point]:
        """Return the finished points of the experiment, or of some curves, newest first."""
        condition = f"tags.`{KIND}` = 'point' and attributes.status = 'FINISHED'"
        with self.translated():
            if curve_ids is None:
                runs = self._search(condition)
            else:
                runs = [
                    run
                    for curve in sorted(set(curve_ids))
                    for run in self._search(f"{condition} and tags.`{CURVE}` = '{curve}'")
                ]
        return [to_point(run) for run in runs]

    def runs(self) -> "list[Run]":
        """Return all runs of the experiment, newest first."""
        with self.translated():
            return self._search("")

    def newest_sweep(self) -> "Run | None":
        """Return the parent run that was started last, in whichever experiment."""
        with self.translated():
            experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
            found = self.client.search_runs(
                experiments,
                f"tags.`{KIND}` = 'sweep'",
                max_results=1,
                order_by=["attributes.start_time DESC"],
            )
        return found[0] if found else None

    def experiment_name(self, experiment_id: str) -> str:
        """Return the name of an experiment."""
        with self.translated():
            return self.client.get_experiment(experiment_id).name

    def artifact(self, run_id: str, name: str) -> str | None:
        """Return the text of an artifact, or None where the run has none of that name."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                return Path(self.client.download_artifacts(run_id, name, folder)).read_text()
            except Exception:  # each kind of artifact store has an exception of its own for "not there"
                return None

    def _search(self, condition: str, limit: int | None = None) -> "list[Run]":
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], condition, max_results=limit or PAGE, page_token=token,
                order_by=["attributes.start_time DESC", "attributes.run_id ASC"],
            )  # fmt: skip
            found.extend(page)
            token = page.token
            if not token or (limit is not None and len(found) >= limit):
                return found

    def _owner_tags(self) -> dict[str, str]:
        return {HOST: machine.host(), PROCESS: machine.process() or "", HEARTBEAT: f"{time.time():.0f}"}


@contextmanager
def few_retries() -> Iterator[None]:
    """Let the first request to a server fail within seconds; later ones retry for minutes, as MLflow has it."""
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = before or "2"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def source_tags() -> dict[str, str]:
    """Return the state of the source code and the versions that run, as tags."""
    commit, dirty = machine.git_state()
    tags = {f"scaling.version.{name}": value for name, value in machine.versions().items()}
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "scaling.git_dirty": str(dirty).lower()}
    return tags


def metric_key(name: str) -> str:
    """Replace what MLflow doesn't allow in the name of a metric."""
    return re.sub(r"[^\w\-./: ]", "_", name)


def is_stale(tags: Mapping[str, str], now: float | None = None) -> bool:
    """Say whether a RUNNING run is nobody's any more: its process is gone, or it was silent for ten minutes."""
    if tags.get(HOST) == machine.host() and not machine.is_running(tags.get(PROCESS, "")):
        return True
    try:
        silent = (time.time() if now is None else now) - float(tags.get(HEARTBEAT, ""))
    except ValueError:
        return True
    return silent > STALE_SECONDS


def to_point(run: "Run") -> Point:
    """Read a finished run back into a point."""
    params, metrics, tags = run.data.params, run.data.metrics, run.data.tags
    return Point(
        curve_id=tags[CURVE],
        model=params["model"],
        dataset=params["dataset"],
        adaptation=params["adaptation"],
        n=int(params["n"]),
        n_requested=params.get("n_requested", params["n"]),
        seed=int(params["seed"]),
        train_accuracy=metrics["train/accuracy"],
        test_accuracy=metrics["test/accuracy"],
        fingerprint=tags[FINGERPRINT],
        run_id=run.info.run_id,
        test_low=metrics.get("test/accuracy_low", float("nan")),
        test_high=metrics.get("test/accuracy_high", float("nan")),
        pool=int(tags[POOL]) if POOL in tags else None,
        settings={key: value for key, value in params.items() if key.startswith(SETTING_PREFIXES)},
    )


def fetch_runs(experiment: str = "scaling", uri: str | None = None) -> Any:
    """Return the finished points of an experiment as a pandas DataFrame with the columns of curves.csv.

    Args:
        experiment: name of the MLflow experiment.
        uri: the store; None for MLFLOW_TRACKING_URI, else mlruns/mlflow.db.

    Of several runs of one point the newest is returned.
    """
    import pandas as pd

    from scaling.core.curves import COLUMNS, rows

    points, _ = newest_by_fingerprint(RunStore(uri, experiment).finished_points())
    return pd.DataFrame(rows(curves_of(points)), columns=list(COLUMNS))


def _state(runs: "Sequence[Run]") -> PointState:
    """Judge a point by its runs, newest first."""
    for run in runs:
        if run.info.status == "FINISHED":
            return PointState("done", run.info.run_id, metrics=run.data.metrics)
    for run in runs:
        if run.info.status == "RUNNING" and not is_stale(run.data.tags):
            return PointState("running", run.info.run_id, _owner(run.data.tags))
    for run in runs:
        if run.info.status in ("FAILED", "KILLED"):
            return PointState("failed", run.info.run_id, run.data.tags.get(REASON, ""))
    return PointState("pending")


def _owner(tags: Mapping[str, str]) -> str:
    return f"process {tags.get(PROCESS, '?').partition(':')[0]} on {tags.get(HOST, '?').partition('/')[0]}"


def explain(error: Exception, uri: str) -> str:
    """Say in at most three lines what is wrong with a store."""
    text = str(error)
    if "locked" in text and "database" in text:
        return f"The store {uri} is locked by another program.\nClose it (a database browser?) and start again."
    if "schema" in text or "Can't locate revision" in text:
        return (
            f"The store {uri} was written by another version of MLflow than the one installed here"
            f" ({machine.versions()['mlflow']}).\nWritten by a newer one: pip install -U mlflow."
            " By an older one: mlflow db upgrade URI, after a backup."
        )
    if "readonly" in text or "unable to open" in text:
        return f"The store {uri} is not writable.\nGive yourself the permission, or set tracking.uri=sqlite:///PATH/mlflow.db."
    if "API request to" in text:
        return f"The MLflow server {uri} does not answer.\nStart it, or set tracking.uri= to another store."
    first = (text.strip().splitlines() or [type(error).__name__])[0]
    return f"The store {uri} can't be used: {mask(first)[:300]}"
