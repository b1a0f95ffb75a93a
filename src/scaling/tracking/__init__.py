"""The only room that knows MLflow: open the store, claim, log and finish runs, and fetch them back."""

from typing import Any

from scaling.core.curves import curves_of, newest_by_fingerprint
from scaling.metrics.columns import COLUMNS, rows
from scaling.tracking.artifacts import RunLinks
from scaling.tracking.connection import few_retries, resolve_uri
from scaling.tracking.delivery import Delivered
from scaling.tracking.predictions import StoredSamples
from scaling.tracking.records import (
    ABSENT,
    BACKBONE,
    COMMAND,
    CONTRADICTIONS,
    CURVE,
    FINGERPRINT,
    FLAG,
    KIND,
    LEAKAGE,
    MACHINE,
    METRIC,
    PARENT,
    POOL,
    PRECISION_USED,
    REASON,
    SWEEP,
    Claim,
    PointState,
    Sweep,
    is_stale,
    metric_key,
    opened,
    point_of,
    to_point,
)  # fmt: skip
from scaling.tracking.store import RunStore

__all__ = [
    "ABSENT", "BACKBONE", "COMMAND", "CONTRADICTIONS", "CURVE", "FINGERPRINT", "FLAG", "KIND", "LEAKAGE", "MACHINE",
    "METRIC", "PARENT", "POOL", "PRECISION_USED", "REASON", "SWEEP", "Claim", "Delivered", "PointState", "RunLinks",
    "RunStore", "StoredSamples", "Sweep", "fetch_runs", "few_retries", "is_stale", "metric_key", "opened", "point_of",
    "resolve_uri", "to_point",
]  # fmt: skip


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
