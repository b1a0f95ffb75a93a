"""One training with Lightning, from its start or from where a checkpoint left it; and the test of a network."""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scaling import machine
from scaling.core.errors import AdaptationError
from scaling.core.reporter import Reporter
from scaling.datasets.base import Split
from scaling.lightning import device_of, quiet_trainer
from scaling.metrics.base import Predictions
from scaling.modalities.base import Read, row_bytes
from scaling.models.inference import for_inference
from scaling.training.batches import PlainBatches, Share, TrainingBatches
from scaling.training.budget import Budget, fewest_at_once
from scaling.training.callbacks import STOPPED, Rounds, Saver
from scaling.training.checkpoints import Snapshot
from scaling.training.module import PredictingModule, TuningModule
from scaling.training.network import Tuned, trains_norms, tuned
from scaling.training.work import HeadArrays, Round, Work

#: Samples that are predicted at once where no micro batch is set.
PREDICTED = 128
#: Batches that each worker holds in shared memory: two that wait (torch's default), and one in use.
AHEAD = 3


@dataclass(frozen=True)
class Run:
    """A grid point's trainings in one process.

    Attributes:
        read: reads the n samples by their place in the subset.
        trainer: keyword arguments of the Lightning Trainer, those for several processes included.
        done: what each training came to so far.
    """

    work: Work
    share: Share
    read: Read
    trainer: dict[str, Any]
    reporter: Reporter
    done: list[Rounds] = field(default_factory=list)

    @property
    def samples_per_s(self) -> float:
        """Samples a second over all trainings that are done."""
        return sum(rounds.samples for rounds in self.done) / max(sum(rounds.seconds for rounds in self.done), 1e-9)

    def fit(
        self, name: str, rate: float, stop: int, places: NDArray[np.int64], held_out: NDArray[np.int64] | None,
        head: HeadArrays | None, start: Snapshot | None, save: Callable[[Snapshot], None],
    ) -> tuple[Tuned, tuple[Round, ...]]:  # fmt: skip
        """Train a network; return it with the rounds that it took.

        Args:
            name: what the training is called.
            stop: steps after which it ends; the schedule is that of all steps.
            places, held_out: places in the subset of the samples to train on, and to validate on.
            start: where to go on from.
            save: takes a snapshot every so often.
        """
        budget = self.work.recipe.budget(len(self.work.indices))
        network = tuned(self.work, head)
        module = self._module(network, rate, stop, budget, places, held_out)
        with self.reporter.stage(name, total=stop * module.batches.batch) as advance:
            rounds = Rounds(name, self.work.recipe.patience, self.reporter, advance)
            saver = Saver(name, rounds, save, self.work.settings.seconds)
            if start is not None:
                module.step, rounds.done, saver.start = start.step, list(start.rounds), start
                module.loss_sum, module.loss_parts = torch.tensor(start.sums[0]), start.sums[1]
                advance(start.step * module.batches.batch)
            self._train(module, [rounds, saver])
        self.done.append(rounds)
        return network, tuple(rounds.done)

    def _module(
        self, network: Tuned, rate: float, stop: int, budget: Budget, places: NDArray[np.int64],
        held_out: NDArray[np.int64] | None,
    ) -> TuningModule:  # fmt: skip
        work, recipe, processor = self.work, self.work.recipe, self.work.model.processor()
        each = row_bytes(self.read(places[:1]))
        batches = TrainingBatches(
            lambda found: self.read(places[found]), work.targets[places], min(budget.batch, len(places)),
            work.settings.micro_batch, work.seed,
            lambda batch, seeds: processor.augmented(batch, recipe.augment, seeds), self.share,
            work.dataset.task.sizes(work.targets[places]),
        )  # fmt: skip
        validation = None
        if held_out is not None:
            size = work.settings.micro_batch or PREDICTED
            validation = PlainBatches(
                lambda found: self.read(held_out[found]), work.targets[held_out], size, self.share
            )
        return TuningModule(
            network, processor, work.dataset.task, recipe, rate, budget.steps, budget.until(stop), batches, validation,
            self._workers(each * (work.settings.micro_batch or max(budget.batch, PREDICTED))),
        )  # fmt: skip

    def _train(self, module: TuningModule, callbacks: list[Any]) -> None:
        left = sum(end > module.step for end in module.rounds)
        trainer = quiet_trainer(
            **self.trainer, precision=self.work.precision, callbacks=callbacks, max_epochs=left,
            accumulate_grad_batches=module.parts, num_sanity_val_steps=0, reload_dataloaders_every_n_epochs=1,
            limit_val_batches=None if module.validation_batches is not None else 0,
        )  # fmt: skip
        device = trainer.strategy.root_device
        drawing = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=drawing), translated_memory_errors(self.work), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # frozen norms are
            with interruptible():
                trainer.fit(module.train())
        if machine.stopping.is_set():  # during the last validation
            raise SystemExit(STOPPED)

    def _workers(self, batch: int) -> int:
        """Processes that augment ahead, as many as shared memory has room for; on a CPU they would take its cores.

        Args:
            batch: bytes of a batch.
        """
        waits = device_of({k: v for k, v in self.trainer.items() if k in ("accelerator",)}).type != "cpu"
        room = machine.shared_memory() / (AHEAD * batch)
        return int(min(8, machine.cores() // self.share.processes, room)) if waits else 0

    def predict(self, network: Tuned, stage: str, split: Split, indices: NDArray[np.int64], read: Read) -> Predictions:
        """Return this process's share of the predictions for samples of a split, in eval mode, not augmented.

        Args:
            indices: which samples, ascending.
            read: reads them by their place among the indices.
        """
        ready, size = for_inference(network.backbone, self.work.precision), self.work.settings.micro_batch or PREDICTED
        reader = self.work.model.processor().reader(split.samples)
        ordered = reader.order(indices[self.share.of(len(indices))])
        places = np.searchsorted(indices, ordered)
        batches = PlainBatches(lambda found: read(places[found]), split.targets[ordered], size, Share())
        with self.reporter.stage(stage, total=len(indices)) as advance:
            module = PredictingModule(
                Tuned(ready, network.head, self.work.model, frozen_norms=True), self.work.model.processor(),
                self.work.dataset.task, lambda count: advance(count * self.share.processes),
            )  # fmt: skip
            loader = torch.utils.data.DataLoader(batches, batch_size=None, generator=torch.Generator())
            trainer = quiet_trainer(**self.trainer, precision=self.work.precision)
            with translated_memory_errors(self.work), interruptible():
                trainer.test(module, loader, verbose=False)
        return type(module.parts[0]).concatenate(module.parts).rearranged(np.argsort(ordered))

    def test_reader(self) -> Read:
        """Return the reader of the test samples."""
        return self.work.model.processor().reader(self.work.dataset.test.samples).read


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C through as what it is: Lightning exits with code 1 after it, and leaves the signal ignored."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if error.code != 1:
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error


@contextmanager
def translated_memory_errors(work: Work) -> Iterator[None]:
    """Turn running out of memory into an error that names the setting to lower."""
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise AdaptationError(memory_message(work)) from error
        raise


def out_of_memory(error: BaseException) -> bool:
    """Say whether memory ran out, on a device or in the process."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


def can_be_cut(work: Work, micro_batch: int | None) -> bool:
    """Say whether batches can be cut into such parts: batch norms that are trained need two samples at once."""
    fewest = min(fewest_at_once(batch, micro_batch, work.settings.processes) for batch in work.batches)
    return fewest > 1 or not trains_norms(work)


def memory_message(work: Work) -> str:
    """Say what did not fit, and what to set."""
    batch = min(work.recipe.batch_size, len(work.indices))
    now = min(work.settings.micro_batch or batch, batch)
    return f"The memory does not hold {now} sample{'s' * (now != 1)} in training.\n" + (
        f"Set trainer.micro_batch={now // 2}: gradients are summed over the parts, so that each step"
        f" still takes {batch} samples."
        if now > 1 and can_be_cut(work, now // 2)
        else "Take a smaller model.input_size= or model.max_length=, precision=bf16-mixed, or adaptation=lora."
    )
