"""What the pending points of a grid will cost: from earlier runs on such a machine, else from a short probe."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from scaling.adapt.base import Adaptation, Context, Subset
from scaling.core import costs
from scaling.core.costs import Cost, Estimate, Rate
from scaling.core.identity import digest
from scaling.core.reporter import SilentReporter
from scaling.datasets.base import Split
from scaling.features import FeatureProvider, GivenFeatures
from scaling.machine import keep_freed_memory, peak_memory
from scaling.modalities.vectors import Vectors
from scaling.models import build
from scaling.runs.job import Job
from scaling.tracking import RunStore
from scaling.tracking.records import BACKBONE, CURVE, MACHINE

#: Seconds after which a probe of the forward pass is enough.
PROBE_SECONDS = 1.0
#: Samples that an earlier run must have computed, so that its start doesn't count for much.
FEWEST_SAMPLES = 500
#: Bytes that a trained parameter takes: weight, gradient, two moments of AdamW, and a copy for predictions.
TRAINED_BYTES = 20
#: Samples of the made-up problem on which a fit is tried.
PROBE_SAMPLES = 500


@dataclass
class _Passes:
    """Samples that one backbone has still to see, of one data set."""

    job: Job
    width: int | None = None  # known where features are stored already
    wanted: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return sum(int(mask.sum()) for mask in self.wanted.values())


def estimate(jobs: Sequence[Job], store: RunStore) -> Estimate:
    """Estimate what these points will take, one after the other on this machine."""
    passes = _passes(jobs)
    forward = [(work, _forward_rate(work, store)) for work in passes.values() if work.samples]
    widths = {key: work.width or _width(work.job) for key, work in passes.items()}
    fits = [(job, _cost(job, len(job.subset), widths[_pass_id(job)])) for job in jobs]
    earlier = {
        curve: store.metrics_of({CURVE: curve, MACHINE: machine})
        for curve, machine in {(job.point.curve_id, job.machine) for job in jobs}
    }
    rates = _fit_rates(fits, widths, earlier, store)
    forward_seconds = sum(work.samples * rate.seconds for work, rate in forward)
    fit_seconds = sum(cost.multiply_adds * rates[job.point.curve_id].seconds for job, cost in fits)
    features = sum(work.samples * _rows(work.job, "train") * (widths[key] * 4 + 4) for key, work in passes.items())
    runs = sum(8 * len(job.subset) + 12 * len(job.dataset.test) + costs.RUN_BYTES for job in jobs)
    largest = max(len(job.subset) for job in jobs)
    peaks = [
        metrics.get("memory/peak_bytes", 0.0)
        for runs in earlier.values()
        for metrics in runs
        if metrics["n"] <= largest
    ]
    base = max(costs.PROCESS_BYTES + max(map(_held, jobs)), peak_memory())
    return Estimate(
        points=len(jobs),
        samples=sum(work.samples for work in passes.values()),
        forward_seconds=forward_seconds,
        forward_source=_sources(rate for _, rate in forward),
        fit_seconds=fit_seconds + costs.POINT_SECONDS * len(jobs),
        fit_source=_sources(rates.values()),
        disk=features + runs,
        memory=max([base + max(cost.memory for _, cost in fits), *peaks]),
    )


def _passes(jobs: Sequence[Job]) -> dict[str, _Passes]:
    """Return which samples each backbone has still to see, by backbone and data set."""
    passes: dict[str, _Passes] = {}
    for job in jobs:
        work = passes.setdefault(_pass_id(job), _Passes(job))
        if not job.spec.model.given:
            reads = job.spec.adaptation.reads(job.spec.model)
            for split, indices in (("train", job.subset.indices), ("test", np.arange(len(job.dataset.test)))):
                if split not in reads:
                    continue
                mask = work.wanted.setdefault(split, np.zeros(len(job.dataset.split(split)), bool))
                mask[indices] = True
    for work in passes.values():
        for split, mask in work.wanted.items():
            provider = cast(FeatureProvider, work.job.provider(SilentReporter()))
            if (entry := provider.entry(split)) is not None:
                work.width = entry.width
                mask &= ~provider.layout(split).whole(entry.present())
    return passes


def _pass_id(job: Job) -> str:
    return " ".join([job.backbone_id, job.dataset.train.sample_content, job.dataset.test.sample_content])


def _width(job: Job) -> int:
    """Return the number of features; that of a network is known once it is built."""
    if job.spec.model.given:
        return int(job.provider(SilentReporter()).rows("train", np.array([0])).shape[1])
    if (known := job.spec.model.known_width(job.dataset.train.samples)) is not None:
        return known
    from scaling.features.forward import width

    return width(job.spec.model, build(job.spec.model), job.dataset.train.samples)


def _forward_rate(work: _Passes, store: RunStore) -> Rate:
    """Return the seconds a sample takes."""
    job = work.job
    if not job.spec.model.trainable:  # no network, no time
        return Rate(0.0, costs.ARITHMETIC)
    computed = f"metrics.features_computed >= {FEWEST_SAMPLES}"
    found = store.metrics_of({BACKBONE: job.backbone_id, MACHINE: job.machine}, computed)
    measured = [(metrics["features_computed"], costs.feature_seconds(metrics)) for metrics in found]
    return Rate.of(measured, costs.EARLIER) or Rate.of([_try_forward(job)], costs.PROBE) or Rate(0.0, costs.ARITHMETIC)


def _fit_rates(
    fits: Sequence[tuple[Job, Cost]],
    widths: Mapping[str, int],
    earlier: Mapping[str, list[Mapping[str, float]]],
    store: RunStore,
) -> dict[str, Rate]:
    """Return the seconds that a multiply–add takes, by curve; of networks that are trained, that a pass takes."""
    rates: dict[str, Rate] = {}
    probes: dict[str, Rate] = {}
    for job, cost in sorted(fits, key=lambda fit: -fit[1].multiply_adds):  # the largest of a curve decides
        curve = job.point.curve_id
        if curve in rates:
            continue
        width = widths[_pass_id(job)]
        trained = _passes_through(job, len(job.subset)) is not None
        if cost.multiply_adds < costs.NEGLIGIBLE and not trained:
            rates[curve] = Rate(0.0, costs.ARITHMETIC)
            continue
        measured = [
            (_cost(job, int(metrics["n"]), width).multiply_adds, costs.fit_seconds(metrics) or 0.0)
            for metrics in earlier[curve]
        ]
        if (rate := Rate.of(measured, costs.EARLIER)) is None:
            if trained:
                rates[curve] = _forward_rate(_Passes(job), store)
                continue
            adaptation = job.spec.adaptation
            key = digest({"adaptation": adaptation.identity(), "name": adaptation.name, "width": width})
            if adaptation.cost(1, 1, 1, 2) is None:  # what it does with made-up features can't be known
                probes[key] = Rate(0.0, costs.UNKNOWN)
            elif key not in probes:
                probes[key] = Rate.of([_try_fit(job, width)], costs.PROBE) or Rate(0.0, costs.ARITHMETIC)
            rate = probes[key]
        rates[curve] = rate
    return rates


def _passes_through(job: Job, n: int) -> float | None:
    return job.spec.adaptation.passes(n, len(job.dataset.test))


def _cost(job: Job, n: int, width: int) -> Cost:
    """Return what a fit takes; of a network that is trained its work is counted in passes of a sample instead."""
    if (passes := _passes_through(job, n)) is not None:
        return Cost(passes, TRAINED_BYTES * build(job.spec.model).parameters)
    m = len(job.dataset.test)
    rows, tested = (round(count * _rows(job, split)) for count, split in ((n, "train"), (m, "test")))
    return _cost_of(job.spec.adaptation, rows, tested, width, job.dataset.task.outputs)


def _rows(job: Job, split: str) -> float:
    """Return the mean number of rows of features that a sample has."""
    return float(job.dataset.task.sizes(job.dataset.split(split).targets).mean())


def _cost_of(adaptation: Adaptation, n: int, m: int, d: int, classes: int) -> Cost:
    """Return what an adaptation says of its cost, else that of reading all features once."""
    return adaptation.cost(n, m, d, classes) or Cost((n + m) * d * classes, (n + m) * d * 4)


def _try_forward(job: Job) -> tuple[float, float]:
    """Run a few batches of the job's own samples; return samples and seconds."""
    from scaling.features.forward import time_forward

    keep_freed_memory()
    return time_forward(job.spec.model, job.spec.precision, job.spec.trainer, job.dataset.train.samples, PROBE_SECONDS)


def _try_fit(job: Job, width: int) -> tuple[float, float]:
    """Fit made-up features of the job's width and task; return multiply–adds and seconds."""
    task, rng = job.dataset.task, np.random.default_rng(0)
    samples = max(PROBE_SAMPLES, 4 * task.outputs)
    targets, true = task.made_up(samples, rng)
    rows = true @ rng.normal(size=(task.outputs, width)) + 3 * rng.normal(size=(samples, width))
    part = Split(Vectors(rows.astype(np.float32)), targets)
    made_up = replace(job.dataset, name="made up", train=part, test=part)
    context = Context(
        made_up, job.spec.model, GivenFeatures(made_up), job.spec.precision, job.spec.trainer, SilentReporter()
    )
    subset = Subset(np.arange(samples), targets, 0)
    job.spec.adaptation.run(context, subset)  # the first time, imports are part of it
    started = time.monotonic()
    job.spec.adaptation.run(context, subset)
    cost = _cost_of(job.spec.adaptation, samples, samples, width, task.outputs)
    return cost.multiply_adds, time.monotonic() - started


def _sources(rates: Iterable[Rate]) -> str:
    """Join how rates are known, each once; what took too little to measure counts only where nothing else does."""
    found = {rate.source for rate in rates}
    return ", ".join(sorted(found - {costs.ARITHMETIC} or found))


def _held(job: Job) -> float:
    """Return the bytes of a data set that is held in memory, from the start or once its files are decoded."""
    if job.spec.model.given:
        return 0.0  # what is loaded is in the process's memory already
    processor = job.spec.model.processor()
    return float(sum(processor.reader(split.samples).kept_bytes for split in (job.dataset.train, job.dataset.test)))
