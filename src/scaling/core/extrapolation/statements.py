"""What a forecast means, in plain words and in numbers; each statement refuses what its points cannot tell."""

from dataclasses import asdict, dataclass
from math import ceil, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri

from scaling.core.errors import SettingError
from scaling.core.extrapolation.experts import Floats
from scaling.core.extrapolation.forecast import FEWEST_SIZES, Forecast
from scaling.core.extrapolation.forms import POWER_LAW_ASYMPTOTE, fit_form
from scaling.core.extrapolation.requirement import needed
from scaling.core.extrapolation.threshold import Threshold, measurable
from scaling.core.words import about, samples

#: Central share of the intervals in statements.
COVERAGE = 0.9
#: An interval whose ends differ by more than this factor says nothing of a size of data set.
WIDEST_FACTOR = 10.0
#: How far ahead a data requirement is sought, in octaves (a factor of 1024).
HORIZON = 10
#: Places an octave at which paths are drawn.
STEPS = 8
#: Beyond this factor of the largest n a statement says that it reaches far.
CAUTION_FACTOR = 4.0
#: Sizes that an asymptote needs: three parameters, and one point to contradict them.
FEWEST_FOR_ASYMPTOTE = 4
#: The same where the noise has to be told from the residuals: with fewer, narrow intervals are luck (of simulated
#: curves they held the truth in 69 % of cases at 4 sizes, 80 % at 5, 89 % at 6).
FEWEST_UNMEASURED = 6
#: 90 % point of χ² with one degree of freedom.
CHI_SQUARED_90 = 2.705543454095404
#: 95 % point of the normal distribution: one-sided, as the upper end of a central 90 % interval.
ONE_SIDED_Z = 1.6448536269514722
#: Levels that are tried for an asymptote, between 0 and the lowest error.
LEVELS = 200
#: What can't tell where it is too small to show what may be there.
TEST_SET = "this test set"
#: Errors below this share of the scale are not told apart in exponents.
SMALLEST = 1e-4


@dataclass(frozen=True)
class Statement:
    """One finding.

    Attributes:
        kind: what it is about.
        estimate: the figure; None where it can't be told.
        low, high: central 90 % interval; None where there is none, infinite where it is open.
        told: whether the points suffice for a figure.
        text: the finding in plain words.
        details: further figures by name.
    """

    kind: str
    estimate: float | None
    low: float | None
    high: float | None
    told: bool
    text: str
    details: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it machine-readable; an infinite bound becomes None, as JSON has no infinity."""
        fields = asdict(self)
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in fields.items()
        }


def refusal(kind: str, why: str, source: str = "these points", **details: Any) -> Statement:
    """Return the statement that something cannot be told from a source, and why."""
    return Statement(kind, None, None, None, False, f"Cannot be told from {source}: {why}.", details)


def _spread(values: Floats) -> tuple[float, float, float]:
    """Return median and central interval of sampled values."""
    tail = (1 - COVERAGE) / 2
    low, middle, high = np.quantile(values, [tail, 0.5, 1 - tail], method="inverted_cdf")
    return float(middle), float(low), float(high)


def _fall(middle: float, low: float, high: float) -> str:
    """Say by how much an error falls, or rises where it surely does."""
    if high < 0:
        return f"rise by {-middle:.4f} (90 %: {-high:.4f} to {-low:.4f})"
    return f"fall by {middle:.4f} (90 %: {low:.4f} to {high:.4f})"


def no_trend(forecast: Forecast) -> str | None:
    """Say why a forecast has no trend to speak of; None where it has one."""
    if forecast.experts is not None:
        return None
    why = {
        "few_sizes": f"there are fewer than {FEWEST_SIZES} sizes",
        "flat": "they are flat",
        "zero_error": "no errors",
    }
    return " and ".join(why[flag] for flag in forecast.flags if flag in why)


def local_exponent(forecast: Forecast) -> Statement:
    """State c in error ∝ n^(−c) at the largest n, from half to twice of it."""
    kind = "local_exponent"
    if why := no_trend(forecast):
        return refusal(kind, why)
    n = forecast.observations.top
    errors = np.log(np.maximum(forecast.paths([n / sqrt(2), n * sqrt(2)]), SMALLEST * forecast.observations.scale))
    middle, low, high = _spread((errors[:, 0] - errors[:, 1]) / log(2))
    course = f"{'falls' if middle > 0 else 'rises'} like n^{-middle:z.2f} (90 %: {-high:z.2f} to {-low:z.2f})"
    text = f"At n = {samples(n)} the error {course}; doubling n multiplies it by {2**-middle:.2f}."
    if low <= 0 <= high:
        text += " Whether it falls or rises is not certain."
    return Statement(kind, middle, low, high, True, text, {"n": n})


def asymptote(forecast: Forecast) -> Statement:
    """State the error that is left at endless n under a power law with asymptote, by profile likelihood.

    Source of the interval: Wilks (1938), The large-sample distribution of the likelihood ratio, Ann. Math. Stat. 9(1).
    """
    kind, points = "asymptote", forecast.observations
    if why := no_trend(forecast):
        return refusal(kind, why)
    fewest = FEWEST_FOR_ASYMPTOTE if points.measured else FEWEST_UNMEASURED
    if len(points.n) < fewest:
        without = "" if points.measured else ", where no repeats or standard errors tell the noise"
        return refusal(kind, f"an asymptote needs {fewest} sizes{without}; there are {len(points.n)}")
    if not points.error.min() > 0:
        return refusal(kind, "the errors reach 0")
    if "rises" in forecast.flags:
        return refusal(kind, "the error rises at the end")
    best = fit_form(POWER_LAW_ASYMPTOTE, points)
    levels = np.linspace(0, 1, LEVELS + 1) * float(points.error.min())
    loss = _losses(forecast, levels)
    # The scale of the residuals is estimated from the best fit, hence F in place of χ²; it is not taken below what
    # noise explains.
    freedom = len(points.n) - 3
    reach = max(float(fdtri(1, freedom, COVERAGE)) * float(loss.min()) / freedom, CHI_SQUARED_90)
    inside = np.flatnonzero(loss - loss.min() <= reach)
    # Rounded outwards to the levels that were tried.
    low, high = float(levels[max(inside[0] - 1, 0)]), float(levels[min(inside[-1] + 1, LEVELS)])
    middle = float(levels[np.argmin(loss)])
    if high - low > 0.5 * float(points.error[-1]) or (low == 0 and high > 0.25 * float(points.error[-1])):
        why = f"any error from {low:.4g} to {high:.4g} would fit as the limit"
        return refusal(kind, why, low=low, high=high)
    text = f"With endless data a power law leaves an error of {middle:.4g} (90 %: {low:.4g} to {high:.4g})."
    return Statement(kind, middle, low, high, True, text, {"exponent": best.parameters["c"]})


def _losses(forecast: Forecast, levels: Floats) -> Floats:
    """Weighted sum of squares of the best power law above each of some asymptotes, shape of `levels` (l,)."""
    points = forecast.observations
    z = points.n / points.largest
    sigma2 = points.variance + (0.01 * points.error) ** 2 + (0.0007 * points.scale) ** 2
    powers = z ** -np.linspace(0, 3, 121)[:, None]
    weighted = powers / sigma2
    # Σ (s p − a)² / σ² = s² Σ p² / σ² − 2 s Σ p a / σ² + Σ a² / σ², with a = error − level and the best s ≥ 0.
    square = (weighted * powers).sum(1)
    above = points.error - levels[:, None]
    cross = (weighted * points.error).sum(1) - levels[:, None] * weighted.sum(1)
    scales = np.maximum(cross / square, 0)
    return (scales * (scales * square - 2 * cross)).min(1) + (above**2 / sigma2).sum(1)


def saturation(forecast: Forecast, threshold: float | Threshold | None = None, tested: int | None = None) -> Statement:
    """State from which n on the remaining gain, up to 4 times the largest n, is below a threshold.

    Args:
        forecast: the fitted curve.
        threshold: gain in error that matters, or what the test set can measure; None to find that from `tested`.
        tested: size of the test set.

    Raises:
        SettingError: neither or no positive threshold is given.
    """
    kind, points = "saturation", forecast.observations
    if threshold is None:
        if tested is None:
            raise SettingError("saturation needs a threshold, or the size of the test set.")
        error = float(points.error[-1])
        threshold = Threshold.of_test_set(measurable(min(error, 1.0), tested), error, tested)
    elif not isinstance(threshold, Threshold):
        threshold = Threshold.given(threshold)
    details: dict[str, Any] = {"threshold": threshold.told, "small": threshold.small}
    if why := no_trend(forecast):
        return refusal(kind, why, **details)
    octaves = np.arange(-int(STEPS * min(-points.x[0], HORIZON)), 2 * STEPS + 1) / STEPS
    sizes = points.top * np.exp2(octaves)
    paths = forecast.paths(sizes)
    left = paths - paths[:, -1:]
    now = int(np.flatnonzero(octaves == 0)[0])

    def reached(gain: float) -> NDArray[np.bool_]:
        """Say from which size on the remaining gain of each path stays below one."""
        return np.flip(np.logical_and.accumulate(np.flip(left <= gain, 1), 1), 1)

    small = reached(threshold.small)
    chance, unseen = float(small[:, now].mean()), float(reached(threshold.told)[:, now].mean())
    gain, gain_low, gain_high = _spread(left[:, now])
    details |= {"chance": chance, "gain": gain, "gain_low": gain_low, "gain_high": gain_high}
    tail = (1 - COVERAGE) / 2
    reach = f"from n = {samples(points.top)} to {samples(CAUTION_FACTOR * points.top)}"
    expected = f"{reach} the error is expected to {_fall(gain, gain_low, gain_high)}"
    if gain_high < 0:
        return refusal(kind, expected, **details)
    if unseen < tail:
        text = f"Not saturated: {expected}, more than {threshold}."
        return Statement(kind, None, points.top, float("inf"), True, text, details)
    if chance > 1 - tail:
        middle, low, high = _spread(sizes[small.argmax(1)])
        since = f"Saturated from n = {about(middle)} on (90 %: {about(low)} to {about(high)})"
        text = f"{since}: {expected}, less than {threshold.small_words}."
        if threshold.measured and gain_low > 0:
            text += f" It takes {threshold.enough(gain)} to measure that."
        return Statement(kind, middle, low, high, True, text, details)
    if unseen > 1 - tail:
        change = max(gain, threshold.small)
        details["times_tested"] = threshold.needed(change)
        why = f"{expected}, less than {threshold}; {threshold.enough(change)} would"
        return refusal(kind, why, TEST_SET, **details)
    return refusal(kind, f"{expected}, on both sides of {threshold}", **details)


def data_requirement(
    forecast: Forecast,
    error: float,
    widest_factor: float = WIDEST_FACTOR,
    noise: float = 0.0,
    tested: int | None = None,
) -> Statement:
    """State the n at which the error first falls to a target.

    Args:
        forecast: the fitted curve.
        error: the target, as an error.
        widest_factor: an interval whose ends differ by more than this factor is refused.
        noise: standard error of the last mean, the test set's part included, where it is larger than the points show.
        tested: size of the test set, where most of the noise is its.

    Raises:
        SettingError: a target that is not positive.
    """
    kind, points = "data_requirement", forecast.observations
    if not error > 0:
        raise SettingError(f"error={error}: expected a target above 0.")
    details: dict[str, Any] = {"error": error, "widest_factor": widest_factor}
    doubt = ONE_SIDED_Z * max(sqrt(float(points.variance[-1])), noise)
    here = f"at n = {samples(points.top)} the error is {float(points.error[-1]):.4g} ± {doubt:.2g}"
    if float(points.error[-1]) <= error - doubt:
        # From there on all means lie at or below the target; the one at the end does so by more than its noise.
        above = np.flatnonzero(points.error > error)
        place = above[-1] + 1 if len(above) else 0
        met = points.top if place == len(points.n) - 1 else float(points.n[place])
        text = f"An error of {error:.4g} is reached at n = {samples(met)}, by the means."
        return Statement(kind, met, None, met, True, text, details)
    if float(points.error[-1]) <= error:
        doubtful = f"{here}, which may be above {error:.4g}"
        if tested and float(points.error[-1]) < error:
            times = (doubt / (error - float(points.error[-1]))) ** 2
            return refusal(
                kind, f"{doubtful}; about {about(ceil(times * tested))} test samples would tell", TEST_SET, **details
            )
        return refusal(kind, doubtful, **details)
    if why := no_trend(forecast):
        return refusal(kind, f"what an error of {error:.4g} needs, as {why}", **details)
    believed = needed(forecast, error)
    middle, low, high = believed.interval
    if not np.isfinite(high):
        why = f"an error of {error:.4g} is reached within {about(believed.n[-1])} samples with a chance of"
        return refusal(
            kind, f"{why} {believed.chance:.2f}", low=low if np.isfinite(low) else None, high=None, **details
        )
    details |= {"low": low, "high": high}
    if high > widest_factor * low:
        likely = f"an error of {error:.4g} may need from {about(low)} to {about(high)} samples, about {about(middle)}"
        return refusal(kind, f"{likely} at best guess", **details)
    text = f"An error of {error:.4g} needs about n = {about(middle)} (90 %: {about(low)} to {about(high)})."
    if middle > CAUTION_FACTOR * points.top:
        text += f" That is more than {CAUTION_FACTOR:g} times the largest n measured: take it with caution."
    if float(points.error[-1]) - doubt <= error:
        text += f" It may be reached already: {here}."
    return Statement(kind, middle, low, high, True, text, details)


def marginal_value(forecast: Forecast, labels: float) -> Statement:
    """State by how much the next labels lower the error.

    Raises:
        SettingError: no positive number of labels.
    """
    kind, points = "marginal_value", forecast.observations
    if not labels > 0:
        raise SettingError(f"labels={labels}: expected a positive number.")
    if why := no_trend(forecast):
        return refusal(kind, f"what the next {samples(labels)} labels bring, as {why}", labels=labels)
    after = points.top + labels
    paths = forecast.paths([points.top, after])
    middle, low, high = _spread(paths[:, 0] - paths[:, 1])
    per = middle / labels * 1000
    if high < 0:
        course = f"raise the error by {-middle:.4f} (90 %: {-high:.4f} to {-low:.4f})"
    else:
        course = f"lower the error by {middle:.4f} (90 %: {low:.4f} to {high:.4f}), {per:.5f} per thousand"
    text = f"The next {samples(labels)} labels {course}."
    if low <= 0 <= high:
        text += " That they help at all is not certain."
    if after > CAUTION_FACTOR * points.top:
        text += f" That reaches beyond {CAUTION_FACTOR:g} times the largest n measured: take it with caution."
    return Statement(kind, middle, low, high, True, text, {"labels": labels, "n": points.top})
