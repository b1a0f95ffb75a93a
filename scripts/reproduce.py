"""Run the committed experiments that can run here, and write what came out to docs/reproduced.md.

    python scripts/reproduce.py [NAME …]     (all of conf/experiment without a name)

Finished points of the store are not run again, so an interrupted call goes on where it was.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from scaling import __version__, machine
from scaling.core.costs import duration
from scaling.core.curves import Curve, curves_of, newest_by_fingerprint
from scaling.core.errors import ScalingError
from scaling.core.published import Published, compare
from scaling.tracking import RunStore

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "conf" / "experiment"
PAGE = ROOT / "docs" / "reproduced.md"
#: Of an experiment with more curves than this, the page shows the best at its largest n.
MOST_CURVES = 4


@dataclass(frozen=True)
class Reproduced:
    """What an experiment came to here: its curves, or why there are none."""

    name: str
    curves: Sequence[Curve]
    expected: Sequence[Published]
    trouble: str = ""

    def row(self) -> str:
        """Return its row of the page."""
        points = [point for curve in self.curves for point in curve.points]
        command = f"`scaling run experiment={self.name}`"
        if not points:
            return f"| {command} | | | {self.trouble} | |"
        took = duration(sum(point.seconds or 0.0 for point in points))
        return f"| {command} | {len(points)} | {took} | {self.result()} | {self.verdict()} |"

    def result(self) -> str:
        """Say what the curves reach at their largest n."""
        reached = [
            (float(curve.band("test_score").mean[-1]), f"{curve.label}: {curve.points[0].metric}", int(curve.n[-1]))
            for curve in self.curves
        ]
        shown = reached if len(reached) <= MOST_CURVES else [max(reached)]
        texts = [f"{what} {score:.4f} at n = {n}" for score, what, n in shown]
        return "; ".join(texts) + (f" is the best of {len(reached)} curves" if len(shown) < len(reached) else "")

    def verdict(self) -> str:
        """Say how far the curves lie from what was expected."""
        off = [abs(item.measured - item.expected) for item in self.expected if item.measured is not None]
        if not off:
            return "nothing to compare with"
        agree = sum(item.verdict == "agrees" for item in self.expected)
        return f"{agree} of {len(off)} agree, {max(off):.4f} off at most"


def reproduce(name: str) -> Reproduced:
    """Run what is missing of an experiment, and read what there is."""
    done = subprocess.run(
        [sys.executable, "-m", "scaling.run", f"experiment={name}"],
        stderr=subprocess.PIPE, text=True, encoding="utf-8", check=False, cwd=Path.cwd(),
    )  # fmt: skip
    said = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
    config = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text(encoding="utf-8"))
    try:
        points, _ = newest_by_fingerprint(RunStore(None, name).finished_points())
    except ScalingError as error:
        points, said = [], [*said, str(error)]
    curves = curves_of(points)
    return Reproduced(name, curves, compare(config.get("expected", []), curves), (said or ["no point finished"])[0])


def page(found: Sequence[Reproduced]) -> str:
    """Return the page."""
    rows = "\n".join(item.row() for item in found)
    return f"""# Reproduced

`make reproduce` runs every committed experiment that can run where it is called, compares what comes out with the
figures that its config expects, and writes this page. Last with scaling-curves {__version__} on {machine.processor()},
{machine.cores()} cores; times are those of the points, one after the other, beside whatever else ran.

| command | points | took | result | expected |
| --- | --- | --- | --- | --- |
{rows}
"""


def main() -> None:
    """Run the command."""
    names = sys.argv[1:] or sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))
    PAGE.write_text(page([reproduce(name) for name in names]), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
