"""Fine-tuning through Lightning against a hand-written loop: `python -m benchmarks.training`.

Both sides alternate in one process, on the same uint8 images, with the same augmentation, precision, threads and
batch; ours includes Lightning, its reports and its rounds.
"""

import argparse

import numpy as np
import torch

from benchmarks.baselines.plain_training import PlainTraining, best_threads
from benchmarks.timing import REPEATS, row, spread
from benchmarks.workload import fashion_mnist, lite0
from scaling import machine
from scaling.core.reporter import SilentReporter
from scaling.modalities.base import Read
from scaling.modalities.images.augment import augmentation
from scaling.modalities.images.samples import IMAGES
from scaling.models import build
from scaling.training import Recipe, TrainingSettings, Work
from scaling.training.batches import Share
from scaling.training.fit import Run

TRAINER = {"accelerator": "cpu", "devices": 1}
SAMPLES = 256


def work(size: int, batch: int, steps: int) -> Work:
    """Return a training of that many steps on the first images."""
    data = fashion_mnist()
    recipe = Recipe((1e-4,), batch_size=batch, min_steps=steps, max_steps=steps, patience=None, rounds=2)
    indices = np.arange(SAMPLES)
    return Work(
        recipe, None, data, lite0(size), indices, data.train.labels[:SAMPLES], 0, None, (None, None), "32-true",
        TRAINER, TrainingSettings(),
    )  # fmt: skip


def ours(training: Work) -> float:
    """Return images a second, as a run logs them: over whole steps, from the first batch to the last."""
    run = Run(training, Share(), read(training), TRAINER, SilentReporter())
    budget = training.recipe.budget(SAMPLES)
    run.fit("fit", 1e-4, budget.steps, np.arange(SAMPLES), None, None, None, lambda snapshot: None)
    assert sum(rounds.samples for rounds in run.done) == budget.steps * budget.batch
    return run.samples_per_s


def read(training: Work) -> Read:
    """Return a reader of the training's images by their places."""
    assert training.model is not None
    return training.model.processor().reader(training.dataset.train.samples).held(training.indices)


def compare(size: int, batch: int, steps: int) -> None:
    """Print a row: ours, hand-written, ratio."""
    training = work(size, batch, steps)
    source = training.model
    images = read(training)(training.indices)[IMAGES]
    labels = torch.from_numpy(training.labels)
    augment = augmentation(training.recipe.augment, size, size)
    plain = PlainTraining(build(source).network, 1280, 10, source.processor())
    threads = best_threads(plain, images, labels, batch, augment)
    torch.set_num_threads(threads)
    pairs = []
    for _ in range(REPEATS):
        other = plain.run(images, labels, batch, steps, augment)
        pairs.append((ours(training), other))
    mine, others = zip(*pairs, strict=True)
    row(
        f"EfficientNet-Lite0 at {size} px, batches of {batch}, {threads} threads", "≥ 0.95",
        spread([a / b for a, b in pairs], "×"), spread(mine, "/s", 0), spread(others, "/s", 0),
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    steps = parser.parse_args(arguments or []).steps
    machine.keep_freed_memory()
    row("fine-tuning, 32-true", "target", "ratio", "ours", "hand-written")
    row("---", "---", "---", "---", "---")
    for batch in (32, 64):
        compare(32, batch, steps)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
