"""The linear probe up to a million samples, a thousand classes, kNN among a million: `python -m benchmarks.large`.

Features are synthetic and lie in a feature store on disk; each fit has a process of its own, whose time counts from the
first read of features to the last prediction.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.memory import GIB, measure
from benchmarks.timing import exponent, row, spread

SIZES = (1_000, 3_000, 10_000, 30_000, 60_000)
HUGE = (100_000, 300_000, 1_000_000)
#: Width of EfficientNet-Lite0's features; and of the huge sets', so that a million rows are 1 GiB.
WIDTH, NARROW = 1280, 256
ASKED = 1_000
MANY_ROWS, MANY_WIDTH, MANY_CLASSES = 100_000, 768, 1_000


def probes(sizes: Sequence[int], width: int, repeats: int) -> None:
    """Print seconds and peak memory of the linear probe over n, and the exponent from 10 000 samples up."""
    medians = []
    for n in sizes:
        found = [measure(n, width) for _ in range(repeats)]
        medians.append(float(np.median([one.seconds for one in found])))
        peak = max(one.peak for one in found)
        row(f"{n} × {width}, 10 classes", spread([one.seconds for one in found]), f"{peak / GIB:.2f} GiB")
    large = [i for i, n in enumerate(sizes) if n >= 10_000]
    if len(large) > 1:
        slope = exponent([sizes[i] for i in large], [medians[i] for i in large])
        row(f"exponent over n, from {sizes[large[0]]}", slope, "≤ 1.1")


def neighbours(rows: int, width: int, repeats: int) -> None:
    """Print the seconds of a search of `rows` for the neighbours of ASKED others, in parts and at once."""
    import torch

    from scaling.adapt import knn
    from scaling.tasks.classification import Classification

    draw = np.random.default_rng(0)
    bank, asking = (draw.standard_normal((count, width), dtype=np.float32) for count in (rows, ASKED))
    targets, task = np.arange(rows) % 10, Classification(tuple("abcdefghij"))
    for part in (knn.BANK_ROWS, rows):
        knn.BANK_ROWS, took = part, []
        head = knn._Vote(knn.Knn(), bank.copy(), targets, task).at(5)
        for _ in range(repeats):
            started = time.perf_counter()
            head(torch.from_numpy(asking))
            took.append(time.perf_counter() - started)
        row(f"kNN: {ASKED} rows among {rows} × {width}, {part} at a time", spread(took), "")


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--huge", type=int, nargs="*", default=HUGE)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--many", type=int, default=1, help="how often a thousand classes are fitted")
    parser.add_argument("--banks", type=int, nargs="*", default=[100_000, 1_000_000])
    options = parser.parse_args(arguments)
    row("features", "seconds", "peak memory")
    row(*["---"] * 3)
    probes(options.sizes, WIDTH, options.repeats)
    probes(options.huge, NARROW, options.repeats)
    for _ in range(options.many):
        found = measure(MANY_ROWS, MANY_WIDTH, MANY_CLASSES)
        row(
            f"{MANY_ROWS} × {MANY_WIDTH}, {MANY_CLASSES} classes", f"{found.seconds:.1f} s",
            f"{found.peak / GIB:.2f} GiB, limit 8 GiB",
        )  # fmt: skip
    for rows in options.banks:
        neighbours(rows, NARROW, options.repeats)


if __name__ == "__main__":
    main(sys.argv[1:])
