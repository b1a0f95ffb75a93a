"""scikit-learn's `LogisticRegression` (lbfgs) along a path of penalties, as fast as it gets to the same objective.

Each penalty starts from the solution of the one before, and has the loosest tolerance of TOLERANCES that reaches the
objective wanted; the search for it is not timed. So this side is told when to stop, where ours has to find out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCES = tuple(float(tolerance) for tolerance in 10.0 ** np.arange(-1, -7.1, -0.5))
MAX_ITERATIONS = 20_000

#: From weights (classes, d), intercepts (classes,) and a penalty to the objective.
Objective = Callable[[NDArray, NDArray, float], float]


@dataclass(frozen=True)
class SklearnPath:
    """How scikit-learn is run.

    Attributes:
        dtype: precision of features and weights.
        tolerances: one a penalty.
    """

    dtype: type[np.floating]
    penalties: tuple[float, ...]
    tolerances: tuple[float, ...]

    def fit(self, scaled: NDArray, labels: NDArray) -> list[tuple[NDArray, NDArray]]:
        """Return weights and intercepts of each penalty, for standardised features (n, d) of the dtype."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(warm_start=True, max_iter=MAX_ITERATIONS)
        heads = []
        for penalty, tolerance in zip(self.penalties, self.tolerances, strict=True):
            model.set_params(C=penalty, tol=tolerance).fit(scaled, labels)
            heads.append((model.coef_.copy(), model.intercept_.copy()))
        return heads


def loosest(
    scaled: NDArray,
    labels: NDArray,
    penalties: Sequence[float],
    objective: Objective,
    wanted: Sequence[float],
) -> SklearnPath:
    """Find the loosest tolerances whose objectives are not above those wanted, penalty by penalty.

    Each tolerance goes on from where the looser one before ended, which takes about as long as a single path.

    Raises:
        ValueError: no tolerance reaches an objective that is wanted.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(warm_start=True, max_iter=MAX_ITERATIONS)
    found = []
    for penalty, limit in zip(penalties, wanted, strict=True):
        for tolerance in TOLERANCES:
            model.set_params(C=penalty, tol=tolerance).fit(scaled, labels)
            if objective(model.coef_, model.intercept_, penalty) <= limit:
                break
        else:
            raise ValueError(f"scikit-learn does not reach {limit} at C = {penalty} in {scaled.dtype}.")
        found.append(tolerance)
    return SklearnPath(scaled.dtype.type, tuple(penalties), tuple(found))
