"""Grid points and sweeps as MLflow runs: claimed, logged, finished, and fetched back."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from scaling import machine
from scaling.core.curves import Point, curves_of
from scaling.core.identity import GridPoint
from scaling.tracking import artifacts, claims, records
from scaling.tracking.claims import shown
from scaling.tracking.connection import PAGE
from scaling.tracking.delivery import Delivery
from scaling.tracking.records import CLAIM, TICKET, WON, Claim, PointState, Sweep
from scaling.tracking.spool import Value

if TYPE_CHECKING:
    from mlflow.entities import Run

PARTING_SECONDS = 5.0  # for the last values of a run to be logged


class RunStore(Delivery):
    """An MLflow experiment whose runs are grid points, under one parent run a sweep."""

    def open_sweep(self, sweep_id: str, name: str, tags: Mapping[str, str]) -> Sweep:
        """Return the parent run of a grid, reopened where the grid was run before."""
        _ = self.experiment_id

        def taken(run: "Run") -> Claim | None:
            there = TICKET not in run.data.tags or run.data.params.get(CLAIM) == WON
            return Claim(run.info.run_id, ours=False, finished=there) if there else None

        with self.serialised(), self.translated():
            now = self.clock()
            user = machine.user()
            opened = dict.fromkeys((records.OPENED, records.opened_by(user)), repr(now))
            ours = {**records.owner_tags(now), records.USER: user, **opened}
            sweep = {records.KIND: "sweep", records.SWEEP: sweep_id}
            everything = {**sweep, **tags, **ours, **records.source_tags()}
            while not ((claim := self.elect(records.tagged(sweep), name, everything, taken)).ours or claim.finished):
                time.sleep(0.1)  # until it is settled which of several is the one
            if not claim.ours:
                self.client.update_run(claim.run_id, status="RUNNING")
                for key, value in ours.items():
                    self.client.set_tag(claim.run_id, key, value)
            records.held.add(claim.run_id)
            return Sweep(claim.run_id, sweep_id)

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
            return {fingerprint: records.state_of(found, self.is_gone) for fingerprint, found in runs.items()}

    def under_another_seed(self, point: GridPoint) -> GridPoint | None:
        """Return a point that stands for all seeds by a seed under which an earlier version finished it, if it did."""
        for found in self.finished_points([point.curve_id]) if point.every_seed and self.exists() else ():
            same = replace(point, seed=found.seed)
            if same.fingerprint == found.fingerprint:
                return same
        return None

    def claim(
        self, point: GridPoint, sweep: Sweep, params: Mapping[str, Any], tags: Mapping[str, str], force: bool
    ) -> Claim:
        """Open a run for a point, unless it is finished or another live process has it, on whichever host."""
        name = f"{point.model} {point.dataset} {point.adaptation} n={point.n} seed={point.seed}"
        ids = {records.CURVE: point.curve_id, records.SWEEP: sweep.sweep_id, records.PARENT: sweep.run_id}
        return self.open_point(point.fingerprint, name, {**ids, **tags}, params, force)

    @contextmanager
    def heartbeat(self, run_id: str, watching: bool = False) -> Iterator[Callable[[Value], None]]:
        """Keep saying that a run is alive, and log the values that are sent, until the context ends.

        A thread does it: a store that is away must neither hold up nor end what is computed.

        Args:
            watching: whether the hearts of all other runs are looked at, too.
        """
        inbox: SimpleQueue[Value | None] = SimpleQueue()
        stop = threading.Event()

        def beat() -> None:
            due = time.monotonic() + claims.HEARTBEAT_SECONDS
            while not stop.is_set():
                with suppress(Exception):  # a beat that is missed is made up for by the next, a value by the result
                    with suppress(Empty):
                        value = inbox.get(timeout=max(0.0, due - time.monotonic()))
                        if value is None:
                            return
                        self.log_value(run_id, *value)
                    if time.monotonic() >= due:
                        due = time.monotonic() + claims.HEARTBEAT_SECONDS
                        self.client.set_tag(run_id, records.HEARTBEAT, f"{self.clock():.0f}")
                        if watching:
                            self.look()

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

    def sweeps(self, *conditions: str) -> "list[Run]":
        """Return the parent runs of all experiments that meet conditions, the one made last first."""
        return list(self._everywhere(" and ".join([records.tagged({records.KIND: "sweep"}), *conditions]), PAGE))

    def newest_sweep(self, user: str) -> "Run | None":
        """Return the parent run whose command a user started last, in whichever experiment, else anybody."""
        theirs = self.sweeps(f"tags.`{records.opened_by(user)}` LIKE '%'")
        return max(theirs or self.sweeps(), key=lambda run: records.opened(run, user), default=None)

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
