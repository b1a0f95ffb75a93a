"""The only room that knows MLflow: open the store, claim, log and finish runs, and fetch them back."""

from typing import Any

from scaling.core.curves import curves_of, newest_by_fingerprint
from scaling.metrics.columns import COLUMNS, rows
from scaling.tracking.store import RunStore

__all__ = ["RunStore", "fetch_runs"]


def fetch_runs(experiment: str = "scaling", uri: str | None = None) -> Any:
    """Return the finished points of an experiment as a pandas DataFrame with the columns of curves.csv.

    Args:
        experiment: name of the MLflow experiment.
        uri: the store; None for MLFLOW_TRACKING_URI, else mlruns/mlflow.db.

    Of several runs of one point the newest is returned.

    Raises:
        StoreError: there is no such experiment, or the store can't be read.
    """
    import pandas as pd

    store = RunStore(uri, experiment)
    store.must_exist()
    points, _ = newest_by_fingerprint(store.finished_points())
    return pd.DataFrame(rows(curves_of(points)), columns=list(COLUMNS))
