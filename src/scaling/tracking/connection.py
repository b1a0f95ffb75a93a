"""The connection to an MLflow store: which one, its creation under a lock, and errors that say what to do."""

import errno
import gc
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from email.utils import parsedate_to_datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from scaling import locks, machine
from scaling.core.errors import StoreError, reason_of, remedy
from scaling.core.secrets import HIDDEN, cleanse, learn, mask, restore

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.tracking import MlflowClient

#: What a store's address may begin with.
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")
DEFAULT_STORE = "mlruns/mlflow.db"
LOCK_SECONDS = 600.0  # longer than a client that has the lock asks a server again
SQLITE_PATIENCE = 30
PAGE = 1000
ELSEWHERE = "set tracking.uri=sqlite:///PATH/mlflow.db to another place."
TEMPORARY = "Set TMPDIR= to a folder on a local disk."


def resolve_uri(uri: str | None) -> str:
    """Return the store's URI: the setting, else MLFLOW_TRACKING_URI, else SQLite below the working directory."""
    chosen = (
        restore(uri or "") or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(DEFAULT_STORE).absolute()}"
    )
    learn(chosen)
    if HIDDEN in chosen:
        raise StoreError(
            f"tracking.uri={chosen}: its credentials were left out, and are not in this process's environment.\n"
            "Set MLFLOW_TRACKING_URI to the whole URI, and leave tracking.uri= out."
        )
    if not chosen.isprintable():  # the undecoded bytes of a name are not
        raise StoreError(
            f"tracking.uri={mask(chosen)}: this locale can't read it whole ({sys.getfilesystemencoding()}).\n"
            "Set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8."
        )
    scheme = chosen.partition("://")[0].partition("+")[0]
    if "://" not in chosen or scheme not in SCHEMES:
        files = "://" not in chosen or scheme == "file"
        raise StoreError(
            f"tracking.uri={mask(chosen)}: MLflow keeps runs in a database or on a server, "
            + ("no longer in plain files.\n" if files else f"and knows none by {mask(scheme)}://.\n")
            + "Use sqlite:///PATH/mlflow.db, postgresql://…, or http://…; or leave it out for mlruns/mlflow.db."
        )
    if chosen.startswith("sqlite:///"):
        if set("?%") & set(chosen):
            raise StoreError(
                f"tracking.uri={mask(chosen)}: the path of a SQLite store can't hold ? or %.\n"
                "Set tracking.uri=sqlite:///PATH/mlflow.db to another place."
            )
        return f"sqlite:///{Path(chosen.removeprefix('sqlite:///')).absolute()}"
    return chosen


class Connection:
    """An MLflow experiment in its store; opened when it is first used.

    Attributes:
        patient: whether the first request, too, waits for minutes for a server, as it should within a sweep.

    Raises:
        StoreError: the store is not writable, is locked, or was written by another version of MLflow.
    """

    def __init__(self, uri: str | None = None, experiment: str = "scaling", patient: bool = False) -> None:
        self.uri = resolve_uri(uri)
        self.experiment = experiment
        self.patient = patient

    @cached_property
    def client(self) -> "MlflowClient":
        """The MLflow client; the first use creates or checks the database, one process at a time."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            # Errors arrive as exceptions, which say it shorter.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with self.locked(), self.translated():
            # SQLite waits this long for a lock, so that a busy store loses no finished point.
            patience = f"?timeout={SQLITE_PATIENCE}" if self._database is not None else ""
            client = MlflowClient(tracking_uri=self.uri + patience)
            with nullcontext() if self.patient else few_retries():
                client.search_experiments(max_results=1)
        return client

    @cached_property
    def experiment_id(self) -> str:
        """The experiment's id; it is created where it is new."""
        with self.locked(), self.translated():
            found = self.client.get_experiment_by_name(self.experiment) or self._create_experiment()
        if found.lifecycle_stage == "deleted":
            raise StoreError(
                f"The MLflow experiment {self.experiment} is deleted.\n"
                "Restore it in the MLflow UI, or choose another name with tracking.experiment=."
            )
        return found.experiment_id

    def _create_experiment(self) -> "Experiment":
        """Create the experiment; one that another client created meanwhile, or we in spite of an error, is taken."""
        from mlflow.exceptions import MlflowException

        tags = {"mlflow.experimentKind": "custom_model_development"}
        try:
            return self.client.get_experiment(
                self.client.create_experiment(self.experiment, self._artifact_location(), tags)
            )
        except MlflowException:
            found = self.client.get_experiment_by_name(self.experiment)
            if found is None:
                raise
            return found

    def clock(self) -> float:
        """Return the time, in seconds since the epoch, by a clock that all hosts with this store share.

        That is the file system's, the server's, or the database's; this host's own where those give none.
        """
        with self.translated():
            if self._database is not None:
                touched = self._database.with_suffix(".lock")
                touched.touch()
                return touched.stat().st_mtime
            return server_clock(self.uri) or time.time()

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
                f"The store's folder {folder} can't be made: {error.strerror}.\n" + remedy(error, ELSEWHERE)
            ) from error
        for path in (folder, self._database):
            if path.exists() and not os.access(path, os.W_OK):
                read_only = os.statvfs(path).f_flag & os.ST_RDONLY
                why = "the file system is read-only" if read_only else f"no write permission on {path}"
                refused = OSError(errno.EROFS if read_only else errno.EACCES, why)
                raise StoreError(f"The store {self._database} is not writable: {why}.\n" + remedy(refused, ELSEWHERE))

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

    def must_exist(self) -> None:
        """Raise StoreError where there is no such store or experiment, instead of making it."""
        if not self.exists():
            raise StoreError(
                f"There is no MLflow experiment {self.experiment} in {mask(self.uri)}.\n"
                "Run one first: python -m scaling.run -m n=1000,10000,100000; or name another store with tracking.uri=."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store against other processes of this host: for its creation and for claims."""
        try:
            self._lock.acquire(timeout=LOCK_SECONDS)
        except Timeout as error:
            raise StoreError(
                f"Another process has held {self._lock.lock_file} for {LOCK_SECONDS:.0f} s.\n"
                "Wait for it, or end it, and start again."
            ) from error
        except OSError as error:
            raise StoreError(
                f"The store's lock {self._lock.lock_file} can't be taken: {error.strerror}.\n"
                + remedy(error, ELSEWHERE)
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    @cached_property
    def _lock(self) -> FileLock:
        if self._database is not None:
            self._prepare_folder()
            return locks.file_lock(self._database.with_suffix(".lock"))
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = f"scaling-{user}-{sha256(mask(self.uri).encode()).hexdigest()[:16]}.lock"
        return locks.file_lock(Path(tempfile.gettempdir()) / name, TEMPORARY)

    def _lockless(self) -> str:
        """Say where locks are missing: beside the database, or in the temporary folder, which MLflow uses too."""
        beside = "" if self._database is None else locks.lockless(self._database.parent)
        return beside or locks.lockless(Path(tempfile.gettempdir()), TEMPORARY)

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
            cleanse(error)
            raise StoreError(self._lockless() or explain(error, mask(self.uri))) from error

    def search(self, condition: str, limit: int | None = None) -> "list[Run]":
        """Return the runs of the experiment that meet a condition, newest first, page by page."""
        found: list[Run] = []
        token = None
        while True:
            with uncollected():
                page = self.client.search_runs(
                    [self.experiment_id], condition, max_results=limit or PAGE, page_token=token,
                    order_by=["attributes.start_time DESC", "attributes.run_id ASC"],
                )  # fmt: skip
            found.extend(page)
            token = page.token
            if not token or (limit is not None and len(found) >= limit):
                return found


def server_clock(uri: str) -> float | None:
    """Return the time as a server or a database tells it, or None where it tells none that names its time zone."""
    if not uri.startswith("http"):
        from sqlalchemy import NullPool, create_engine, func, select
        from sqlalchemy.exc import NoSuchModuleError

        try:
            with create_engine(uri, poolclass=NullPool).connect() as database:
                now = database.scalar(select(func.current_timestamp()))
        except NoSuchModuleError:  # no database
            return None
        return now.timestamp() if now and now.tzinfo else None
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    told = http_request(get_default_host_creds(uri), "/health", "GET").headers.get("Date")
    return parsedate_to_datetime(told).timestamp() if told else None


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause Python's collector, which would go through the many objects of a page of runs again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def few_retries() -> AbstractContextManager[None]:
    """Let the first request to a server fail within seconds; later ones retry for minutes, as MLflow has it."""
    return machine.environment(MLFLOW_HTTP_REQUEST_MAX_RETRIES="2")


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
    if "mlflow-artifacts URI" in text:
        return (
            f"The store {uri} keeps the files of this experiment on an MLflow server.\n"
            "Set tracking.uri=http://… to that server, or tracking.experiment= to another name."
        )
    if "readonly" in text or "unable to open" in text:
        return f"The store {uri} is not writable.\nGive yourself the permission, or set tracking.uri=sqlite:///PATH/mlflow.db."
    if answer := re.search(r"failed with error code (\d+)", text):
        refused = answer[1] in ("401", "403")
        return f"The MLflow server {uri} answers with {answer[1]}.\n" + (
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what it takes."
            if refused
            else "Check tracking.uri=, its path too, and what stands before the server."
        )
    if "SSLError" in text:
        return (
            f"The MLflow server {uri} can't be asked by https.\n"
            "Its certificate is not known here (REQUESTS_CA_BUNDLE=FILE), or it has none: then take http:// for https://."
        )
    if "API request to" in text or "Max retries exceeded" in text:
        return f"The MLflow server {uri} does not answer.\nStart it, or set tracking.uri= to another store."
    return f"The store {uri} can't be used: {mask(reason_of(error))[:300]}"
