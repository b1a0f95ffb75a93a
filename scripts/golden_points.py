"""Write the golden points: a dozen grid points whose scores no change of structure may move.

    python scripts/golden_points.py          # compare with tests/golden/points.json, on this machine to 1e-6
    python scripts/golden_points.py --write  # write it anew, only where a change of numbers is meant

Features and data are taken from the working directory. Processors round differently: the file names the one that it was
written on, and elsewhere the tolerance is that of a few samples of a class.
"""

import json
import sys
from pathlib import Path

from scaling import evaluate_point
from scaling.core.errors import DataError
from scaling.machine import cores, processor

FILE = Path(__file__).resolve().parents[1] / "tests" / "golden" / "points.json"
SHORT = "adaptation.min_steps=10 adaptation.max_steps=10 adaptation.rounds=2 adaptation.batch_size=16"
RAW = "adaptation=as_is adaptation.label_space=raw"
SMALL = "model=efficientnet_lite0 model.input_size=32"
POINTS = (
    "model=pixels dataset=digits adaptation=knn n=100 seed=0",
    "model=pixels dataset=digits adaptation=knn_euclidean n=full seed=0",
    "model=pixels dataset=digits adaptation=linear_probe n=200 seed=1",
    f"{SMALL} dataset=digits {RAW} n=100 seed=0",
    f"{SMALL} dataset=digits adaptation=linear_probe n=100 seed=0",
    f"{SMALL} dataset=digits adaptation=finetune_short {SHORT} n=50 seed=0",
    "model=pixels dataset=fashion_mnist adaptation=knn_euclidean n=1000 seed=0",
    "model=pixels dataset=fashion_mnist adaptation=linear_probe n=1000 seed=1",
    f"{SMALL} dataset=fashion_mnist {RAW} n=1000 seed=0",
    f"{SMALL} dataset=fashion_mnist adaptation=knn n=1000 seed=0",
    f"{SMALL} dataset=fashion_mnist adaptation=linear_probe n=1000 seed=0",
    f"{SMALL} dataset=fashion_mnist adaptation=finetune_short {SHORT} n=100 seed=0",
)


def rounding() -> str:
    """Name what decides how sums are rounded here."""
    import torch

    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}, {cores()} cores"


def differences(got: dict[str, float], expected: dict[str, float], tolerance: float) -> list[str]:
    """Say which scores differ by more than a tolerance, or are there on one side alone."""
    missing = [f"{name}: on one side alone" for name in sorted(got.keys() ^ expected.keys())]
    return missing + [
        f"{name}: got {got[name]!r}, expected {expected[name]!r}"
        for name in sorted(got.keys() & expected.keys())
        if not abs(got[name] - expected[name]) <= tolerance
    ]


def main() -> int:
    """Compute the points and compare or write them."""
    written = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"points": {}}
    tolerance = 1e-6 if written.get("rounding") == rounding() else 0.06
    points, wrong = {}, 0
    for overrides in POINTS:
        try:
            points[overrides] = evaluate_point(*overrides.split()).metrics()
        except DataError as error:
            print(f"left out: {overrides}: {error}")
            continue
        if "--write" not in sys.argv:
            found = differences(points[overrides], written["points"].get(overrides, {}), tolerance)
            wrong += bool(found)
            print("\n  ".join([f"{'differs' if found else 'same'}: {overrides}", *found]))
    if "--write" in sys.argv:
        FILE.write_text(json.dumps({"rounding": rounding(), "points": points}, indent=1) + "\n", encoding="utf-8")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
