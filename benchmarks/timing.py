"""What the benchmarks share: repeated runs, their spread, and the machine that they ran on."""

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache

from scaling import machine

#: Repeats of each measurement: BENCH_REPEATS=1 for a first look.
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
#: Precision of forward passes: BENCH_PRECISION=bf16-mixed for processors that have bf16.
PRECISION = os.environ.get("BENCH_PRECISION", "32-true")


def command(*arguments: str, cwd: str) -> Callable[[], None]:
    """Return a function that runs `python -m ARGUMENTS` in a folder."""

    def run() -> None:
        subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, check=True, capture_output=True)

    return run


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Time a piece of work several times."""
    return [timed(work) for _ in range(repeats)]


def timed(work: Callable[[], object]) -> float:
    """Time a piece of work once."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: Sequence[float], unit: str = "s", digits: int = 2) -> str:
    """Write median, minimum and maximum."""
    median = statistics.median(values)
    return f"{median:.{digits}f} {unit} ({min(values):.{digits}f} … {max(values):.{digits}f})"


@cache
def show_machine() -> None:
    """Print the machine, once a process."""
    print(f"{describe_machine()}\n", flush=True)


def describe_machine() -> str:
    """Describe the machine and the settings of the run in one line."""
    import torch

    facts = machine.hardware()
    versions = machine.versions()
    return (
        f"{facts['processor']}, {facts['cores']} cores, {torch.get_num_threads()} threads, {facts['memory_gib']} GiB,"
        f" {torch.backends.cpu.get_cpu_capability()}, Python {versions['python']}, torch {versions['torch']},"
        f" {PRECISION}, {REPEATS} repeats"
    )


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> str:
    """Write the slope of log seconds over log size: 1 where cost is linear."""
    logs = [[math.log(value) for value in values] for values in (sizes, seconds)]
    return f"{statistics.linear_regression(*logs).slope:.2f}"


def row(*cells: str) -> None:
    """Print a row of a Markdown table; before the first one of a process, the machine."""
    show_machine()
    print(f"| {' | '.join(cells)} |", flush=True)
