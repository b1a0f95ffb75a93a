"""What a curve will be at any n: a predictive distribution, its centre and its intervals."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from scaling.core.errors import DataError
from scaling.core.extrapolation.experts import Conditioned, Floats, condition
from scaling.core.extrapolation.gate import Gate, features, learned
from scaling.core.extrapolation.observations import Observations, observe

#: The weight that the last value keeps beside the experts' mean, as a number of sizes that would have shown no trend:
#: it guards the curves with few sizes against overshooting.
CONSTANT_SIZES = 0.2
#: Experts are kept by weight until they hold this much of it.
KEPT_WEIGHT = 0.995
#: Predictions are computed on a lattice of this many places an octave, and interpolated in u between them.
LATTICE = 16
#: Variance of u that keeps covariances of paths invertible: a relative 0.003 % of the error.
ROOT_JITTER = 1e-9
#: Step in u by which a density is differenced where it has no formula.
DIFFERENCE = 0.02
#: Halvings of the bracket when a quantile is sought.
HALVINGS = 26
#: Fewer sizes than this say nothing of a trend.
FEWEST_SIZES = 3
#: A curve whose errors all lie within this share of its scale is flat.
FLAT = 1e-9
#: Rise, in standard deviations of its difference and in u, from which a step upwards is not put down to noise.
RISE_DEVIATIONS, RISE = 3.0, 0.05
#: The error goes up as a whole where later sizes have the higher one by this margin of all pairs (Kendall's tau-a), and
#: the later half by this share of the mean (of error or 1 − error, the smaller) and so many standard deviations.
OVERALL_TAU, OVERALL_SHARE, OVERALL_DEVIATIONS = 0.5, 0.02, 2.0


@dataclass(frozen=True)
class Prediction:
    """Errors predicted at t sizes, every array of shape (t,).

    Attributes:
        n: the sizes.
        error: point prediction.
        lower50, upper50, lower90, upper90: bounds of the central 50 % and 90 % intervals for one new measurement.
    """

    n: Floats
    error: Floats
    lower50: Floats
    upper50: Floats
    lower90: Floats
    upper90: Floats


@dataclass(frozen=True)
class Forecast:
    """The predictive distribution of one curve.

    Attributes:
        observations: the points it rests on.
        experts: the experts that hold weight, conditioned on the points; None where the form is constant.
        weights: their weights, shape (e,), sum 1.
        form: "experts" or "constant".
        flags: what a reader should know: "loss", "few_sizes", "flat", "zero_error" (everywhere), "ends_in_zero",
            "rises" (at the end of the curve), "peaks" (before it), "rises_overall" (as a share of hits does that was
            given in its place).
        gate: what was learned beforehand.
    """

    observations: Observations
    experts: Conditioned | None
    weights: Floats
    form: str
    flags: tuple[str, ...]
    gate: Gate = field(repr=False)

    def predict(self, n: ArrayLike) -> Prediction:
        """Predict the error at any sizes n, shape (t,)."""
        n = np.atleast_1d(np.asarray(n, dtype=np.float64))
        tails = self.gate.levels
        levels = np.array([tails[1, 1], tails[0, 1], 1 - tails[0, 1], 1 - tails[1, 1]])
        centre, bounds = self._interpolated(n, levels)
        # The centre of a skewed mixture may lie outside its middle half; an estimate outside its interval puzzles.
        error = np.clip(centre, bounds[:, 1], bounds[:, 2])
        return Prediction(n, error, bounds[:, 1], bounds[:, 2], bounds[:, 0], bounds[:, 3])

    def quantiles(self, n: ArrayLike, levels: ArrayLike) -> Floats:
        """Return quantiles of the error at sizes n (t,) for nominal levels (l,), shape (t, l)."""
        n = np.atleast_1d(np.asarray(n, dtype=np.float64))
        raw = self.gate.calibrated(np.atleast_1d(np.asarray(levels, dtype=np.float64)))
        return self._interpolated(n, raw)[1]

    def at_target(self, n: ArrayLike, error: float) -> tuple[Floats, Floats]:
        """Return the density in u at an error, and the mass at or below it, at sizes n (t,); shape (t,) each."""
        x, u = self.observations.octaves(np.atleast_1d(n)), float(self.observations.to_log(error))
        if self.experts is None:
            z = np.linspace(-6, 6, 241)
            rows = self._constant(x, ndtr(z))[1]
            around = np.array([u - DIFFERENCE, u, u + DIFFERENCE])
            below, mass, above = ndtr([np.interp(around, row, z) for row in rows]).T
            return (above - below) / (2 * DIFFERENCE), mass
        mean, variance = self.experts.predict(x)
        spread = np.sqrt(variance + self.observations.run_u_variance + 1e-6)
        z = (u - mean) / spread
        return (self.weights * np.exp(-0.5 * z**2) / spread).sum(-1), (self.weights * ndtr(z)).sum(-1)

    def paths(self, n: ArrayLike, count: int = 2000) -> Floats:
        """Draw whole curves, without noise of measurement: what differences between sizes are read from.

        The draws are fixed by the points: the same curve gives the same paths.

        Args:
            n: sizes, shape (t,).
            count: number of paths.

        Returns:
            Errors, shape (count, t).

        Raises:
            DataError: the form is constant, so there is no trend to draw.
        """
        if self.experts is None:
            raise DataError(f"These points ({', '.join(self.flags)}) show no trend to draw curves from.")
        mean, spread = self.experts.joint(self.observations.octaves(np.atleast_1d(n)))
        generator = np.random.default_rng(0)
        # Stratified over experts: the shares of the paths are the weights, to one path.
        chosen = np.searchsorted(np.cumsum(self.weights), (np.arange(count) + 0.5) / count)
        chosen = np.minimum(chosen, len(self.weights) - 1)
        used, starts = np.unique(chosen, return_index=True)
        normal = generator.standard_normal((count, mean.shape[1]))
        # `chosen` ascends, so each expert's paths lie together.
        drawn = [part @ root.T for part, root in zip(np.split(normal, starts[1:]), roots(spread[used]), strict=True)]
        return self.observations.to_error(mean[chosen] + np.concatenate(drawn))

    def _interpolated(self, n: Floats, levels: Floats) -> tuple[Floats, Floats]:
        """Return point predictions (t,) and quantiles (t, l), from the lattice."""
        places = self.observations.octaves(n) * LATTICE
        below = np.floor(places)
        nodes, where = np.unique(np.concatenate([below, below + 1]), return_inverse=True)
        centre, quantiles = self._at(nodes / LATTICE, levels)
        table = np.concatenate([centre[:, None], quantiles], axis=1)
        low, high = table[where[: len(n)]], table[where[len(n) :]]
        share = (places - below)[:, None]
        values = self.observations.to_error(low + share * (high - low))
        return values[:, 0], values[:, 1:]

    def _at(self, x: Floats, levels: Floats) -> tuple[Floats, Floats]:
        """Return centre (t,) and quantiles (t, l) of u at places x in octaves."""
        if self.experts is None:
            return self._constant(x, levels)
        mean, variance = self.experts.predict(x)
        noise = self.observations.run_u_variance
        quantiles = mixture_quantiles(mean, np.sqrt(variance + noise + 1e-6), self.weights, levels)
        centre = (mean * self.weights).sum(-1)
        if self._last == 0:  # ratios to nothing would leave no room above it
            quantiles = np.maximum(quantiles, self._constant(x, levels)[1])
        share = CONSTANT_SIZES / len(self.observations.n)
        guarded = (1 - share) * self.observations.to_error(centre) + share * self._last
        return np.where(x > 0, self.observations.to_log(guarded), centre), quantiles

    @property
    def deviation(self) -> float:
        """Standard deviation of what single sizes deviate by, in u; 0 where the form is constant."""
        return 0.0 if self.experts is None else float(np.sqrt((self.weights * self.experts.noise).sum()))

    @cached_property
    def _last(self) -> float:
        """The last measured mean."""
        return float(self.observations.error[-1])

    def _constant(self, x: Floats, levels: Floats) -> tuple[Floats, Floats]:
        """Repeat the last value, with an interval from what curves in general do."""
        distance = np.abs(x)
        relative, absolute = 0.2 + 0.3 * distance, 0.01 * (1 + distance)
        centre = np.full(len(x), float(self.observations.to_log(self._last)))
        # In units of the scale the half-width adds to the level, in u it multiplies it: either may be all there is.
        z = ndtri(levels)
        noise = np.sqrt(relative**2 + self.observations.run_u_variance)
        level = self._last / self.observations.scale
        spread = level * np.exp(noise[:, None] * z) + absolute[:, None] * z
        u = np.log(np.maximum(spread, 0.0) + np.exp(self.observations.to_log(0.0)))
        return centre, u


def roots(covariances: Floats) -> Floats:
    """Return a square root of each covariance, shape (e, t, t): Cholesky's, or by eigenvalues where that fails."""
    try:
        factor = np.linalg.cholesky(covariances + ROOT_JITTER * np.eye(covariances.shape[-1]))
        return np.asarray(factor, dtype=np.float64)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariances)
        return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]


def mixture_quantiles(mean: Floats, deviation: Floats, weights: Floats, levels: Floats) -> Floats:
    """Return quantiles of mixtures of normal distributions, by bisection.

    Args:
        mean: shape (t, e).
        deviation: shape (t, e).
        weights: shape (e,), sum 1.
        levels: shape (l,).

    Returns:
        Shape (t, l).
    """
    z = ndtri(levels)[None, :, None]
    # A mixture's quantile lies between the smallest and the largest of its members' quantiles.
    members = mean[:, None, :] + z * deviation[:, None, :]
    low, high = members.min(-1), members.max(-1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        mass = (weights * ndtr((middle[:, :, None] - mean[:, None, :]) / deviation[:, None, :])).sum(-1)
        under = mass < levels
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return (low + high) / 2


def flags_of(observations: Observations) -> tuple[str, ...]:
    """Say what is unusual about a curve."""
    found = [] if observations.bounded else ["loss"]
    u, variance = observations.u, observations.u_variance
    if len(u) < FEWEST_SIZES:
        found.append("few_sizes")
    elif np.ptp(observations.error) <= FLAT * observations.scale:
        found.append("flat")
    if not observations.error.any():
        found.append("zero_error")
    elif observations.error[-1] == 0:
        found.append("ends_in_zero")
    steps = np.diff(u)
    doubt = np.maximum(RISE_DEVIATIONS * np.sqrt(variance[1:] + variance[:-1]), RISE)
    rises = steps > doubt
    if rises.any():
        found.append("rises" if rises[-1] else "peaks")
    if rises_overall(observations):
        found.append("rises_overall")
    return tuple(found)


def rises_overall(observations: Observations) -> bool:
    """Say whether the error goes up with n as a whole, by more than its known noise."""
    error, half = observations.error, len(observations.n) // 2
    if not half:
        return False
    tau = np.sign(error[None, :] - error[:, None])[np.triu_indices(len(error), 1)].mean()
    rise = error[-half:].mean() - error[:half].mean()
    doubt = (
        OVERALL_DEVIATIONS * np.sqrt(observations.variance[-half:].sum() + observations.variance[:half].sum()) / half
    )
    # Above 1 the values may be percentages.
    most = next((most for most in (1.0, 100.0) if error.max() <= most), np.inf)
    small = min(error.mean(), most - error.mean())
    return bool(tau >= OVERALL_TAU and rise > doubt and rise >= OVERALL_SHARE * small)


def forecast(
    n: ArrayLike,
    error: ArrayLike,
    stderr: ArrayLike | None = None,
    gate: Gate | None = None,
    bounded: bool | None = None,
) -> Forecast:
    """Fit the points of one curve, in any order; several rows of one n are repeats.

    Args:
        n: numbers of training samples, shape (m,).
        error: error rates, or a loss where any exceeds 1, shape (m,).
        stderr: standard errors, shape (m,), NaN where unknown; without them repeats are used, where there are any.
        gate: the learned weighing of experts; None for the one that ships with the package.
        bounded: whether these are error rates; None where they are if none exceeds 1.

    Raises:
        DataError: values that no curve can have.
    """
    observations, gate = observe(n, error, stderr, bounded), gate or learned()
    flags = flags_of(observations)
    if {"few_sizes", "flat", "zero_error"} & set(flags):
        return Forecast(observations, None, np.ones(0), "constant", flags, gate)
    conditioned = condition(observations)
    weights = gate.weights(features(observations, conditioned), conditioned.evidence)
    chosen = heaviest(weights)
    kept = weights[chosen]
    return Forecast(observations, conditioned.keep(chosen), kept / kept.sum(), "experts", flags, gate)


def heaviest(weights: Floats) -> NDArray[np.intp]:
    """Return the fewest experts that hold KEPT_WEIGHT, in their own order."""
    order = np.argsort(-weights, kind="stable")
    enough = int(np.searchsorted(np.cumsum(weights[order]), KEPT_WEIGHT)) + 1
    return np.sort(order[:enough])
