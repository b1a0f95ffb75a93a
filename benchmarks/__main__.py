"""Run all benchmarks and print their tables: `make bench`."""

from benchmarks import allocator, extrapolation, forward, grid, heads, intervals, memory, report, sweeps
from benchmarks.timing import describe_machine

if __name__ == "__main__":
    print(describe_machine())
    for module in (sweeps, forward, allocator, heads, memory, grid, extrapolation, intervals, report):
        print(f"\n{(module.__doc__ or '').splitlines()[0]}\n", flush=True)
        module.main()
