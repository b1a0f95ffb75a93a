"""The forward stage, Lightning and store writing included, against a hand-written pass: `python -m benchmarks.forward`.

Both sides alternate in one process, on the same uint8 arrays, at the same precision, with batch norms folded and
glibc's thresholds raised.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from benchmarks.baselines.plain_forward import PlainForward
from benchmarks.timing import PRECISION, REPEATS, row, spread, timed
from benchmarks.workload import fashion_mnist, lite0, model
from scaling import machine
from scaling.features import FeatureStore
from scaling.features.batches import Batches, BatchSizer
from scaling.features.forward import FeatureModule, StoreWriter, forward_pass
from scaling.lightning import quiet_trainer
from scaling.modalities.images import ArrayImages
from scaling.models import NetworkSource

TRAINER = {"accelerator": "cpu", "devices": 1, "precision": PRECISION}


def ours(source: NetworkSource, pixels: Tensor) -> float:
    """Return images a second of our forward stage into a fresh store."""
    forward = forward_pass(source, PRECISION, None, False)
    images = ArrayImages(pixels.numpy())
    with tempfile.TemporaryDirectory() as folder:
        entry = FeatureStore(Path(folder)).create({"benchmark": 1}, len(images), width(source), {})
        arguments = (entry, images, np.arange(len(images)), None, TRAINER, lambda rows: None)
        return len(images) / timed(lambda: forward.compute(*arguments))


def width(source: NetworkSource) -> int:
    """Return the number of features."""
    from scaling.models import build

    head = build(source).head
    assert head is not None
    return head.in_features


def compare(name: str, source: NetworkSource, count: int) -> None:
    """Print a row: ours, hand-written, ratio."""
    from scaling.models import build

    pixels = torch.from_numpy(fashion_mnist().test.samples.pixels[:count].copy())  # type: ignore[attr-defined]
    plain = PlainForward(build(source).network, source.processor(), PRECISION)
    best = plain.best_batch_size(pixels)
    ours(source, pixels)  # finds its batch size
    pairs = []
    for _ in range(REPEATS):
        other = count / timed(lambda: plain.run(pixels, best))
        pairs.append((ours(source, pixels), other))
    mine, others = zip(*pairs, strict=True)
    row(
        f"{name}, {count} images", "≥ 0.90", spread([a / b for a, b in pairs], unit="×"),
        spread(mine, "/s", 0), f"{spread(others, '/s', 0)}, batches of {best}",
    )  # fmt: skip


def cost_of_a_batch() -> list[float]:
    """Return the milliseconds that Lightning and the store add to a batch of a plain loop, around an idle network."""
    batches, size, features = 500, 64, 1280
    pixels = np.zeros((batches * size, 1, 1, 1), np.uint8)
    rows = torch.zeros(size, features)

    class Nothing(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return rows[: len(batch)]

    preprocessing = lite0(1).processor()
    found = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            entry = FeatureStore(Path(folder)).create({"benchmark": 2}, len(pixels), features, {})
            sizer = BatchSizer((size,))
            loader = Batches(lambda indices: torch.from_numpy(pixels[indices]), np.arange(len(pixels)), sizer, 0)
            writer = StoreWriter(entry, loader, lambda count: None)
            trainer: pl.Trainer = quiet_trainer(**TRAINER, callbacks=[writer])
            module = FeatureModule(Nothing(), preprocessing)
            lightning = timed(lambda t=trainer, m=module, b=loader: t.predict(m, b, return_predictions=False))

            def plain(batches: Batches = loader, module: FeatureModule = module) -> None:
                with torch.inference_mode():
                    for batch in batches:
                        module.predict_step(batch, 0)

            found.append((lightning - timed(plain)) / batches * 1e3)
    return found


def main() -> None:
    """Print the table."""
    machine.keep_freed_memory()
    row(f"forward pass, {PRECISION}", "target", "ratio", "ours", "hand-written")
    row("---", "---", "---", "---", "---")
    compare("EfficientNet-Lite0 at 96 px", lite0(96), 4096)
    compare("ResNet-50 at 224 px", model("resnet50", 224, "model.pretrained=false"), 128)
    row("Lightning and the store over a plain loop", "≤ 1 ms a batch", spread(cost_of_a_batch(), "ms"), "", "")


if __name__ == "__main__":
    main()
