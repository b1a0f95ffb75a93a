"""The forward stage with and without glibc's thresholds raised: `python -m benchmarks.allocator`.

Each measurement is a process of its own, for the thresholds can't be taken back; the two sides alternate.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import PRECISION, REPEATS, row, spread, timed
from benchmarks.workload import lite0

IMAGES, SIZE, BATCH = 2048, 64, 64


def measure(thresholds: bool) -> float:
    """Return images a second of our forward stage, Lightning and store writing included."""
    from scaling import machine
    from scaling.features import FeatureStore
    from scaling.features.forward import forward_pass
    from scaling.modalities.images import ArrayImages

    if thresholds:
        machine.keep_freed_memory()
    images = ArrayImages(np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28, 1), dtype=np.uint8))
    forward = forward_pass(lite0(SIZE), PRECISION, BATCH, False)
    trainer = {"accelerator": "cpu", "devices": 1, "precision": PRECISION}
    with tempfile.TemporaryDirectory() as folder:
        entry = FeatureStore(Path(folder)).create({"benchmark": 1}, IMAGES, 1280, {})
        forward.compute(entry, images, np.arange(256), None, trainer, lambda rows: None)  # warms up
        everything = np.arange(IMAGES)
        return IMAGES / timed(lambda: forward.compute(entry, images, everything, None, trainer, lambda rows: None))


def in_process_of_its_own(thresholds: bool) -> float:
    """Run `measure` in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.allocator", str(int(thresholds))],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the table, or with an argument one measurement."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1] == "1"))
        return
    pairs = [(in_process_of_its_own(True), in_process_of_its_own(False)) for _ in range(REPEATS)]
    raised, default = zip(*pairs, strict=True)
    row(f"EfficientNet-Lite0, {SIZE} px, {PRECISION}, batch {BATCH}", "images/s")
    row("---", "---")
    row("thresholds raised, as the product does", spread(raised, unit="", digits=0))
    row("glibc's defaults", spread(default, unit="", digits=0))
    row("ratio", spread([a / b for a, b in pairs], unit="×"))


if __name__ == "__main__":
    main()
