"""Classical forms of learning curves, fitted by weighted least squares.

All forms are of z = n / n_max. Scales and asymptotes enter linearly and are solved for; exponents and breaks come from
a fixed grid, refined from its best node. So there is no starting point to get wrong, and no fit diverges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from scaling.core.extrapolation.observations import Floats, Observations

#: Weight of a point falls by 2^-LATENESS an octave before the last.
LATENESS = 0.5
#: Relative deviation that any form is allowed, so that no point counts infinitely.
MISFIT = 0.01
#: Values of an exponent on the grid, and its bounds in the refinement.
EXPONENTS, EXPONENT = (0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.5), (0.0, 5.0)


@dataclass(frozen=True)
class Form:
    """A family of curves.

    Attributes:
        names: its nonlinear parameters.
        grid: their values on the grid, one tuple a parameter.
        bounds: of each in the refinement.
        basis: (z (k,), nonlinear parameters) → (k, l), of which the curve is a non-negative combination.
    """

    names: tuple[str, ...]
    grid: tuple[tuple[float, ...], ...]
    bounds: tuple[tuple[float, float], ...]
    basis: Callable[[Floats, tuple[float, ...]], Floats]


def _power_law_asymptote(z: Floats, parameters: tuple[float, ...]) -> Floats:
    (c,) = parameters
    return np.stack([np.ones_like(z), z**-c], axis=1)


POWER_LAW_ASYMPTOTE = Form(("c",), (EXPONENTS,), (EXPONENT,), _power_law_asymptote)


@dataclass(frozen=True)
class FormFit:
    """A classical form fitted to one curve.

    Attributes:
        form: which one.
        parameters: nonlinear parameters by name.
        coefficients: of the basis, in units of error; the first is the asymptote where there are two.
        chi_squared: weighted sum of squared relative residuals.
        observations: the curve.
    """

    form: Form
    parameters: dict[str, float]
    coefficients: tuple[float, ...]
    chi_squared: float
    observations: Observations

    def predict(self, n: ArrayLike) -> Floats:
        """Return the error at sizes n, shape (t,), between 0 and the curve's limit."""
        z = np.atleast_1d(np.asarray(n, dtype=np.float64)) / self.observations.largest
        basis = self.form.basis(z, tuple(self.parameters.values()))
        return np.clip((basis * np.array(self.coefficients)).sum(1), 0.0, self.observations.limit)


def non_negative(basis: Floats, y: Floats) -> tuple[Floats, float]:
    """Solve least squares with one or two non-negative coefficients; return them and the sum of squares."""
    if basis.shape[1] == 2:
        gram, right = basis.T @ basis, basis.T @ y
        determinant = gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2
        if determinant > 1e-12 * gram[0, 0] * gram[1, 1]:
            first = gram[1, 1] * right[0] - gram[0, 1] * right[1]
            both = np.array([first, gram[0, 0] * right[1] - gram[0, 1] * right[0]]) / determinant
            if (both >= 0).all():
                return both, float(((basis @ both - y) ** 2).sum())
    alone = np.maximum(basis.T @ y, 0) / np.maximum((basis**2).sum(0), 1e-300)
    losses = ((basis * alone - y[:, None]) ** 2).sum(0)
    best = int(np.argmin(losses))
    coefficients = np.zeros(basis.shape[1])
    coefficients[best] = alone[best]
    return coefficients, float(losses[best])


def fit_form(form: Form, observations: Observations) -> FormFit:
    """Fit a classical form to a curve."""
    z = observations.n / observations.largest
    relative = observations.variance / np.maximum(observations.error, 1e-3 * observations.scale) ** 2
    spread = np.sqrt((relative + MISFIT**2) * np.exp2(-LATENESS * observations.x))
    weight = 1 / (spread * np.maximum(observations.error, 1e-3 * observations.scale))
    target = observations.error * weight

    def solve(values: tuple[float, ...]) -> tuple[Floats, float]:
        return non_negative(form.basis(z, values) * weight[:, None], target)

    best = min(product(*form.grid), key=lambda values: solve(values)[1])
    if form.names:
        refined = minimize(
            lambda values: solve(tuple(values))[1], best, method="Nelder-Mead", bounds=form.bounds,
            options={"maxfev": 120 * len(best), "xatol": 1e-5, "fatol": 1e-9},
        )  # fmt: skip
        best = min(best, tuple(map(float, refined.x)), key=lambda values: solve(values)[1])
    coefficients, loss = solve(best)
    parameters = dict(zip(form.names, best, strict=True))
    return FormFit(form, parameters, tuple(map(float, coefficients)), loss, observations)
