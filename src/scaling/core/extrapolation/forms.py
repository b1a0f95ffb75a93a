"""The classical forms of learning curves, fitted by weighted least squares: what the experts are measured against.

All forms are of z = n / n_max. Scales and asymptotes enter linearly and are solved for; exponents and breaks come from
a fixed grid, refined from its best node. So there is no starting point to get wrong, and no fit diverges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from scaling.core.errors import SettingError
from scaling.core.extrapolation.observations import Floats, Observations

#: Weight of a point falls by 2^-LATENESS an octave before the last.
LATENESS = 0.5
#: Relative deviation that any form is allowed, so that no point counts infinitely.
MISFIT = 0.01
#: Bounds of the refinement's nonlinear parameters, by name.
BOUNDS = {"c": (0.0, 5.0), "c0": (0.0, 5.0), "c1": (-1.0, 5.0), "log2_d": (-12.0, 4.0), "f": (0.05, 2.0),
          "log2_b": (-12.0, 12.0), "alpha": (0.2, 3.0)}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """A family of curves.

    Attributes:
        names: its nonlinear parameters.
        grid: their values on the grid, one tuple a parameter.
        basis: (z (k,), nonlinear parameters) → (k, l), of which the curve is a non-negative combination.
    """

    names: tuple[str, ...]
    grid: tuple[tuple[float, ...], ...]
    basis: Callable[[Floats, tuple[float, ...]], Floats]


def _constant(z: Floats, _: tuple[float, ...]) -> Floats:
    return np.ones((len(z), 1))


def _power_law(z: Floats, parameters: tuple[float, ...]) -> Floats:
    (c,) = parameters
    return z[:, None] ** -c


def _power_law_asymptote(z: Floats, parameters: tuple[float, ...]) -> Floats:
    (c,) = parameters
    return np.stack([np.ones_like(z), z**-c], axis=1)


def _m4(z: Floats, parameters: tuple[float, ...]) -> Floats:
    """y = ε∞ + (ε0 − ε∞) s(z), where s solves s / (1 − s)^α = b z^(−c): M4, with β in units of (ε0 − ε∞)^(1−α)."""
    c, log2_b, alpha = parameters
    right = -c * np.log(z) + log2_b * np.log(2)
    low, high = np.zeros_like(z), np.ones_like(z)
    for _ in range(50):
        s = (low + high) / 2
        under = np.log(s) - alpha * np.log1p(-s) < right
        low, high = np.where(under, s, low), np.where(under, high, s)
    s = (low + high) / 2
    return np.stack([1 - s, s], axis=1)


def _bnsl(z: Floats, parameters: tuple[float, ...]) -> Floats:
    c0, c1, log2_d, f = parameters
    log_z = np.log(z)
    # log(1 + (z/d)^(1/f)) without overflow.
    bend = np.logaddexp(0.0, (log_z - log2_d * np.log(2)) / f)
    return np.stack([np.ones_like(z), np.exp(-c0 * log_z - c1 * f * bend)], axis=1)


_EXPONENTS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.5)
#: Sources: the list in `docs/method.md`; M4 is Alabdulmohsin et al. (2022), BNSL Caballero et al. (2022), one break.
FORMS = {
    "constant": Form((), (), _constant),
    "power_law": Form(("c",), (_EXPONENTS,), _power_law),
    "power_law_asymptote": Form(("c",), (_EXPONENTS,), _power_law_asymptote),
    "m4": Form(("c", "log2_b", "alpha"), (_EXPONENTS, (-6.0, -3.0, -1.0, 1.0, 3.0, 6.0), (0.5, 1.0, 2.0)), _m4),
    "bnsl": Form(
        ("c0", "c1", "log2_d", "f"),
        ((0.0, 0.1, 0.3, 0.7), (-0.2, 0.1, 0.3, 0.7, 1.5), (-5.0, -3.0, -2.0, -1.0, 0.0), (0.2, 0.7)),
        _bnsl,
    ),
}


@dataclass(frozen=True)
class FormFit:
    """A classical form fitted to one curve.

    Attributes:
        name: key of FORMS.
        parameters: nonlinear parameters by name.
        coefficients: of the basis, in units of error; the first is the asymptote where there are two.
        chi_squared: weighted sum of squared relative residuals.
        observations: the curve.
    """

    name: str
    parameters: dict[str, float]
    coefficients: tuple[float, ...]
    chi_squared: float
    observations: Observations

    def predict(self, n: ArrayLike) -> Floats:
        """Return the error at sizes n, shape (t,), between 0 and the curve's limit."""
        z = np.atleast_1d(np.asarray(n, dtype=np.float64)) / self.observations.largest
        basis = FORMS[self.name].basis(z, tuple(self.parameters.values()))
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


def fit_form(name: str, observations: Observations) -> FormFit:
    """Fit a classical form to a curve.

    Raises:
        SettingError: no form of that name.
    """
    if name not in FORMS:
        raise SettingError(f"form={name}: expected one of {', '.join(FORMS)}.")
    form = FORMS[name]
    z = observations.n / observations.largest
    relative = observations.variance / np.maximum(observations.error, 1e-3 * observations.scale) ** 2
    spread = np.sqrt((relative + MISFIT**2) * np.exp2(-LATENESS * observations.x))
    weight = 1 / (spread * np.maximum(observations.error, 1e-3 * observations.scale))
    target = observations.error * weight

    def solve(values: tuple[float, ...]) -> tuple[Floats, float]:
        return non_negative(form.basis(z, values) * weight[:, None], target)

    best = min(product(*form.grid), key=lambda values: solve(values)[1])
    if form.names:
        bounds = [BOUNDS[name] for name in form.names]
        refined = minimize(
            lambda values: solve(tuple(values))[1], best, method="Nelder-Mead", bounds=bounds,
            options={"maxfev": 120 * len(best), "xatol": 1e-5, "fatol": 1e-9},
        )  # fmt: skip
        best = min(best, tuple(map(float, refined.x)), key=lambda values: solve(values)[1])
    coefficients, loss = solve(best)
    parameters = dict(zip(form.names, best, strict=True))
    return FormFit(name, parameters, tuple(map(float, coefficients)), loss, observations)
