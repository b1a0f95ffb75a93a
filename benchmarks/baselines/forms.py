"""The classical forms of learning curves, which the experts are measured against."""

import numpy as np

from scaling.core.extrapolation.forms import EXPONENT, EXPONENTS, POWER_LAW_ASYMPTOTE, Form
from scaling.core.extrapolation.observations import Floats


def constant(z: Floats, _: tuple[float, ...]) -> Floats:
    return np.ones((len(z), 1))


def power_law(z: Floats, parameters: tuple[float, ...]) -> Floats:
    (c,) = parameters
    return z[:, None] ** -c


def m4(z: Floats, parameters: tuple[float, ...]) -> Floats:
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


def bnsl(z: Floats, parameters: tuple[float, ...]) -> Floats:
    c0, c1, log2_d, f = parameters
    log_z = np.log(z)
    # log(1 + (z/d)^(1/f)) without overflow.
    bend = np.logaddexp(0.0, (log_z - log2_d * np.log(2)) / f)
    return np.stack([np.ones_like(z), np.exp(-c0 * log_z - c1 * f * bend)], axis=1)


#: Sources: the list in `docs/method.md`; M4 is Alabdulmohsin et al. (2022), BNSL Caballero et al. (2022), one break.
FORMS = {
    "constant": Form((), (), (), constant),
    "power_law": Form(("c",), (EXPONENTS,), (EXPONENT,), power_law),
    "power_law_asymptote": POWER_LAW_ASYMPTOTE,
    "m4": Form(
        ("c", "log2_b", "alpha"), (EXPONENTS, (-6.0, -3.0, -1.0, 1.0, 3.0, 6.0), (0.5, 1.0, 2.0)),
        (EXPONENT, (-12.0, 12.0), (0.2, 3.0)), m4,
    ),
    "bnsl": Form(
        ("c0", "c1", "log2_d", "f"),
        ((0.0, 0.1, 0.3, 0.7), (-0.2, 0.1, 0.3, 0.7, 1.5), (-5.0, -3.0, -2.0, -1.0, 0.0), (0.2, 0.7)),
        (EXPONENT, (-1.0, 5.0), (-12.0, 4.0), (0.05, 2.0)), bnsl,
    ),
}  # fmt: skip
