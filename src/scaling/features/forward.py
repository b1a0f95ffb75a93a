"""The frozen forward pass: a Lightning prediction over batches, written to the store as it goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling import machine
from scaling.core.errors import ModelError
from scaling.features.batches import Batches, BatchSizer
from scaling.features.layout import Layout
from scaling.features.store import FeatureEntry
from scaling.lightning import device_of, quiet_trainer
from scaling.modalities.base import Batch, Samples, row_bytes, to
from scaling.models.base import Backbone, ModelSource, build
from scaling.models.inference import for_inference

#: Rows are made durable about this often: what a killed job loses at most, in seconds of work.
FLUSH_SECONDS = 1.0
#: Batch sizes that are tried where none is given.
PROBE_BATCHES = (8, 32, 64, 64, 64)
HALVES = {"bf16-true": torch.bfloat16, "16-true": torch.float16}
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
CPU_SIZES, ACCELERATOR_SIZES = (32, 64, 128, 256), (64, 128, 256, 512, 1024)


class FeatureModule(pl.LightningModule):
    """A frozen backbone behind the model's processor."""

    def __init__(self, network: nn.Module, source: ModelSource) -> None:
        super().__init__()
        self.network, self.source, self.processor = network, source, source.processor()

    def predict_step(self, batch: tuple[Tensor, Batch], batch_idx: int) -> tuple[Tensor, Tensor]:
        """Return the batch's indices, and features (rows, d)."""
        indices, samples = batch
        return indices, self.source.encode(self.network, self.processor.prepare(samples))


class StoreWriter(pl.Callback):
    """Writes predicted rows to the store about once a second, and at the end; times the batches."""

    def __init__(
        self, entry: FeatureEntry, batches: Batches, advance: Callable[[int], None], layout: Layout | None = None
    ) -> None:
        self.entry, self.batches, self.advance = entry, batches, advance
        self.layout = layout or Layout.single(entry.rows)
        self.waiting: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self.flushed = self.ended = time.monotonic()
        self.running = batches.sizer.best

    def on_predict_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, *_: Any) -> None:
        """Note the size of the batch, in case memory does not hold it."""
        self.running = self.batches.proposed[0]

    def on_predict_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        """Take a batch's rows, or raise ModelError where they aren't finite."""
        indices, features = (part.cpu().numpy() for part in outputs)
        rows = self.layout.rows(indices)
        if len(rows) != len(features):
            raise ModelError(
                f"The network puts out {len(features)} rows of features for {len(indices)} samples, expected"
                f" {len(rows)}.\n"
                "Take a model that reads the parts of a sample, such as the words of a sentence."
            )
        if not (finite := np.isfinite(features).all(1)).all():
            first = self.layout.samples(rows[~finite])[0]
            raise ModelError(
                f"Of sample {first} (counted from 0) the network puts out numbers that are not finite.\n"
                "With 16-true and 16-mixed they end at 65 504: take precision=bf16-mixed or 32-true; else the weights"
                " are damaged."
            )
        self.waiting.append((rows, features))
        self.advance(len(indices))
        now = time.monotonic()
        size = self.batches.proposed.popleft()
        each = row_bytes(batch[1]) * len(indices) / size  # what was read, padding included, for one of its size
        self.batches.sizer.record(size, (now - self.ended) / each)
        self.ended = now
        if time.monotonic() - self.flushed >= FLUSH_SECONDS:
            self.flush()

    def on_predict_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Write what is left."""
        self.flush()

    def on_exception(self, trainer: pl.Trainer, module: Any, exception: BaseException) -> None:
        """Write what was finished before."""
        self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self.waiting:
            rows, features = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
            ascending = np.argsort(rows)
            self.entry.write(rows[ascending], features[ascending])
        self.waiting.clear()
        self.flushed = time.monotonic()


@dataclass(frozen=True)
class ForwardPass:
    """A backbone made ready for one precision, with the batch size that suits it."""

    network: nn.Module
    source: ModelSource
    sizer: BatchSizer

    def compute(
        self,
        entry: FeatureEntry,
        samples: Samples,
        indices: NDArray[np.int64],
        workers: int | None,
        trainer: dict[str, Any],
        advance: Callable[[int], None],
        layout: Layout | None = None,
    ) -> None:
        """Compute the features of some samples and write them to an entry of the store.

        Args:
            indices: which samples, ascending, shape (k,).
            workers: threads that read ahead; None for one a core where reading is slow, or an accelerator waits.
            trainer: keyword arguments of the Lightning Trainer; its precision is that of the pass.
            advance: called with the number of samples done, batch by batch.
            layout: where their rows lie in the entry; None where each has one.

        Raises:
            ModelError: not even a batch of one sample fits the accelerator's memory.
        """
        reader = self.source.processor().reader(samples)
        layout = layout or Layout.single(entry.rows)
        if workers is None:
            workers = machine.cores() if reader.slow or device_of(trainer).type != "cpu" else 0
        while len(indices):
            ordered = reader.order(indices)
            loader = Batches(reader.read, ordered, self.sizer, workers, reader.lengths(ordered))
            writer = StoreWriter(entry, loader, advance, layout)
            runner = quiet_trainer(**trainer, callbacks=[writer])
            try:
                runner.predict(FeatureModule(self.network, self.source), loader, return_predictions=False)
                return
            except torch.cuda.OutOfMemoryError as error:
                if self.sizer.shrink(writer.running) == 0:
                    raise ModelError(
                        "The accelerator's memory does not hold the network and one sample.\n"
                        "Take precision=bf16-true, a smaller model.input_size= or model.max_length=, or trainer=cpu."
                    ) from error
                torch.cuda.empty_cache()
                indices = indices[~layout.whole(entry.present())[indices]]


def forward_pass(source: ModelSource, precision: str, batch_size: int | None, accelerated: bool) -> ForwardPass:
    """Make a model ready once a process, for as long as the sweep stays with it; None tries batch sizes."""
    return _forward_pass(source, source.version(), precision, batch_size, accelerated)


@lru_cache(maxsize=1)
def _forward_pass(
    source: ModelSource, version: str | None, precision: str, batch_size: int | None, accelerated: bool
) -> ForwardPass:
    sizes = (batch_size,) if batch_size is not None else ACCELERATOR_SIZES if accelerated else CPU_SIZES
    return ForwardPass(for_inference(build(source).network, precision), source, BatchSizer(sizes))


def time_forward(
    source: ModelSource, precision: str, trainer: dict[str, Any], samples: Samples, budget: float
) -> tuple[float, float]:
    """Run batches of the first samples for about `budget` seconds; return samples and seconds of the best batch."""
    encode, best, used = encoder(source, precision, trainer, samples), (1.0, float("inf")), 0.0
    for size in PROBE_BATCHES:
        started = time.perf_counter()
        indices = np.arange(min(size, len(samples)))
        encode(indices)
        seconds = time.perf_counter() - started
        if best[1] / best[0] > seconds / len(indices):
            best = (float(len(indices)), seconds)
        used += seconds
        if used > budget:
            break
    return best


def encoder(
    source: ModelSource, precision: str, trainer: dict[str, Any], samples: Samples
) -> Callable[[NDArray[np.int64]], Tensor]:
    """Return a function that computes the features (rows, d) of some samples in one batch; nothing is stored."""
    device = device_of(trainer)
    forward = forward_pass(source, precision, None, device.type != "cpu")
    network = forward.network.to(device, HALVES.get(precision))
    processor = source.processor()
    reader = processor.reader(samples)

    @torch.inference_mode()
    def encode(indices: NDArray[np.int64]) -> Tensor:
        with torch.autocast(device.type, MIXED.get(precision), enabled=precision in MIXED):
            return source.encode(network, processor.prepare(to(reader.read(indices), device))).cpu()

    return encode


@torch.inference_mode()
def width(source: ModelSource, backbone: Backbone, samples: Samples) -> int:
    """Return the number of features of one sample, without a pass where the head tells it."""
    if backbone.head is not None:
        return backbone.head.in_features
    return int(source.encode(backbone.network, first_sample(source, samples)).shape[1])


def first_sample(source: ModelSource, samples: Samples) -> Batch:
    """Return a batch of the first sample as the network gets it."""
    processor = source.processor()
    return processor.prepare(processor.reader(samples).read(np.array([0])))
