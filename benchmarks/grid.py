"""Whole grids on Fashion-MNIST and EfficientNet-Lite0, against the articles' loop and a bare forward pass.

`python -m benchmarks.grid [ROW …]`, the rows being articles, second, double and whole. Grids that are timed without
start-up run in one process after a small warm-up grid.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import product

from benchmarks.timing import PRECISION, REPEATS, command, row, spread, timed
from benchmarks.workload import DATA, fashion_mnist, lite0

#: The allocator settings that the product makes for itself, as environment variables.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
ARTICLE_SIZES = (2_000, 4_000, 6_000, 8_000, 10_000)
TEST_IMAGES, ARTICLE_IMAGES = 10_000, 512
WHOLE, LARGEST = "n=1000,3000,10000,20000", 20_000


def settings(folder: str, size: int) -> list[str]:
    """Return the overrides that all grids share."""
    return [
        f"data.dir={DATA}", f"features.dir={folder}/features", f"tracking.uri=sqlite:///{folder}/mlflow.db",
        f"precision={PRECISION}", f"model.input_size={size}",
    ]  # fmt: skip


def run(*grid: Sequence[str]) -> float:
    """Run a grid, the product of lists of overrides, in this process; return its seconds."""
    from scaling.runs.spec import composed
    from scaling.runs.sweep import run_grid

    candidates = [(choice, composed(list(choice))) for choice in product(*grid)]

    def launch(runner, points):  # type: ignore[no-untyped-def]
        return [runner(item.spec, number, item.point.fingerprint) for number, item in enumerate(points)]

    return timed(lambda: run_grid(candidates, launch))


def measure(what: str, size: int) -> float:
    """Return the seconds of one grid after a warm-up; called in a process of its own."""
    if what == "forward":
        return bare_forward(size)
    with tempfile.TemporaryDirectory() as folder:
        shared = [[override] for override in settings(folder, size)]
        run(["dataset=digits"], ["n=100"], *shared)
        if what == "articles":
            sizes = [f"n={n}" for n in ARTICLE_SIZES]
            return run(["adaptation=as_is"], ["adaptation.label_space=raw"], sizes, *shared)
        if what == "second":
            points = (["n=1000", "n=2000"], [f"seed={seed}" for seed in range(5)])
            run(["adaptation=as_is"], ["adaptation.label_space=raw"], *points, *shared)
            seconds = run(["adaptation=linear_probe"], *points, *shared)
            return (seconds - fit_seconds(folder)) / 10
        adaptations = ["adaptation=linear_probe", "adaptation=knn"]
        return run(adaptations, ["n=1000", f"n={what}"], *shared)


def bare_forward(size: int) -> float:
    """Return the seconds of a hand-written pass over the images of the whole grid."""
    import torch

    from benchmarks.baselines.plain_forward import PlainForward
    from scaling.machine import keep_freed_memory
    from scaling.models import build

    keep_freed_memory()
    source, data = lite0(size), fashion_mnist()
    plain = PlainForward(build(source).network, source.processor(), PRECISION)
    parts = [part.samples.pixels[:LARGEST].copy() for part in (data.train, data.test)]  # type: ignore[attr-defined]
    pixels = torch.cat([torch.from_numpy(part) for part in parts])
    best = plain.best_batch_size(pixels)
    return timed(lambda: plain.run(pixels, best))


def fit_seconds(folder: str) -> float:
    """Return the seconds that the linear probes of a store spent in their fits."""
    from scaling.tracking import RunStore

    runs = RunStore(f"sqlite:///{folder}/mlflow.db", "scaling").runs()
    return sum(
        run.data.metrics["time/fit_s"] for run in runs
        if run.data.params.get("adaptation") == "linear_probe" and run.data.params["dataset"] == "fashion_mnist"
    )  # fmt: skip


def in_process_of_its_own(what: str, size: int) -> float:
    """Run `measure` in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.grid", "--here", what, str(size)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return float(done.stdout.splitlines()[-1])


def articles_loop(size: int, extra: dict[str, str]) -> float:
    """Return the seconds an image takes in the articles' loop."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.baselines.article_loop", DATA, str(size), str(ARTICLE_IMAGES), "1"],
        env=os.environ | extra, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1]) / ARTICLE_IMAGES


def against_the_articles() -> None:
    """Print the rows of the articles' loop: train and test at each of five n."""
    images = sum(ARTICLE_SIZES) + TEST_IMAGES * len(ARTICLE_SIZES)
    mine, plain, tuned = [], [], []
    for _ in range(REPEATS):
        plain.append(images * articles_loop(96, {}))
        mine.append(in_process_of_its_own("articles", 96))
        tuned.append(images * articles_loop(96, MALLOC))
    for name, target, theirs in (("", "≥ 15", plain), (", given our allocator settings", "≥ 7", tuned)):
        ratios = [other / own for other, own in zip(theirs, mine, strict=True)]
        row(
            f"the articles' loop{name} ÷ our grid, five n, 96 px", target, spread(ratios, "×", 1),
            f"{spread(mine, 's', 0)}; the loop {spread(theirs, 's', 0)}",
        )  # fmt: skip


def second_adaptation() -> None:
    """Print the row of an adaptation over features that are stored."""
    seconds = [in_process_of_its_own("second", 32) for _ in range(REPEATS)]
    row("a second adaptation over stored features, a point beyond its fit", "≤ 0.25 s", spread(seconds), "")


def twice_the_size() -> None:
    """Print the row of a grid up to 2 n against one up to n."""
    pairs = [(in_process_of_its_own("10000", 64), in_process_of_its_own("5000", 64)) for _ in range(REPEATS)]
    row(
        "cost at 2× the largest n ÷ cost at n (5 000)", "≤ 2.1", spread([a / b for a, b in pairs], "×"),
        f"{spread([a for a, _ in pairs], 's', 0)}; {spread([b for _, b in pairs], 's', 0)}",
    )  # fmt: skip


def whole_grid(size: int) -> None:
    """Print the row of a whole grid from the shell against a hand-written pass over its images."""
    mine, bare = [], []
    for _ in range(REPEATS):
        bare.append(in_process_of_its_own("forward", size))
        with tempfile.TemporaryDirectory() as folder:
            grid = (*settings(folder, size), WHOLE, "adaptation=linear_probe_fine,knn")
            mine.append(timed(command("scaling.run", "-m", *grid, cwd=folder)))
    over = [own - 1.15 * other for own, other in zip(mine, bare, strict=True)]
    row(
        f"whole grid from the shell, {WHOLE}, 13 penalties and kNN, {size} px", "≤ 1.15 × forward + 60 s",
        f"1.15 × forward + {spread(over, 's', 0)}", f"{spread(mine, 's', 0)}; forward pass {spread(bare, 's', 0)}",
    )  # fmt: skip


ROWS = {
    "articles": against_the_articles,
    "second": second_adaptation,
    "double": twice_the_size,
    "whole": lambda: whole_grid(96),
}


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table, or one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; none for all")
    parser.add_argument("--here", nargs=2, metavar=("WHAT", "SIZE"), help="measure in this process and print seconds")
    options = parser.parse_args(arguments)
    if options.here:
        print(measure(options.here[0], int(options.here[1])))
        return
    row(f"grids, {PRECISION}", "target", "measured", "seconds")
    row("---", "---", "---", "---")
    for name in options.rows or ROWS:
        ROWS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
