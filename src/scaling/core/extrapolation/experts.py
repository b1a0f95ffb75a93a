"""Gaussian processes over log error and log n: each expert is one belief about how a curve's slope may change.

u(x) = u(0) + μ x + ∫₀ˣ s, where x counts octaves from the largest n and the slope's departure s is a stationary
process of mean zero. A slope that forgets itself makes a curve level off or return to the power law with exponent
−μ / log 2; one that remembers continues it. Later points tell more about the future than early ones by construction.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scaling.core.extrapolation.observations import Observations

Floats = NDArray[np.float64]

#: Prior variance of the level u(0): as good as flat.
LEVEL_VARIANCE = 100.0
#: Keeps a covariance invertible where a noiseless expert sees two sizes that almost coincide.
JITTER = 1e-9


@dataclass(frozen=True)
class Expert:
    """One belief about a curve.

    Attributes:
        smooth: whether the slope changes smoothly (Matérn 3/2) or in steps (Ornstein-Uhlenbeck).
        rate: how fast the slope forgets, per octave.
        slope: standard deviation of the slope, in log error per octave.
        noise: standard deviation of what single sizes deviate by, as a share of `slope`.
        drift: slope that is returned to, as a multiple of `slope`.
    """

    smooth: bool
    rate: float
    slope: float
    noise: float
    drift: float


SHAPES = tuple((smooth, rate) for smooth in (False, True) for rate in (0.15, 0.5, 1.5))
SLOPES = (0.01, 0.04, 0.15, 0.5)
NOISES = (0.01, 0.06, 0.3)
DRIFTS = (0.0, -1.0)
#: Every expert, in the order of the gate's weights.
EXPERTS = tuple(
    Expert(smooth, rate, slope, noise, drift)
    for (smooth, rate), slope, noise, drift in product(SHAPES, SLOPES, NOISES, DRIFTS)
)


def half_variogram(smooth: bool, rate: float, distance: Floats) -> Floats:
    """Return ½ Var[∫₀ᵈ s] of a slope with unit variance, shape of `distance`.

    With z = rate·d, and up to 1 / rate²: z − 1 + e⁻ᶻ for the correlation e⁻ᶻ (integrated Ornstein-Uhlenbeck), and
    2z − 3 + (3 + z) e⁻ᶻ for the correlation (1 + z) e⁻ᶻ (integrated Matérn 3/2): both integrate the correlation twice.
    """
    z = rate * np.abs(distance)
    inside = 2 * z - 3 + (3 + z) * np.exp(-z) if smooth else z + np.expm1(-z)
    return inside / rate**2


def covariance(smooth: bool, rate: float, a: Floats, b: Floats) -> Floats:
    """Covariance of the integrated slope at places a (p,) and b (q,), for unit slope variance; shape (p, q)."""

    def g(distance: Floats) -> Floats:
        return half_variogram(smooth, rate, distance)

    return g(a)[:, None] + g(b)[None, :] - g(a[:, None] - b[None, :])


_SLOPE = np.array([expert.slope for expert in EXPERTS])
_NOISE = np.array([(expert.noise * expert.slope) ** 2 for expert in EXPERTS])
_DRIFT = np.array([expert.drift * expert.slope for expert in EXPERTS])
_SHAPE = np.array([SHAPES.index((expert.smooth, expert.rate)) for expert in EXPERTS])


@dataclass(frozen=True)
class Conditioned:
    """Experts that have seen one curve.

    Attributes:
        x: places of the curve's sizes in octaves, shape (k,).
        level: the last u, about which the experts' means are counted.
        members: numbers of the experts in EXPERTS, shape (e,).
        evidence: log marginal likelihood of the points, up to a constant that all share, shape (e,).
        whitener: inverse of the Cholesky factor of the points' covariance, shape (e, k, k).
        white: the whitened residuals, shape (e, k).
    """

    x: Floats
    level: float
    members: NDArray[np.intp]
    evidence: Floats
    whitener: Floats
    white: Floats

    def keep(self, chosen: NDArray[np.intp]) -> "Conditioned":
        """Return some of the experts, by position."""
        return Conditioned(
            self.x, self.level, self.members[chosen], self.evidence[chosen], self.whitener[chosen], self.white[chosen]
        )

    @property
    def noise(self) -> Floats:
        """Variance of what single sizes deviate by, shape (e,)."""
        return _NOISE[self.members]

    def predict(self, places: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance of u at places in octaves, shape (t, e) each.

        The variance includes what a single size deviates by, and no noise of measurement. All sums run over the
        last axis, so a place's figures don't depend on which others are asked for.
        """
        slope, noise, drift = _SLOPE[self.members], _NOISE[self.members], _DRIFT[self.members]
        shape = _SHAPE[self.members]
        base = np.stack([covariance(smooth, rate, places, self.x) for smooth, rate in SHAPES], axis=1)
        across = LEVEL_VARIANCE + (slope**2)[:, None] * base[:, shape]
        towards = (self.whitener * across[:, :, None, :]).sum(-1)
        mean = self.level + drift * places[:, None] + (towards * self.white).sum(-1)
        own = np.stack([2 * half_variogram(smooth, rate, places) for smooth, rate in SHAPES], axis=1)
        prior = LEVEL_VARIANCE + slope**2 * own[:, shape]
        return mean, np.maximum(prior - (towards**2).sum(-1), 0.0) + noise

    def joint(self, places: Floats) -> tuple[Floats, Floats]:
        """Return mean (e, t) and covariance (e, t, t) of the curve itself at places, without single deviations."""
        slope, drift, shape = _SLOPE[self.members], _DRIFT[self.members], _SHAPE[self.members]

        def kernel(a: Floats, b: Floats) -> Floats:
            base = np.stack([covariance(smooth, rate, a, b) for smooth, rate in SHAPES])
            return LEVEL_VARIANCE + (slope**2)[:, None, None] * base[shape]

        towards = kernel(places, self.x) @ self.whitener.transpose(0, 2, 1)
        mean = self.level + drift[:, None] * places + (towards @ self.white[:, :, None])[:, :, 0]
        return mean, kernel(places, places) - towards @ towards.transpose(0, 2, 1)


def condition(observations: Observations) -> Conditioned:
    """Condition every expert on a curve of k sizes.

    Source: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, algorithm 2.1.
    """
    x, u = observations.x, observations.u
    base = np.stack([covariance(smooth, rate, x, x) for smooth, rate in SHAPES])[_SHAPE]
    own = observations.u_variance + _NOISE[:, None] / observations.count + JITTER
    inner = LEVEL_VARIANCE + _SLOPE[:, None, None] ** 2 * base + own[:, :, None] * np.eye(len(x))
    factor = np.linalg.cholesky(inner)
    whitener = np.linalg.inv(factor)
    # The level's prior is centred on the last point: it is so wide that any other centre would do.
    white = (whitener * (u - u[-1] - _DRIFT[:, None] * x)[:, None, :]).sum(-1)
    evidence = -0.5 * (white**2).sum(-1) - np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(-1)
    return Conditioned(x, float(u[-1]), np.arange(len(EXPERTS)), evidence, whitener, white)
