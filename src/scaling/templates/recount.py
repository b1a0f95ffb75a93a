"""Recount the scores of this report from the predictions of its runs: python recount.py. It needs numpy alone.

report/curves.csv has one row a grid point; runs/RUN_ID/ has what that run kept. A metric's value is the mean of one
value a test sample (values.npz, 16 bits each, hence the tolerance); an accuracy is also counted from labels and
predictions.
Scores on the training samples are taken as they were logged: their labels are not in here.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TOLERANCE = 1e-4  # of a value kept in 16 bits, as a share of the values' range
EXACT = 1e-9


def recounted(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Yield the metrics of a run's test set: name, value recounted, and how far it may be off."""
    if (folder / "values.npz").is_file():
        with np.load(folder / "values.npz", allow_pickle=False) as kept:
            for i, name in enumerate(kept["names"].tolist()):
                values = kept["centre"][i] + kept["step"][i] * kept[f"values{i}"].astype(float)
                yield name, float(values.mean()), TOLERANCE * max(1.0, np.ptp(values))
    with np.load(folder / "predictions.npz", allow_pickle=False) as kept:
        labels, predicted = kept["test_labels"], kept["test_predicted"]
    if labels.ndim == predicted.ndim == 1:
        yield "accuracy", float((labels == predicted).mean()), EXACT


def main() -> int:
    """Print what was recounted, and end with 1 where a figure of the report is another."""
    checked, wrong = 0, []
    with (HERE / "report" / "curves.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        folder = HERE / "runs" / row["run_id"]
        logged = {**json.loads((folder / "metrics.json").read_text(encoding="utf-8"))}
        logged[f"test/{row['metric']}"] = float(row["test_score"])
        where = f"{row['label']} n={row['n']} seed={row['seed']}"
        for name, value, tolerance in recounted(folder):
            if f"test/{name}" in logged:
                checked += 1
                if not abs(value - logged[f"test/{name}"]) <= tolerance:
                    wrong.append(f"{where}: test {name} is {logged[f'test/{name}']}, recounted {value}")
        checked += 1
        if not abs(float(row["test_score"]) - float(row["train_score"]) - float(row["upgradeability"])) <= EXACT:
            wrong.append(f"{where}: upgradeability {row['upgradeability']} is not test - train")
    print("\n".join([*wrong, f"{len(rows)} grid points, {checked} figures recounted, {len(wrong)} differ"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
