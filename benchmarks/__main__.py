"""Run all benchmarks and print their tables: `make bench`."""

from benchmarks import (
    allocator,
    extrapolation,
    forward,
    grid,
    heads,
    intervals,
    large,
    memory,
    report,
    sweeps,
    text,
    training,
)
from benchmarks.timing import show_machine

MODULES = (sweeps, forward, training, text, allocator, heads, memory, large, grid, extrapolation, intervals, report)

if __name__ == "__main__":
    show_machine()
    for module in MODULES:
        print(f"\n{(module.__doc__ or '').splitlines()[0]}\n", flush=True)
        module.main()
