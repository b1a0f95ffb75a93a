"""Grid points and sweeps as MLflow runs: claimed, logged, finished, and fetched back."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from scaling.core.curves import Point, curves_of
from scaling.core.identity import GridPoint
from scaling.tracking import artifacts, records
from scaling.tracking.connection import PAGE
from scaling.tracking.delivery import Delivery, shown
from scaling.tracking.records import Claim, PointState, Sweep
from scaling.tracking.spool import Value

if TYPE_CHECKING:
    from mlflow.entities import Run

HEARTBEAT_SECONDS = 60.0
PARTING_SECONDS = 5.0  # for the last values of a run to be logged


class RunStore(Delivery):
    """An MLflow experiment whose runs are grid points, under one parent run a sweep."""

    def open_sweep(self, sweep_id: str, name: str, tags: Mapping[str, str]) -> Sweep:
        """Return the parent run of a grid, reopened where the grid was run before."""
        _ = self.experiment_id
        with self.locked(), self.translated():
            now = self.clock()
            ours = {**records.owner_tags(now), records.OPENED: repr(now)}
            sweep = {records.KIND: "sweep", records.SWEEP: sweep_id}
            same = records.tagged(sweep)
            if found := self.search(same, limit=1):
                run_id = found[0].info.run_id
                self.client.update_run(run_id, status="RUNNING")
                for key, value in ours.items():
                    self.client.set_tag(run_id, key, value)
            else:
                run_id = self._create(
                    name,
                    {**sweep, **tags, **ours, **records.source_tags()},
                    same,
                )
            records.held.add(run_id)
            return Sweep(run_id, sweep_id)

    def _create(self, name: str, tags: Mapping[str, str], same: str) -> str:
        """Create a run. Where a reply is lost MLflow's client asks again: of the runs that come of it one is kept.

        Args:
            same: the condition that it meets, by which the others are found.
        """
        from mlflow.exceptions import MlflowException

        tags = {key: shown(value, words=key == records.COMMAND) for key, value in tags.items()}
        made, lost = "", None
        try:
            made = self.client.create_run(self.experiment_id, run_name=shown(name, words=False), tags=tags).info.run_id
        except MlflowException as error:
            lost = error
        if made and self._database is not None:  # no reply can be lost
            return made
        found = [
            run.info.run_id
            for run in self.search(f"attributes.status = 'RUNNING' and {same}")
            if records.is_mine(run.data.tags)
        ]
        run_id, *others = sorted({made, *found} - records.held - {""}, key=lambda found: found != made) or [""]
        if not run_id:
            assert lost is not None
            raise lost
        for other in others:
            self._end(other, "KILLED", "another run came of the same request")
            self.client.delete_run(other)
        return run_id

    def finish_sweep(self, sweep: Sweep, status: str) -> None:
        """End the parent run; a grid that is run again reopens it. Runs that nobody has are ended too."""
        with self.translated():
            self.client.set_terminated(sweep.run_id, status)
        self.close_stale()

    def log_curves(self, run_id: str, points: Sequence[Point]) -> None:
        """Log mean scores over n, one metric a curve with step = n, so that the MLflow UI draws them."""
        from mlflow.entities import Metric

        now, metrics = int(time.time() * 1000), []
        for curve in curves_of(points):
            metric = curve.points[0].metric
            for quantity, name in (
                ("test_score", f"test/{metric}"), ("train_score", f"train/{metric}"),
                ("upgradeability", "upgradeability"),
            ):  # fmt: skip
                key = records.metric_key(f"{name}/{curve.label}")
                logged = self._history(run_id, key)
                for n, value in zip(curve.n.tolist(), curve.band(quantity).mean.tolist(), strict=True):
                    if logged.get(n) != value:
                        metrics.append(Metric(key, value, now, n))
        with self.translated():
            for start in range(0, len(metrics), PAGE):
                self.client.log_batch(run_id, metrics=metrics[start : start + PAGE])

    def describe(self, run_id: str, text: str) -> None:
        """Set what the MLflow UI shows first of a run, in Markdown."""
        with self.translated():
            self.client.set_tag(run_id, records.DESCRIPTION, shown(text))

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
                for run in self.search(records.tagged({records.KIND: "point", records.CURVE: curve_id})):
                    fingerprint = run.data.tags.get(records.FINGERPRINT, "")
                    if fingerprint in runs:
                        runs[fingerprint].append(run)
        now = self._now(run for found in runs.values() for run in found)
        return {fingerprint: records.state_of(found, now) for fingerprint, found in runs.items()}

    def under_another_seed(self, point: GridPoint) -> GridPoint | None:
        """Return a point that stands for all seeds by a seed under which an earlier version finished it, if it did."""
        for found in self.finished_points([point.curve_id]) if point.every_seed and self.exists() else ():
            same = replace(point, seed=found.seed)
            if same.fingerprint == found.fingerprint:
                return same
        return None

    def _now(self, runs: "Iterable[Run]") -> float:
        """Return the store's time, where it is needed to judge some runs: only a RUNNING one can be nobody's."""
        return self.clock() if any(run.info.status == "RUNNING" for run in runs) else 0.0

    def claim(
        self, point: GridPoint, sweep: Sweep, params: Mapping[str, Any], tags: Mapping[str, str], force: bool
    ) -> Claim:
        """Open a run for a point, unless it is finished or another live process has it.

        Runs left RUNNING by a process that is gone are marked KILLED on the way.
        """
        from mlflow.entities import Param

        _ = self.experiment_id
        with self.locked(), self.translated():
            now, same = self.clock(), records.tagged({records.FINGERPRINT: point.fingerprint})
            for run in self.search(same):
                if run.info.status == "FINISHED" and not force:
                    return Claim(run.info.run_id, ours=False, finished=True)
                if run.info.status == "RUNNING":
                    if not records.is_abandoned(run, now):
                        return Claim(run.info.run_id, ours=False, owner=records.owner_of(run.data.tags))
                    self._end(run.info.run_id, "KILLED", records.GONE)
            name = f"{point.model} {point.dataset} {point.adaptation} n={point.n} seed={point.seed}"
            everything = {
                records.KIND: "point", records.FINGERPRINT: point.fingerprint, records.CURVE: point.curve_id,
                records.SWEEP: sweep.sweep_id, records.PARENT: sweep.run_id,
                **tags, **records.owner_tags(now), **records.source_tags(),
            }  # fmt: skip
            run_id = self._create(name, everything, same)
            self.client.log_batch(run_id, params=[Param(k, shown(v, 6000, words=False)) for k, v in params.items()])
            records.held.add(run_id)
            return Claim(run_id, ours=True)

    def close_stale(self) -> None:
        """Mark all runs of the experiment KILLED that a process left RUNNING when it was killed or lost the store."""
        _ = self.experiment_id
        with self.locked(), self.translated():
            running = self.search("attributes.status = 'RUNNING'")
            now = self._now(running)
            for run in running:
                if records.KIND in run.data.tags and records.is_abandoned(run, now):
                    self._end(run.info.run_id, "KILLED", records.GONE)

    @contextmanager
    def heartbeat(self, run_id: str) -> Iterator[Callable[[Value], None]]:
        """Keep saying that a run is alive, and log the values that are sent, until the context ends.

        A thread does it: a store that is away must neither hold up nor end what is computed.
        """
        inbox: SimpleQueue[Value | None] = SimpleQueue()
        stop = threading.Event()

        def beat() -> None:
            due = time.monotonic() + HEARTBEAT_SECONDS
            while not stop.is_set():
                with suppress(Exception):  # a beat that is missed is made up for by the next, a value by the result
                    with suppress(Empty):
                        value = inbox.get(timeout=max(0.0, due - time.monotonic()))
                        if value is None:
                            return
                        self.log_value(run_id, *value)
                    if time.monotonic() >= due:
                        due = time.monotonic() + HEARTBEAT_SECONDS
                        self.client.set_tag(run_id, records.HEARTBEAT, f"{self.clock():.0f}")

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield inbox.put
        finally:
            inbox.put(None)
            thread.join(PARTING_SECONDS)
            stop.set()
            records.held.discard(run_id)

    @contextmanager
    def system_metrics(self, run_id: str) -> Iterator[None]:
        """Log what the machine is doing while a run lasts: MLflow's own system/… metrics, every ten seconds."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run_id, tracking_uri=self.uri)
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    def fail(self, run_id: str, reason: str, folder: Path, status: str = "FAILED") -> None:
        """Mark a run FAILED or KILLED, with its reason as a tag and its log among the artifacts."""
        try:
            self.log_artifacts(run_id, folder)
        finally:
            with self.translated():
                self._end(run_id, status, reason)

    def finished_points(self, curve_ids: Iterable[str] | None = None) -> list[Point]:
        """Return the finished points of the experiment, or of some curves, newest first."""
        condition = f"{records.tagged({records.KIND: 'point'})} and attributes.status = 'FINISHED'"
        narrower = [""] if curve_ids is None else [
            f" and {records.tagged({records.CURVE: curve})}" for curve in sorted(set(curve_ids))
        ]  # fmt: skip
        with self.translated():
            runs = [run for more in narrower for run in self.search(condition + more)]
        return [records.to_point(run) for run in runs]

    def metrics_of(self, tags: Mapping[str, str], *conditions: str, limit: int = 50) -> list[Mapping[str, float]]:
        """Return the metrics of the newest finished points with these tags and conditions, in whichever experiment."""
        if not self.exists():
            return []
        finished = "attributes.status = 'FINISHED'"
        condition = " and ".join([records.tagged({records.KIND: "point", **tags}), finished, *conditions])
        return [run.data.metrics for run in self._everywhere(condition, limit)]

    def _everywhere(self, condition: str, limit: int) -> "Iterable[Run]":
        """Return the newest runs of all experiments that meet a condition."""
        with self.translated():
            experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
            return self.client.search_runs(experiments, condition, max_results=limit)

    def runs(self) -> "list[Run]":
        """Return all runs of the experiment, newest first."""
        with self.translated():
            return self.search("")

    def newest_sweep(self) -> "Run | None":
        """Return the parent run whose command was started last, in whichever experiment."""
        return max(self._everywhere(records.tagged({records.KIND: "sweep"}), PAGE), key=records.opened, default=None)

    def experiment_name(self, experiment_id: str) -> str:
        """Return the name of an experiment."""
        with self.translated():
            return self.client.get_experiment(experiment_id).name

    def read(self, run_id: str, uri: str, name: str) -> bytes | None:
        """Return the bytes of an artifact below a run's URI, or None where there is none of that name."""
        return artifacts.read(self.client, run_id, uri, name, self._database)

    def kept(self, run: "Run | None", name: str) -> str | None:
        """Return the text of a run's artifact, or None where it has none of that name."""
        content = None if run is None else self.read(run.info.run_id, run.info.artifact_uri or "", name)
        return None if content is None else content.decode("utf-8", errors="replace")

    def links(self) -> artifacts.RunLinks:
        """Return where the MLflow UI shows the runs of this experiment."""
        return artifacts.links(self.uri, self.experiment_id)
