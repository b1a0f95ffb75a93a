"""What a further measurement is expected to tell: how far it would narrow the answer to a question.

Curves are drawn from the posterior; each in turn is taken for the true one, a measurement of it is made up, and all
others are weighed by how likely they make it. The narrowing is one minus the mean ratio of the answer's interval after
and before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.core.extrapolation.experts import Floats
from scaling.core.extrapolation.forecast import Forecast
from scaling.core.extrapolation.statements import CAUTION_FACTOR, COVERAGE
from scaling.core.words import samples

#: Curves drawn, and how many of them are taken for the true one in turn.
DRAWN, TRUE = 2000, 60
#: Places an octave, and octaves beyond the largest n, at which answers that are sizes are sought.
STEPS, AHEAD = 4, 5
#: An error that even many test samples and runs are not told apart below, as a share of the error.
SMALLEST_NOISE = 0.005


@dataclass(frozen=True)
class Question:
    """What is asked of a curve.

    Attributes:
        name: in words, as in "the saturation interval would shrink".
        sizes: n at which its answer looks, shape (t,).
        answer: from curves at these sizes (r, t) to one number each (r,).
    """

    name: str
    sizes: Floats
    answer: Callable[[Floats], Floats]


def saturated(top: float, small: float) -> Question:
    """Ask from which n on a curve gains less than `small` up to 4 times the largest n; answered in octaves."""
    octaves = np.arange(-3 * STEPS, int(np.log2(CAUTION_FACTOR)) * STEPS + 1) / STEPS

    def answer(paths: Floats) -> Floats:
        late = np.flip(np.logical_and.accumulate(np.flip(paths - paths[:, -1:] <= small, 1), 1), 1)
        return octaves[late.argmax(1)]

    return Question("saturation", top * np.exp2(octaves), answer)


def reaching(top: float, error: float) -> Question:
    """Ask for the n at which the error comes down to a target; answered in octaves, as far as it is sought."""
    octaves = np.arange(-3 * STEPS, AHEAD * STEPS + 1) / STEPS

    def answer(paths: Floats) -> Floats:
        below = paths <= error
        return np.where(below.any(1), octaves[below.argmax(1)], float(AHEAD))

    return Question(f"n for an error of {error:.4g}", top * np.exp2(octaves), answer)


def gained(top: float, labels: float) -> Question:
    """Ask by how much the next labels lower the error."""
    name = f"value of the next {samples(labels)} labels"
    return Question(name, np.array([top, top + labels]), lambda paths: paths[:, 0] - paths[:, 1])


def valued(n: float) -> Question:
    """Ask for the error at a size, by which curves are ranked there."""
    return Question(f"ranking at n = {samples(n)}", np.array([float(n)]), lambda paths: paths[:, 0])


def drawn(fitted: Forecast, n: float, order: int) -> Floats:
    """Draw errors at a size, shape (DRAWN,); other orders keep those of two curves independent."""
    return np.random.default_rng(order).permutation(fitted.paths([n], DRAWN)[:, 0])


def width(answers: Floats) -> float:
    """Return the width of the central 90 % interval of answers (r,)."""
    low, high = np.quantile(answers, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(high - low)


def widths(answers: Floats, weights: Floats) -> Floats:
    """Return the widths of answers (r,) under several weighings (w, r) with sums of 1, shape (w,)."""
    order = np.argsort(answers, kind="stable")
    summed, ordered = np.cumsum(weights[:, order], axis=1), answers[order]
    tails = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    low, high = ((summed < tail).sum(1).clip(max=len(ordered) - 1) for tail in tails)
    return ordered[high] - ordered[low]


def narrowing(
    fitted: Forecast, question: Question, n: Sequence[float], variance: Sequence[float], other: Floats | None = None
) -> Floats:
    """Return by which share measurements are expected to narrow the answer to a question.

    Args:
        n: sizes that may be measured, shape (c,).
        variance: of the mean that would be measured there, in units of error, shape (c,).
        other: answers for a curve that this one is held against, shape (DRAWN,): the question is then of the
            difference.

    Returns:
        Shares from 0 to 1, shape (c,).
    """
    paths = fitted.paths(np.concatenate([question.sizes, np.asarray(n, dtype=np.float64)]), DRAWN)
    answers = question.answer(paths[:, : len(question.sizes)])
    answers = answers if other is None else answers - other
    before = width(answers)
    if before <= 0:
        return np.zeros(len(n))
    generator = np.random.default_rng(1)
    truths = np.linspace(0, DRAWN - 1, TRUE).astype(int)
    found = []
    for at, of in zip(paths[:, len(question.sizes) :].T, variance, strict=True):
        # What single sizes deviate by, beside the noise of measurement.
        spread = np.sqrt(of + (np.maximum(fitted.deviation, SMALLEST_NOISE) * at) ** 2)
        made = at[truths] + spread[truths] * generator.standard_normal(TRUE)
        log = -0.5 * ((made[:, None] - at) / spread) ** 2 - np.log(spread)
        weights = np.exp(log - log.max(1, keepdims=True))
        after = widths(answers, weights / weights.sum(1, keepdims=True))
        found.append(1 - float(after.mean()) / before)
    return np.clip(found, 0.0, 1.0)
