"""Bring what finished points have to show to the store, at once or later from the spool; each write may be repeated."""

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.core.errors import StoreError
from scaling.tracking import artifacts, records, spool
from scaling.tracking.claims import Claims, shown

if TYPE_CHECKING:
    from mlflow.entities import Run

ELSEWHERE = "another run finished the point meanwhile"


@dataclass(frozen=True)
class Delivered:
    """What came of the results in the spool.

    Attributes:
        logged: fingerprints of the points that are finished now.
        others: results that belong to another store or experiment.
        stuck: what stood in the way of the rest, by fingerprint, or by the folder's name where it can't be read.
    """

    logged: tuple[str, ...] = ()
    others: int = 0
    stuck: Mapping[str, str] = field(default_factory=dict)

    def notes(self, root: Path) -> list[str]:
        """Say what became of the results in the spool below `root`."""
        notes = [f"note: {reason}" for reason in self.stuck.values()]
        if self.logged:
            notes.append(f"results that were kept in {root} and are logged now: {len(self.logged)}")
        if self.others:
            notes.append(f"note: results in {root} that belong to another store or experiment: {self.others}")
        return notes


class Delivery(Claims):
    """An MLflow experiment to which results are brought."""

    def log_point(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        dataset: Mapping[str, str],
        folder: Path,
        ended: int | None = None,
        values: Sequence[spool.Value] = (),
    ) -> None:
        """Log all that a finished point has to show; `folder` holds its artifacts.

        Args:
            dataset: name, digest, source and profile of the data set, logged as the run's input.
            ended: when the metrics were computed, in milliseconds since the epoch; None for now.
            values: those reported along the way, which may be logged already.
        """
        from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

        ended = ended or int(time.time() * 1000)
        step = int(metrics.get("n", 0))
        with self.translated():
            found = [Metric(key, float(value), ended, step) for key, value in records.distinct_keys(metrics).items()]
            found += [Metric(records.metric_key(name), value, when, at) for name, value, at, when in values]
            self.client.log_batch(  # which splits what is too much at once
                run_id,
                metrics=found,
                params=[Param(key, shown(value, 6000, words=False)) for key, value in params.items()],
                tags=[RunTag(key, shown(value)) for key, value in tags.items()],
            )
            entity = Dataset(
                name=shown(dataset["name"], words=False), digest=dataset["digest"][:36], source_type="local",
                source=shown(dataset["source"]), profile=dataset["profile"],
            )  # fmt: skip
            self.client.log_inputs(run_id, datasets=[DatasetInput(dataset=entity)])
        self.log_artifacts(run_id, folder)

    def log_value(self, run_id: str, name: str, value: float, step: int, when: int | None = None) -> None:
        """Log one value; the same again adds nothing, where it is said when it was reported."""
        with self.translated():
            self.client.log_metric(run_id, records.metric_key(name), value, timestamp=when, step=step)

    def finish(self, run_id: str, ended: int | None = None) -> None:
        """Mark a run FINISHED: the last thing that happens to it."""
        with self.translated():
            self.client.set_terminated(run_id, "FINISHED", ended)

    def log_artifacts(self, run_id: str, folder: Path, path: str | None = None) -> None:
        """Keep all files of a folder with a run."""
        with self.translated():
            self._artifacts_of(run_id).log_artifacts(str(folder), path)

    def log_files(self, run_id: str, files: Iterable[Path], path: str) -> None:
        """Keep some files with a run."""
        with self.translated():
            for file in files:
                self._artifacts_of(run_id).log_artifact(str(file), path)

    def _artifacts_of(self, run_id: str) -> Any:
        """Return MLflow's access to a run's artifacts, where they lie now."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self.client.get_run(run_id).info.artifact_uri or ""
        folder = artifacts.folder_of(uri, self._database)
        return get_artifact_repository(uri if folder is None else folder.as_uri(), tracking_uri=self.uri)

    def bring(self, result: spool.Result, folder: Path, root: Path) -> str:
        """Keep a result in the spool below `root`, and log it; say why it could not be logged, or nothing.

        Raises:
            StoreError: it could neither be logged nor kept.
        """
        try:
            entry = spool.keep(root, result, folder)
        except OSError:  # there is no room, or no right to write: it is logged all the same
            with tempfile.TemporaryDirectory() as place:
                self.deliver(result, spool.keep(Path(place), result, folder))
            return ""
        try:
            self.deliver(result, entry)
        except StoreError as error:
            return not_logged(error, entry)
        return ""

    def deliver(self, result: spool.Result, entry: Path) -> None:
        """Log a result that is kept, finish its run, and forget the result.

        Raises:
            StoreError: it could not be logged; it stays where it is kept.
        """
        started = time.monotonic()
        self.log_point(
            result.run_id, result.metrics, result.params, result.tags, result.dataset, entry / "artifacts",
            result.ended, result.values,
        )  # fmt: skip
        with suppress(StoreError):
            self.log_value(result.run_id, "time/logging_s", time.monotonic() - started, int(result.metrics["n"]))
        with self.translated():
            if self.settle(result.run_id, records.END, records.FINISHED) != records.FINISHED:
                raise StoreError("Its run was taken for dead meanwhile.")
        self.finish(result.run_id, result.ended)
        spool.forget(entry)

    def deliver_kept(self, root: Path) -> Delivered:
        """Log what an outage left in the spool, unless its point was finished, or is run, by another meanwhile.

        Raises:
            StoreError: the store can't be reached.
        """
        logged, others, stuck = [], 0, {}
        for entry in spool.entries(root):
            try:
                result = spool.read(entry)
            except FileNotFoundError:  # another process delivered it
                continue
            except (OSError, ValueError, TypeError) as error:
                stuck[entry.name] = f"{entry / spool.NAME} can't be read ({error}): delete the folder"
                continue
            run = self._run(result.run_id)
            if run is None:
                others += 1
                continue
            try:
                entry, ready = self._owned(run, result, entry)
                if ready:
                    self.deliver(spool.read(entry), entry)
            except StoreError as error:
                if entry.exists():
                    stuck[result.fingerprint] = not_logged(error, entry)
            finally:
                records.held.discard(entry.name)
            if not entry.exists():
                logged.append(result.fingerprint)
        return Delivered(tuple(logged), others, stuck)

    def _owned(self, run: "Run", result: spool.Result, entry: Path) -> tuple[Path, bool]:
        """Return where a result lies, and whether it is to be logged now: not while, nor after, another has its point.

        A run that was given up can't be finished any more: then the point is claimed anew, for the result.
        """
        info, params = run.info, run.data.params
        if info.status == "RUNNING" and params.get(records.END) != records.GIVEN_UP:
            return entry, True
        if info.status == "FINISHED":
            spool.forget(entry)
            return entry, False
        tags = {key: value for key, value in run.data.tags.items() if key not in (records.TICKET, records.REASON)}
        params = {key: value for key, value in params.items() if key not in (records.CLAIM, records.END)}
        claim = self.open_point(result.fingerprint, info.run_name, tags, params, result.forced)
        with self.translated():
            if claim.ours:
                kept = spool.keep(entry.parent, replace(result, run_id=claim.run_id), entry / "artifacts")
                spool.forget(entry)
                self._end(info.run_id, "KILLED", f"its result is logged in run {claim.run_id}")
                self.client.delete_run(info.run_id)
                return kept, True
            if claim.finished:
                self._end(info.run_id, "KILLED", ELSEWHERE)
                spool.forget(entry)
            return entry, False

    def _run(self, run_id: str) -> "Run | None":
        """Return a run, or None where this experiment has none of that id."""
        from mlflow.exceptions import MlflowException

        with self.translated():
            try:
                run = self.client.get_run(run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
            return run if run.info.experiment_id == self.experiment_id else None


def not_logged(error: StoreError, entry: Path) -> str:
    """Say in one line what became of a result that could not be logged."""
    return f"not logged: {str(error).splitlines()[0]} Its result is kept in {entry}; the same command logs it."
