"""Evaluate a grid point from Python, without a run: the notebook's way in."""

from typing import Any

from scaling.core.reading import shown
from scaling.metrics import Score
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed


def evaluate_point(*overrides: str, **settings: Any) -> Score:
    """Evaluate one grid point and return its scores; features are stored, nothing is logged.

    Args:
        overrides: as on the command line, e.g. "adaptation.k=1".
        settings: the same for names without a dot: model="pixels", dataset="digits", n=100, seed=0.

    Raises:
        ScalingError: a setting, the data or the weights can't be used.

    >>> evaluate_point(model="pixels", dataset="digits", adaptation="knn", n=100).test_score > 0.8
    True
    """
    given = [*overrides, *(f"{name}={shown(value)}" for name, value in settings.items())]
    job = Job(composed(given))
    score = evaluate_job(job).score
    job.forget_checkpoint()
    return score
