"""Grid points and sweeps as MLflow runs: claimed, logged, finished, and fetched back."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.core.curves import Point, curves_of
from scaling.core.identity import GridPoint
from scaling.core.secrets import mask
from scaling.tracking import artifacts
from scaling.tracking.connection import PAGE, Connection
from scaling.tracking.records import (
    COMMAND,
    CURVE,
    FINGERPRINT,
    GONE,
    HEARTBEAT,
    KIND,
    OPENED,
    PARENT,
    REASON,
    SWEEP,
    Claim,
    PointState,
    Sweep,
    distinct_keys,
    is_stale,
    metric_key,
    opened,
    owner_of,
    owner_tags,
    source_tags,
    state_of,
    to_point,
)  # fmt: skip

if TYPE_CHECKING:
    from mlflow.entities import Run

HEARTBEAT_SECONDS = 60.0


def shown(value: Any, limit: int = 5000, words: bool = True) -> str:
    """Return a value as a store may keep it; see `mask`."""
    return mask(str(value), words)[:limit]


class RunStore(Connection):
    """An MLflow experiment whose runs are grid points, under one parent run a sweep."""

    def open_sweep(self, sweep_id: str, name: str, tags: Mapping[str, str]) -> Sweep:
        """Return the parent run of a grid, reopened where the grid was run before."""
        experiment = self.experiment_id
        with self.locked(), self.translated():
            found = self.search(f"tags.`{KIND}` = 'sweep' and tags.`{SWEEP}` = '{sweep_id}'", limit=1)
            if found:
                run_id = found[0].info.run_id
                self.client.update_run(run_id, status="RUNNING")
                for key, value in {**owner_tags(), OPENED: repr(time.time())}.items():
                    self.client.set_tag(run_id, key, value)
            else:
                everything = {KIND: "sweep", SWEEP: sweep_id, OPENED: repr(time.time()), **tags}
                everything |= {**owner_tags(), **source_tags()}
                run_id = self._create(experiment, name, everything)
            return Sweep(run_id, sweep_id)

    def finish_sweep(self, sweep: Sweep, status: str) -> None:
        """End the parent run; a grid that is run again reopens it."""
        with self.translated():
            self.client.set_terminated(sweep.run_id, status)

    def log_curves(self, run_id: str, points: Sequence[Point]) -> None:
        """Log mean accuracies over n, one metric a curve with step = n, so that the MLflow UI draws them."""
        from mlflow.entities import Metric

        now, metrics = int(time.time() * 1000), []
        for curve in curves_of(points):
            for quantity, name in (
                ("test_accuracy", "test/accuracy"), ("train_accuracy", "train/accuracy"),
                ("upgradeability", "upgradeability"),
            ):  # fmt: skip
                key = metric_key(f"{name}/{curve.label}")
                logged = self._history(run_id, key)
                for n, value in zip(curve.n.tolist(), curve.band(quantity).mean.tolist(), strict=True):
                    if logged.get(n) != value:
                        metrics.append(Metric(key, value, now, n))
        with self.translated():
            for start in range(0, len(metrics), PAGE):
                self.client.log_batch(run_id, metrics=metrics[start : start + PAGE])

    def _history(self, run_id: str, key: str) -> dict[int, float]:
        with self.translated():
            return {metric.step: metric.value for metric in self.client.get_metric_history(run_id, key)}

    def states(self, points: Iterable[GridPoint]) -> dict[str, PointState]:
        """Return what the store knows of each point, by fingerprint; one query a curve."""
        points = list(points)
        runs: dict[str, list[Run]] = {point.fingerprint: [] for point in points}
        if not self.exists():
            return {fingerprint: PointState("pending") for fingerprint in runs}
        with self.translated():
            for curve_id in sorted({point.curve_id for point in points}):
                for run in self.search(f"tags.`{KIND}` = 'point' and tags.`{CURVE}` = '{curve_id}'"):
                    fingerprint = run.data.tags.get(FINGERPRINT, "")
                    if fingerprint in runs:
                        runs[fingerprint].append(run)
        return {fingerprint: state_of(found) for fingerprint, found in runs.items()}

    def claim(
        self, point: GridPoint, sweep: Sweep, params: Mapping[str, Any], tags: Mapping[str, str], force: bool
    ) -> Claim:
        """Open a run for a point, unless it is finished or another live process has it.

        Runs left RUNNING by a process that is gone are marked KILLED on the way.
        """
        experiment = self.experiment_id
        with self.locked(), self.translated():
            for run in self.search(f"tags.`{FINGERPRINT}` = '{point.fingerprint}'"):
                if run.info.status == "FINISHED" and not force:
                    return Claim(run.info.run_id, ours=False, finished=True)
                if run.info.status == "RUNNING":
                    if not is_stale(run.data.tags):
                        return Claim(run.info.run_id, ours=False, owner=owner_of(run.data.tags))
                    self._end(run.info.run_id, "KILLED", GONE)
            name = f"{point.model} {point.dataset} {point.adaptation} n={point.n} seed={point.seed}"
            everything = {
                KIND: "point", FINGERPRINT: point.fingerprint, CURVE: point.curve_id, SWEEP: sweep.sweep_id,
                PARENT: sweep.run_id, **tags, **owner_tags(), **source_tags(),
            }  # fmt: skip
            run_id = self._create(experiment, name, everything)
            from mlflow.entities import Param

            self.client.log_batch(run_id, params=[Param(k, shown(v, 6000, words=False)) for k, v in params.items()])
            return Claim(run_id, ours=True)

    def close_stale(self) -> None:
        """Mark all runs of the experiment KILLED that a process left RUNNING when it was killed."""
        _ = self.experiment_id
        with self.locked(), self.translated():
            for run in self.search("attributes.status = 'RUNNING'"):
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
            values = [Metric(key, float(value), now, step) for key, value in distinct_keys(metrics).items()]
            for start in range(0, len(values), PAGE):
                self.client.log_batch(run_id, metrics=values[start : start + PAGE])
            self.client.log_batch(
                run_id,
                params=[Param(key, shown(value, 6000, words=False)) for key, value in params.items()],
                tags=[RunTag(key, shown(value)) for key, value in tags.items()],
            )
            entity = Dataset(
                name=shown(dataset["name"], words=False), digest=dataset["digest"][:36], source_type="local",
                source=shown(dataset["source"]), profile=dataset["profile"],
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

    def log_files(self, run_id: str, files: Iterable[Path], path: str) -> None:
        """Keep some files with a run."""
        with self.translated():
            for file in files:
                self.client.log_artifact(run_id, str(file), path)

    def _create(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        tags = {key: shown(value, words=key == COMMAND) for key, value in tags.items()}
        return self.client.create_run(experiment, run_name=shown(name, words=False), tags=tags).info.run_id

    def _end(self, run_id: str, status: str, reason: str) -> None:
        self.client.set_tag(run_id, REASON, shown(reason))
        self.client.set_terminated(run_id, status)

    def finished_points(self, curve_ids: Iterable[str] | None = None) -> list[Point]:
        """Return the finished points of the experiment, or of some curves, newest first."""
        condition = f"tags.`{KIND}` = 'point' and attributes.status = 'FINISHED'"
        with self.translated():
            if curve_ids is None:
                runs = self.search(condition)
            else:
                runs = [
                    run
                    for curve in sorted(set(curve_ids))
                    for run in self.search(f"{condition} and tags.`{CURVE}` = '{curve}'")
                ]
        return [to_point(run) for run in runs]

    def metrics_of(self, tags: Mapping[str, str], *conditions: str, limit: int = 50) -> list[Mapping[str, float]]:
        """Return the metrics of the newest finished points with these tags and conditions, in whichever experiment."""
        if not self.exists():
            return []
        shown = [f"tags.`{key}` = '{value.replace(chr(39), chr(39) * 2)}'" for key, value in tags.items()]
        condition = " and ".join([f"tags.`{KIND}` = 'point'", "attributes.status = 'FINISHED'", *shown, *conditions])
        with self.translated():
            experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
            found = self.client.search_runs(experiments, condition, max_results=limit)
        return [run.data.metrics for run in found]

    def runs(self) -> "list[Run]":
        """Return all runs of the experiment, newest first."""
        with self.translated():
            return self.search("")

    def newest_sweep(self) -> "Run | None":
        """Return the parent run whose command was started last, in whichever experiment."""
        with self.translated():
            experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
            found = self.client.search_runs(experiments, f"tags.`{KIND}` = 'sweep'", max_results=PAGE)
        return max(found, key=opened, default=None)

    def experiment_name(self, experiment_id: str) -> str:
        """Return the name of an experiment."""
        with self.translated():
            return self.client.get_experiment(experiment_id).name

    def read(self, run_id: str, uri: str, name: str) -> bytes | None:
        """Return the bytes of an artifact below a run's URI, or None where there is none of that name."""
        return artifacts.read(self.client, run_id, uri, name)

    def kept(self, run: "Run | None", name: str) -> str | None:
        """Return the text of a run's artifact, or None where it has none of that name."""
        content = None if run is None else self.read(run.info.run_id, run.info.artifact_uri or "", name)
        return None if content is None else content.decode("utf-8", errors="replace")

    def artifact(self, run_id: str, name: str) -> str | None:
        """Return the text of an artifact, or None where the run has none of that name."""
        return self.kept(self.client.get_run(run_id), name)

    def links(self) -> artifacts.RunLinks:
        """Return where the MLflow UI shows the runs of this experiment."""
        return artifacts.links(self.uri, self.experiment_id)
