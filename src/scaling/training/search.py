"""A grid point's trainings: try learning rates on a held-out part, train on all n samples, predict."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from scaling import machine
from scaling.core.errors import AdaptationError, SettingError
from scaling.core.reporter import Reporter
from scaling.lightning import device_of, emulates_bf16
from scaling.training.batches import Share
from scaling.training.checkpoints import Checkpoint, Progress, Snapshot
from scaling.training.fit import Run, can_be_cut, translated_memory_errors
from scaling.training.network import counts
from scaling.training.work import Candidate, Trained, Work

FINAL = "fit"
#: Metric of the seconds that a point was trained for before it was interrupted; absent where it was not.
EARLIER = "time/before_interruption_s"


def train(work: Work, reporter: Reporter, share: Share | None = None) -> Trained:
    """Do a grid point's trainings, from where its checkpoint left them, and predict.

    Args:
        share: which part of each batch this process takes; the whole of it where it is the only one.

    Raises:
        AdaptationError: the loss is no number at any rate, memory ran out, or the checkpoint is another point's.
    """
    with layers_as_written() if work.lora is not None else nullcontext():
        return _train(work, reporter, share or Share())


@contextmanager
def layers_as_written() -> Iterator[None]:
    """Switch off torch's fast path of encoders: in eval mode it reads the layers' weights past their updates."""
    from torch.backends import mha

    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def _train(work: Work, reporter: Reporter, share: Share) -> Trained:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()  # of earlier points
    check_precision(work, reporter if share.rank == 0 else None)
    check_share(work, share)
    check_norms(work)
    samples = work.dataset.train.samples
    with translated_memory_errors(work):
        read = work.model.processor().reader(samples).held(work.indices)
    run = Run(work, share, read, lightning_settings(work), reporter)
    checkpoint = Checkpoint(work.settings)
    progress = checkpoint.load()
    candidates = _candidates(run, checkpoint, progress) if work.held_out is not None else ()
    rate, steps = chosen(candidates, work)
    network, rounds = run.fit(
        FINAL, rate, steps, np.arange(len(work.indices)), None, work.heads[1], _running(progress, FINAL),
        partial(_save, checkpoint, candidates),
    )  # fmt: skip
    if not np.isfinite(rounds[-1].loss):
        raise AdaptationError(_diverged([rate]))
    trained = Trained(
        train=run.predict(network, "predict train", work.dataset.train, work.indices, read),
        test=run.predict(
            network, "predict test", work.dataset.test, np.arange(len(work.dataset.test)), run.test_reader()
        ),
        rate=rate, steps=steps, candidates=candidates,
        metrics={
            **counts(network), "training/samples_per_s": run.samples_per_s,
            **peak_memory(), **({EARLIER: checkpoint.earlier} if checkpoint.earlier else {}),
        },
    )  # fmt: skip
    if not trained.test.finite:
        raise AdaptationError(_diverged([rate]))
    if share.rank == 0 and work.settings.keep:
        checkpoint.keep(network)
    return trained


def chosen(candidates: Sequence[Candidate], work: Work) -> tuple[float, int]:
    """Return the rate and the number of steps with the lowest validation loss; all steps where nothing was tried.

    Raises:
        AdaptationError: no rate kept its loss a number.
    """
    if not candidates:
        return work.recipe.learning_rates[0], work.recipe.budget(len(work.indices)).steps
    all_steps = work.recipe.patience is None  # the last round is what will be had
    ends = [(candidate.losses[-1], candidate) for candidate in candidates] if all_steps else [
        (candidate.best.validation_loss, candidate) for candidate in candidates
    ]  # fmt: skip
    usable = [(loss, candidate) for loss, candidate in ends if loss is not None and np.isfinite(loss)]
    if not usable:
        raise AdaptationError(_diverged([candidate.rate for candidate in candidates]))
    best = min(usable, key=lambda end: end[0])[1]
    return best.rate, work.recipe.budget(len(work.indices)).steps if all_steps else best.best.step


def _candidates(run: Run, checkpoint: Checkpoint, progress: Progress) -> tuple[Candidate, ...]:
    """Train each rate that is not tried yet on what is not held out."""
    assert run.work.held_out is not None
    fitted, held_out = np.flatnonzero(~run.work.held_out), np.flatnonzero(run.work.held_out)
    steps = run.work.recipe.budget(len(run.work.indices)).steps
    done = list(progress.candidates)
    for rate in run.work.recipe.learning_rates[len(done) :]:
        name = f"try rate {rate:g}"
        _, rounds = run.fit(
            name, rate, steps, fitted, held_out, run.work.heads[0], _running(progress, name),
            partial(_save, checkpoint, tuple(done)),
        )  # fmt: skip
        done.append(Candidate(rate, rounds))
        if run.share.rank == 0:
            checkpoint.save(Progress(tuple(done)))
    return tuple(done)


def _save(checkpoint: Checkpoint, candidates: tuple[Candidate, ...], snapshot: Snapshot) -> None:
    checkpoint.save(Progress(candidates, snapshot))


def _running(progress: Progress, phase: str) -> Any:
    return progress.running if progress.running is not None and progress.running.phase == phase else None


def lightning_settings(work: Work) -> dict[str, Any]:
    """Return the Trainer's keyword arguments in each of the processes."""
    if work.settings.processes == 1:
        return work.trainer
    # No sync_batchnorm: torch's converter drops the activation of timm's BatchNormAct2d. Some networks have weights
    # that take no part, such as an auxiliary head; plain ddp would wait for their gradients.
    return {**work.trainer, "strategy": "ddp_find_unused_parameters_true", "devices": work.settings.processes}


def check_precision(work: Work, reporter: Reporter | None) -> None:
    """Refuse what can't be trained on the device, and tell what is slow there."""
    import torch

    device = device_of(work.trainer)
    if work.precision == "16-true":
        raise SettingError(
            "precision=16-true: half-precision weights can't be trained, their updates vanish.\n"
            "Take 16-mixed, bf16-mixed or bf16-true."
        )
    half = work.precision.startswith("bf16")
    if half and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise SettingError(
            f"precision={work.precision}: {torch.cuda.get_device_name(device)} has no bf16.\nTake 16-mixed or 32-true."
        )
    if half and reporter is not None and emulates_bf16(device):
        reporter.note(
            f"this processor has no instructions for bf16: {work.precision} is emulated, far slower than 32-true"
        )


def check_share(work: Work, share: Share) -> None:
    """Refuse parts of the samples that leave a process without any."""
    fewest = len(work.indices) if work.held_out is None else min(work.held_out.sum(), (~work.held_out).sum())
    if fewest < share.processes:
        raise AdaptationError(
            f"{share.processes} processes can't share {fewest} samples to train or to validate on.\n"
            f"Take trainer.devices={fewest}, or a larger n."
        )


def check_norms(work: Work) -> None:
    """Refuse to cut a batch into single samples where batch norms need the statistics of several."""
    micro_batch, processes, batch = work.settings.micro_batch, work.settings.processes, min(work.batches)
    if batch < 2 or can_be_cut(work, micro_batch):  # a batch of one is asked for as it is
        return
    enough = next((size for size in range(2, batch + 1) if can_be_cut(work, size)), None)
    larger = f"trainer.micro_batch={enough} or more" if enough else f"trainer.devices={max(1, batch // 2)} or fewer"
    raise AdaptationError(
        f"Batch norms are trained here; of a batch of {batch}, trainer.micro_batch={micro_batch or 'null'} and"
        f" {processes} process{'es' * (processes > 1)} leave a single sample to see at once, expected at least 2.\n"
        f"Take {larger}, or adaptation.batch_norm=frozen."
    )


def peak_memory() -> dict[str, float]:
    """Return the most memory that this process and its accelerator held, in bytes."""
    import torch

    found = {"memory/training_peak_bytes": float(machine.peak_memory())}
    if torch.cuda.is_available():
        found["memory/accelerator_peak_bytes"] = float(torch.cuda.max_memory_allocated())
    return found


def _diverged(rates: Sequence[float]) -> str:
    shown = ", ".join(f"{rate:g}" for rate in rates)
    return (
        f"The loss became NaN or infinite at learning rate {shown}.\n"
        "Lower adaptation.learning_rates=, or take precision=32-true."
    )
