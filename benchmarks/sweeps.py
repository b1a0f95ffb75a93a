"""What a sweep costs beyond forward passes and fits: `python -m benchmarks.sweeps`.

Digits, raw pixels and kNN: features and votes take milliseconds, so nearly all that is timed is Hydra, Lightning,
MLflow and ourselves.
"""

import tempfile
from pathlib import Path

from benchmarks.report import make_store
from benchmarks.timing import command, row, seconds, spread

GRID = (
    "scaling.run", "-m", "model=pixels", "dataset=digits", "adaptation=knn",
    "n=100,200,300,400,500,600,700,800,900,1000", "seed=0,1,2,3,4,5,6,7,8,9",
)  # fmt: skip
REPEATS = 5


def main() -> None:
    """Print the table."""
    row("what", "target", "measured")
    row("---", "---", "---")
    with tempfile.TemporaryDirectory() as folder:
        row("`--help`", "< 1.5 s", spread(seconds(command("scaling.run", "--help", cwd=folder), REPEATS)))
        row("`plan=true`, 100 points", "< 5 s", spread(seconds(command(*GRID, "plan=true", cwd=folder), REPEATS)))
    per_point = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            single = seconds(command(*GRID[:-2], "n=100", "seed=0", cwd=folder), 1)[0]
            grid = seconds(command(*GRID, cwd=folder), 1)[0]
            per_point.append((grid - single) / 98)
    row("a point of a running sweep of 100, fit included", "≤ 0.5 s", spread(per_point))
    with tempfile.TemporaryDirectory() as folder:
        command(*GRID, cwd=folder)()
        row("a sweep whose 100 points are finished", "< 8 s", spread(seconds(command(*GRID, cwd=folder), REPEATS)))
        planning = seconds(command(*GRID, "plan=true", cwd=folder), REPEATS)
        row("`plan=true`, 100 points that are finished", "< 5 s", spread(planning))
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder), 100, kept=False)
        beside = (f"tracking.uri=sqlite:///{folder}/mlflow.db", "tracking.experiment=synthetic")
        planning = seconds(command(*GRID, *beside, "plan=true", cwd=folder), REPEATS)
        row("`plan=true`, 100 points, beside 10 000 runs", "≤ 3 s", spread(planning))


if __name__ == "__main__":
    main()
