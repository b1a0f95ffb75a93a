"""One grid point as a job: claim its run, evaluate it, log what came out, whatever happens."""

import csv
import json
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from scaling import machine, terminal
from scaling.core.curves import Point
from scaling.core.errors import ScalingError, StoreError
from scaling.core.identity import GridPoint, digest, flatten
from scaling.core.reporter import Advance
from scaling.core.secrets import mask
from scaling.core.streams import guard
from scaling.metrics.stored import packed
from scaling.runs.job import Evaluation, Job, evaluate_job
from scaling.runs.spec import RunSpec
from scaling.tasks.base import listed
from scaling.tracking import RunStore, records, spool
from scaling.tracking.connection import resolve_uri
from scaling.tracking.models import card, save_model
from scaling.tracking.predictions import PREDICTIONS, VALUES


@dataclass(frozen=True)
class Result:
    """What came of a point.

    Attributes:
        fingerprint: of the point that was planned.
        state: "finished" by us, "done" before or elsewhere, "running" elsewhere, "failed", or "missed": not claimed.
        reason: why it failed, or who runs it.
        found: the point that was there instead of the planned one.
        point: what was computed of a finished one; a store that is away can't be asked for it.
    """

    fingerprint: str
    state: str
    reason: str = ""
    found: GridPoint | None = None
    point: Point | None = None


@dataclass(frozen=True)
class PointRunner:
    """Runs one grid point of a sweep and logs it; small enough to be sent to another process.

    Attributes:
        total: points that the sweep runs.
        fields: names in which its points differ.
        bars: whether progress bars may be drawn.
    """

    sweep: records.Sweep
    total: int
    fields: tuple[str, ...]
    bars: bool

    def __call__(self, spec: RunSpec, position: int, planned: str) -> Result:
        """Claim, evaluate and log a point; failures are logged and returned.

        Args:
            planned: fingerprint of the point that was planned; where its data make another now, nothing is computed.
        """
        if machine.stopping.is_set():
            raise SystemExit(128 + signal.SIGTERM)
        guard()
        job = Job(spec)
        try:
            point = job.point
        except Exception as error:
            return Result(planned, "failed", failure_reason(error))
        if point.fingerprint != planned:
            return Result(planned, "failed", found=point)
        store = _store(resolve_uri(spec.places.uri), spec.places.experiment)
        screen = terminal.console()
        name = terminal.describe(point, self.fields)

        def failed(reason: str, computed: Point | None = None, state: str = "failed") -> Result:
            screen.print(f"[{position + 1}/{self.total}] {name}  FAILED  {reason}", style="red")
            return Result(planned, state, reason, point=computed)

        params, tags = run_params(job), run_tags(job)
        try:
            claim = store.claim(point, self.sweep, params, tags, spec.force)
        except StoreError as error:
            return failed(not_run(error), state="missed")
        if not claim.ours:
            return Result(planned, "done" if claim.finished else "running", claim.owner)
        shown = self.bars and spec.progress
        monitor = store.system_metrics(claim.run_id) if spec.places.system_metrics else nullcontext()
        with tempfile.TemporaryDirectory() as place, store.heartbeat(claim.run_id) as send, monitor:
            folder = Path(place) / "artifacts"
            folder.mkdir()
            log = RunLog(folder / "log.txt", screen, send)
            started = time.monotonic()
            machine.forget_peak_memory()
            try:
                with terminal.PointProgress(screen, position, self.total, shown) as progress:
                    log.progress = progress
                    evaluation = evaluate_job(job, log)
                result = result_of(claim.run_id, job, evaluation, log, folder)
                reason = store.bring(result, folder, spec.places.spool)
                job.forget_checkpoint()
            except BaseException as error:
                stopped = not isinstance(error, Exception)
                reason = "interrupted" if stopped else failure_reason(error)
                with suppress(OSError):  # a full disk must not keep the run from its end
                    log.write("".join(traceback.format_exception(error)))
                with suppress(StoreError):  # the reason is told, whatever becomes of the run
                    store.fail(claim.run_id, reason, folder, "KILLED" if stopped else "FAILED")
                if stopped:
                    raise
                return failed(reason)
        shown_params = {key: str(value) for key, value in {**params, **result.params}.items()}
        shown_tags = {records.FINGERPRINT: point.fingerprint, records.CURVE: point.curve_id, **tags, **result.tags}
        computed = records.point_of(claim.run_id, shown_params, result.metrics, shown_tags)
        if reason:
            return failed(reason, computed)
        seconds = time.monotonic() - started
        line = terminal.result_line(position + 1, self.total, name, evaluation.score, seconds)
        screen.print(line)
        if evaluation.flag:
            screen.print(f"flagged: {evaluation.flag}", style="yellow")
        return Result(planned, "finished", point=computed)


@lru_cache(maxsize=1)
def _store(uri: str, experiment: str) -> RunStore:
    """Return the store of a sweep's points in this process, opened once."""
    return RunStore(uri, experiment, patient=True)


def not_run(error: StoreError) -> str:
    """Say why a point could not be claimed."""
    return f"not run: {str(error).splitlines()[0]}"


def result_of(run_id: str, job: Job, evaluation: Evaluation, log: "RunLog", folder: Path) -> spool.Result:
    """Return all that is to be logged of a point, and write its artifacts."""
    ended = int(time.time() * 1000)
    outcome = evaluation.outcome
    metrics = {**evaluation.score.metrics(), **evaluation.model_size, **outcome.metrics}
    metrics["features_computed"] = float(evaluation.features_computed)
    metrics["memory/peak_bytes"] = float(machine.peak_memory())
    metrics |= {f"time/{name.replace(' ', '_')}_s": seconds for name, seconds in log.seconds.items()}
    write_artifacts(folder, job, evaluation)
    info = job.dataset
    sizes = {"train": len(info.train), "test": len(info.test), "classes": len(info.class_names)}
    dataset = {
        "name": info.name, "digest": digest(info.identity()), "source": info.source, "profile": json.dumps(sizes),
    }  # fmt: skip
    log.write("\n".join(f"{name}: {value}" for name, value in sorted(metrics.items())))
    tags = {
        records.METRIC: evaluation.score.metric,
        **outcome.tags,
        **({records.FLAG: evaluation.flag} if evaluation.flag else {}),
    }
    return spool.Result(
        run_id, job.point.fingerprint, job.spec.force, ended,
        {key: float(value) for key, value in metrics.items()},
        {key: str(value) for key, value in outcome.params.items()},
        tags, dataset, log.values,
    )  # fmt: skip


@dataclass
class RunLog:
    """The reporter of one run: times its stages, keeps its log, shows its progress."""

    path: Path
    screen: Any
    send: Callable[[spool.Value], None]
    progress: terminal.PointProgress | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    values: list[spool.Value] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Time a stage and show its bar."""
        started = time.monotonic()
        self.write(f"{name}" + (f" ({total})" if total else ""))
        try:
            if self.progress is None:
                yield lambda steps: None
            else:
                with self.progress.stage(name, total) as advance:
                    yield advance
        finally:
            took = time.monotonic() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            self.write(f"{name}: {took:.2f} s")

    def value(self, name: str, value: float, step: int) -> None:
        """Log a value as it happens, and once more with the result, should it not have come through."""
        self.values.append((name, float(value), step, int(time.time() * 1000)))
        self.send(self.values[-1])

    def note(self, message: str) -> None:
        """Tell the user, and keep it."""
        self.write(message)
        self.screen.print(f"note: {message}")

    def write(self, text: str) -> None:
        """Append to the log."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(mask(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n"))


def failure_reason(error: BaseException) -> str:
    """Say in one line or a few why a point failed."""
    if isinstance(error, ScalingError):
        return mask(str(error))
    first = (str(error).strip().splitlines() or [""])[0]
    return mask(f"{type(error).__name__}: {first}") if first else type(error).__name__


def run_params(job: Job) -> dict[str, Any]:
    """Return who the point is and every setting that can change its score, as params."""
    point = job.point
    shown = {key: job.spec.config[key] for key in ("model", "dataset", "adaptation", "subset")}
    # Lists and maps have characters that MLflow refuses in keys; the resolved config is an artifact anyway.
    flat = {key: value for key, value in flatten(shown).items() if not key.endswith("_target_")}
    return {
        "model": point.model, "dataset": point.dataset, "adaptation": point.adaptation, "n": point.n,
        "n_requested": point.n_requested, "seed": point.seed, "precision": job.spec.precision,
        **{key: value for key, value in flat.items() if key.replace(".", "").replace("_", "").isalnum()},
    }  # fmt: skip


def run_tags(job: Job) -> dict[str, str]:
    """Return what is known of a point before it runs, as tags."""
    copies = job.dataset.duplicates
    absent = listed(job.dataset.task.absent(job.subset.targets))
    said = {
        records.LEAKAGE: copies.leakage,
        records.CONTRADICTIONS: copies.contradictions,
        records.ABSENT: absent,
        records.EVERY_SEED: "true" if job.point.every_seed else "",
        records.REVISION: str(job.point.revision) if job.point.revision else "",
    }
    return {
        **{name: text for name, text in said.items() if text},
        records.PRECISION_USED: job.spec.precision,
        "scaling.precision_asked": str(job.spec.config["precision"]),
        "scaling.subset": job.subset_digest(),
        records.POOL: str(len(job.dataset.train)),
        records.BACKBONE: job.backbone_id,
        records.MACHINE: job.machine,
    }


def keep(folder: Path, job: Job, evaluation: Evaluation) -> None:
    """Write the fitted head as an MLflow model, with a card that says what it is."""
    from scaling.adapt import kept

    with tempfile.TemporaryDirectory() as place:
        head = Path(place) / "head"
        kept.keep(head, evaluation.outcome.head, job.dataset.task, job.spec.config["model"], job.spec.precision)
        save_model(folder, head, kept.__name__)
    text = card(job.point, evaluation.score, job.dataset.task.class_names, evaluation.flag, job.dataset.remarks)
    (folder / "README.md").write_text(text, encoding="utf-8")


def write_artifacts(folder: Path, job: Job, evaluation: Evaluation) -> None:
    """Write what is kept of a point: config, environment, predictions, and the adaptation's tables."""
    settings = dict(job.spec.config)
    settings["tracking"] = {**settings["tracking"], "uri": mask(str(settings["tracking"]["uri"] or ""))}
    (folder / "config.yaml").write_text(mask(OmegaConf.to_yaml(OmegaConf.create(settings))), encoding="utf-8")
    environment = {"versions": machine.versions(), "hardware": machine.hardware()}
    (folder / "environment.json").write_text(json.dumps(environment, indent=1), encoding="utf-8")
    test = evaluation.outcome.test
    arrays: dict[str, Any] = {
        "train_indices": job.subset.indices.astype(np.int32),
        "train_predicted": evaluation.outcome.train.kept()["predicted"],
        **{f"test_{name}": array for name, array in test.kept().items()},
    }
    np.savez_compressed(folder / PREDICTIONS, **arrays)
    np.savez_compressed(folder / VALUES, **packed(evaluation.score.samples, test.labels))
    if job.spec.places.keep_model:
        keep(folder / "model", job, evaluation)
    for name, rows in evaluation.outcome.tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
