"""What the limit of upgradeability suggests: more data close the gap, both curves are flat, or it can't be told."""

from typing import Any

import numpy as np

from scaling.core.extrapolation.experts import Floats
from scaling.core.extrapolation.forecast import Forecast
from scaling.core.extrapolation.statements import CAUTION_FACTOR, COVERAGE, TEST_SET, Statement, no_trend, refusal
from scaling.core.extrapolation.threshold import Threshold
from scaling.core.words import samples

#: Paths that are drawn of each curve.
PATHS = 2000


def limit(test: Forecast, train: Forecast, threshold: float | Threshold) -> Statement:
    """State what test and train error do between the largest n and 4 times as many.

    Args:
        test, train: forecasts of the two errors.
        threshold: change that matters, in units of the error, or what the test set can measure.

    Returns:
        A statement whose estimate is the gap (test error − train error) at 4 times the largest n, its verdict in
        details: "data_limited" where the test error falls and the gap closes, both by more than the threshold,
        "saturated" where neither error changes by more, or by more than what is small, "not_closing" where the test
        error falls by more and the gap doesn't close by as much, "open" where the points or the test set can't tell.

    Each is told with a chance of at least 95 %. The two curves are drawn independently of each other: what they share
    (the subsets) is not used, which makes intervals wider rather than narrower.
    """
    kind, tail = "limit", (1 - COVERAGE) / 2
    threshold = threshold if isinstance(threshold, Threshold) else Threshold.given(threshold)
    here, there = test.observations.top, CAUTION_FACTOR * test.observations.top
    if why := no_trend(test):
        return refusal(kind, f"the test error shows no trend ({why})", verdict="open", threshold=threshold.told)
    tested, trained = _paths(test, here, there), _paths(train, here, there)
    # Paths come sorted by expert; another order keeps the two curves independent.
    trained = trained[np.random.default_rng(1).permutation(PATHS)]
    falls, moves = tested[:, 0] - tested[:, 1], trained[:, 1] - trained[:, 0]
    gap_now, gap_then = (tested - trained).T
    closes = gap_now - gap_then
    low, middle, high = (float(value) for value in np.quantile(gap_then, [tail, 0.5, 1 - tail]))
    changes = np.maximum(np.abs(falls), np.abs(moves))
    chance = {
        "falls": float((falls > threshold.told).mean()),
        "closes": float((closes > threshold.told).mean()),
        "flat": float((changes <= threshold.small).mean()),
        "unseen": float((changes <= threshold.told).mean()),
    }
    verdict = _verdict(chance, 1 - tail)
    details: dict[str, Any] = {
        "verdict": verdict, "threshold": threshold.told, "n": there, **{f"chance_{k}": v for k, v in chance.items()},
        "test_error": float(np.median(tested[:, 1])), "gap_now": float(np.median(gap_now)),
    }  # fmt: skip
    to = f"up to n = {samples(there)}"
    if verdict == "open" and chance["unseen"] >= 1 - tail:
        change = max(float(np.median(changes)), threshold.small)
        why = f"{to} neither the test nor the train error changes by more than {threshold}"
        return refusal(kind, f"{why}; {threshold.enough(change)} would", TEST_SET, **details)
    if verdict == "open":
        return refusal(kind, f"whether the gap closes or both errors stay where they are, {to}", **details)
    left = f"a gap of {middle:.4f} is left there (90 %: {low:.4f} to {high:.4f})"
    text = {
        "data_limited": f"Data-limited: {to} the test error falls and closes the gap to the train error; {left}.",
        "saturated": f"Saturated: {to} neither the test nor the train error changes by more than"
        f" {threshold.small_words}; {left}.",
        "not_closing": f"U{to[1:]} the test error falls and the train error with it: {left}. The gap closes by less"
        f" than {threshold}, if at all.",
    }[verdict]
    return Statement(kind, middle, low, high, True, text, details)


def _paths(fitted: Forecast, here: float, there: float) -> Floats:
    """Draw a curve's error now and then, shape (PATHS, 2); one without a trend, often 0, is taken to stay."""
    if fitted.experts is None:
        return np.full((PATHS, 2), float(fitted.observations.error[-1]))
    return fitted.paths([here, there], PATHS)


def _verdict(chance: dict[str, float], needed: float) -> str:
    if chance["falls"] >= needed:
        if chance["closes"] >= needed:
            return "data_limited"
        return "not_closing" if chance["closes"] <= 1 - needed else "open"
    return "saturated" if chance["flat"] >= needed else "open"
