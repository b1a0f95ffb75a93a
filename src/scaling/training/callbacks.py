"""What happens at the end of steps and rounds: progress, values, early stopping, checkpoints."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl

from scaling import machine
from scaling.core.reporter import Advance, Reporter
from scaling.training.budget import best_round
from scaling.training.checkpoints import Snapshot
from scaling.training.module import TuningModule
from scaling.training.work import Round

#: Exit code of a process that was asked to end.
STOPPED = 128 + signal.SIGTERM


class Rounds(pl.Callback):
    """Keeps what each round came to, reports it as it happens, and stops a training that leads nowhere."""

    def __init__(self, name: str, patience: int | None, reporter: Reporter, advance: Advance) -> None:
        self.name, self.patience, self.reporter, self.advance = name, patience, reporter, advance
        self.done: list[Round] = []
        self.samples, self.seconds = 0, 0.0
        self.ended = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Start the clock: what a step takes begins with the making of its batch."""
        self.ended = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count samples and the time that they took."""
        count = len(batch[1]) * trainer.world_size
        self.samples += count
        now = time.monotonic()
        self.seconds, self.ended = self.seconds + now - self.ended, now
        self.advance(count)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Note the round, and stop where the loss is no number or has not become better for long enough."""
        assert isinstance(module, TuningModule)
        self.done.append(finished_round(trainer, module))
        self._report(self.done[-1], module.task.hits_name)
        losses = [np.inf if end.validation_loss is None else end.validation_loss for end in self.done]
        waited = len(losses) - 1 - best_round(losses)
        stale = self.patience is not None and module.validation_batches is not None and waited >= self.patience
        if stale or not np.isfinite(self.done[-1].loss):
            trainer.should_stop = True

    def _report(self, end: Round, hits: str) -> None:
        values = {
            "loss": end.loss, "validation_loss": end.validation_loss, f"validation_{hits}": end.validation_hits,
            "samples_per_s": self.samples / max(self.seconds, 1e-9), "peak_memory_bytes": float(machine.peak_memory()),
        }  # fmt: skip
        for name, value in values.items():
            if value is not None and np.isfinite(value):
                self.reporter.value(f"{self.name}/{name}", value, end.step)


def finished_round(trainer: pl.Trainer, module: TuningModule) -> Round:
    """Return what a round came to over all processes, and begin the next."""
    reduce = trainer.strategy.reduce
    loss = float(reduce(module.loss_sum / max(1, module.loss_parts), reduce_op="mean"))
    module.loss_sum, module.loss_parts = module.loss_sum * 0, 0
    if not np.isfinite(loss):
        module.loss_sum.zero_()
    if module.validation_batches is None:
        return Round(module.step, loss)
    total, hits, count = reduce(module.validation.float().to(module.device), reduce_op="sum").tolist()
    return Round(module.step, loss, total / count, hits / count)


class Saver(pl.Callback):
    """Writes a checkpoint every so many seconds and when the process is asked to end; starts from one."""

    def __init__(self, phase: str, rounds: Rounds, save: Callable[[Snapshot], None], seconds: float) -> None:
        self.phase, self.rounds, self.save, self.seconds = phase, rounds, save, seconds
        self.start: Snapshot | None = None
        self.saved = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Restore what the checkpoint holds, and let SIGTERM wait for the end of a step."""
        self.saved = time.monotonic()
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            # Lightning has a handler of its own by now, and puts back the one before when it is done.
            signal.signal(signal.SIGTERM, lambda number, frame: machine.stopping.set())
        if self.start is None:
            return
        states = self.start.states
        module.load_state_dict(states["module"])
        trainer.optimizers[0].load_state_dict(states["optimizer"])
        trainer.precision_plugin.load_state_dict(states["precision"])

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save after a whole step, where it is time; at the end of a round, after it."""
        step = module.step + 1  # it is counted after this hook, by the module itself
        if (batch_idx + 1) % module.parts == 0 and step not in module.rounds:
            self._save(trainer, module, step)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save after a round, unless it was the last."""
        assert isinstance(module, TuningModule)
        if not trainer.should_stop and module.step < module.rounds[-1]:
            self._save(trainer, module, module.step)

    def _save(self, trainer: pl.Trainer, module: TuningModule, step: int) -> None:
        stopping = machine.stopping.is_set()
        if trainer.is_global_zero and (stopping or time.monotonic() - self.saved >= self.seconds):
            self.save(self._snapshot(trainer, module, step))
            self.saved = time.monotonic()
        if stopping:
            raise SystemExit(STOPPED)

    def _snapshot(self, trainer: pl.Trainer, module: TuningModule, step: int) -> Snapshot:
        states = {
            "module": module.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "precision": trainer.precision_plugin.state_dict(),
        }
        return Snapshot(self.phase, step, tuple(self.rounds.done), (float(module.loss_sum), module.loss_parts), states)
