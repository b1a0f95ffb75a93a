"""Peak memory and seconds of the linear probe, each in a process of its own: `python -m benchmarks.memory`.

Features are synthetic. The limit is their size plus 1 GiB; Python, torch and Lightning count.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import row

CLASSES, TEST_ROWS, BLOCK = 10, 1_000, 1 << 10
GIB = 2**30


@dataclass(frozen=True)
class Probed:
    """What a probe took: seconds from the first read of features to the last prediction, and bytes at its peak."""

    seconds: float
    peak: float


class Stored:
    """Synthetic features in a feature store on disk."""

    def __init__(self, folder: str, width: int, labels: dict[str, NDArray[np.int64]]) -> None:
        """Fill the store, block by block."""
        from scaling.features import FeatureStore

        self.computed, store, rng = 0, FeatureStore(Path(folder)), np.random.default_rng(0)
        centres = 0.1 * rng.normal(size=(1 + max(map(np.max, labels.values())), width)).astype(np.float32)
        self.entries = {split: store.create({"split": split}, len(found), width, {}) for split, found in labels.items()}
        for split, found in labels.items():
            for start in range(0, len(found), BLOCK):
                rows = np.arange(start, min(start + BLOCK, len(found)))
                features = rng.standard_normal((len(rows), width), dtype=np.float32)
                self.entries[split].write(rows, features + centres[found[rows]])

    def rows(self, split: str, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return rows from the store."""
        return self.entries[split].read(indices)[0]


def probe(rows: int, width: int, classes: int) -> Probed:
    """Run the linear probe in this process."""
    from scaling.adapt.base import Context, Subset
    from scaling.adapt.linear_probe import LinearProbe
    from scaling.core.reporter import SilentReporter
    from scaling.datasets.base import Dataset, Split
    from scaling.machine import keep_freed_memory, peak_memory
    from scaling.modalities.images import ArrayImages

    keep_freed_memory()
    labels = {"train": np.arange(rows) % classes, "test": np.arange(TEST_ROWS) % classes}
    splits = [Split(ArrayImages(np.zeros((len(found), 1, 1, 1), np.uint8)), found) for found in labels.values()]
    dataset = Dataset("synthetic", tuple(map(str, range(classes))), *splits, "synthetic", "here")
    trainer = {"accelerator": "cpu", "devices": 1}
    with tempfile.TemporaryDirectory() as folder:
        features = Stored(folder, width, labels)
        context = Context(dataset, None, features, "32-true", trainer, SilentReporter())  # type: ignore[arg-type]
        started = time.perf_counter()
        LinearProbe().run(context, Subset(np.arange(rows), labels["train"], 0))
        return Probed(time.perf_counter() - started, peak_memory())


def measure(rows: int, width: int, classes: int = CLASSES) -> Probed:
    """Run the linear probe in a process of its own."""
    sizes = ["--rows", str(rows), "--width", str(width), "--classes", str(classes)]
    arguments = ["-m", "benchmarks.memory", "--here", *sizes]
    found = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    return Probed(*map(float, found.stdout.split()[-2:]))


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--here", action="store_true", help="measure this process and print seconds and bytes")
    options = parser.parse_args(arguments)
    if options.here:
        found = probe(options.rows, options.width, options.classes)
        print(found.seconds, found.peak)
        return
    size = options.rows * options.width * 4
    found = measure(options.rows, options.width, options.classes)
    row("features", "classes", "their size", "peak", "limit", "search and fit")
    row(*["---"] * 6)
    sizes = (f"{bytes / GIB:.2f} GiB" for bytes in (size, found.peak, size + GIB))
    row(f"{options.rows} × {options.width}", str(options.classes), *sizes, f"{found.seconds:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
