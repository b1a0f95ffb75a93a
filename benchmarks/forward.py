"""The frozen forward pass with and without glibc's thresholds raised: `python -m benchmarks.forward`.

Each measurement is a process of its own, for the thresholds can't be taken back; the two sides alternate.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import environment, row, spread

IMAGES, REPEATS = 4096, 5


def measure(thresholds: bool) -> float:
    """Return images a second of our forward stage, Lightning and store writing included, at 64 px in float32."""
    import time

    from scaling import machine
    from scaling.config import build, compose, plain
    from scaling.data import ArrayImages
    from scaling.features import FeatureStore
    from scaling.features.forward import compute
    from scaling.models import build as build_network

    if thresholds:
        machine.keep_freed_memory()
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28, 1), dtype=np.uint8)
    source = build(plain(compose(["model=efficientnet_lite0", "model.input_size=64"]))["model"])
    backbone = build_network(source)
    arguments = (source.resolved_preprocessing(), ArrayImages(pixels))
    with tempfile.TemporaryDirectory() as folder:
        entry = FeatureStore(Path(folder)).create({"benchmark": 1}, IMAGES, 1280, {})
        settings = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
        warm_up = np.arange(256)
        compute(entry, backbone, *arguments, warm_up, 64, settings, lambda rows: None)
        started = time.perf_counter()
        compute(entry, backbone, *arguments, np.arange(IMAGES), 64, settings, lambda rows: None)
        return IMAGES / (time.perf_counter() - started)


def in_process_of_its_own(thresholds: bool) -> float:
    """Run `measure` in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.forward", str(int(thresholds))],
        env=environment(), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the table, or with an argument one measurement."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1] == "1"))
        return
    pairs = [(in_process_of_its_own(True), in_process_of_its_own(False)) for _ in range(REPEATS)]
    raised, default = zip(*pairs, strict=True)
    row("EfficientNet-Lite0, 64 px, float32, batch 64", "images/s")
    row("---", "---")
    row("thresholds raised, as the product does", spread(raised, unit="", digits=0))
    row("glibc's defaults", spread(default, unit="", digits=0))
    row("ratio", spread([a / b for a, b in pairs], unit="×"))


if __name__ == "__main__":
    main()
