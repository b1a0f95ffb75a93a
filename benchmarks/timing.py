"""What the benchmarks share: repeated runs, their spread, and the machine that they ran on."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from scaling import machine


def environment() -> dict[str, str]:
    """Return the environment for timed processes: no settings that slow down one side of a comparison."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}


def command(*arguments: str, cwd: str) -> Callable[[], None]:
    """Return a function that runs `python -m ARGUMENTS` in a folder."""

    def run() -> None:
        subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, env=environment(), check=True, capture_output=True)

    return run


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Time a piece of work several times."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found


def spread(values: Sequence[float], unit: str = "s", digits: int = 2) -> str:
    """Write median, minimum and maximum."""
    median = statistics.median(values)
    return f"{median:.{digits}f} {unit} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def describe_machine() -> str:
    """Describe the machine in one line."""
    import torch

    facts = machine.hardware()
    versions = machine.versions()
    return (
        f"{facts['processor']}, {facts['cores']} cores, {torch.get_num_threads()} threads, {facts['memory_gib']} GiB,"
        f" Python {versions['python']}, torch {versions['torch']}"
    )


def row(*cells: str) -> None:
    """Print a row of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)
