"""What a measurement is expected to narrow, against what it does on curves of a known law."""

import numpy as np

from scaling.core.extrapolation import forecast
from scaling.core.extrapolation.narrowing import DRAWN, gained, narrowing, reaching, saturated, valued, width, widths

N = 100 * 2.0 ** np.arange(5)
NOISE = 0.002


def measured(n, seed):
    return 0.1 + 3 * n**-0.6 + np.random.default_rng(seed).normal(0, NOISE, len(n))


def test_the_prediction_comes_true_on_average():
    predicted, realised = [], []
    for seed in range(25):
        n = np.append(N, 8 * N[-1])
        error = measured(n, seed)
        before = forecast(N, error[:-1], np.full(len(N), NOISE))
        after = forecast(n, error, np.full(len(n), NOISE))
        for question in (saturated(N[-1], 0.01), gained(N[-1], 10_000)):
            wide = width(question.answer(before.paths(question.sizes, DRAWN)))
            predicted.append(narrowing(before, question, n[-1:], [NOISE**2])[0])
            realised.append(1 - width(question.answer(after.paths(question.sizes, DRAWN))) / wide)
    assert np.mean(predicted) > 0.3
    assert abs(np.mean(predicted) - np.mean(realised)) < 0.15


def test_what_is_asked_for_narrows_most_and_noise_narrows_less():
    seen = forecast(N, measured(N, 0), np.full(len(N), NOISE))
    near, far = narrowing(seen, valued(16 * N[-1]), [2 * N[-1], 16 * N[-1]], [NOISE**2] * 2)
    assert 0 <= near < far <= 1
    exact, noisy = narrowing(seen, valued(16 * N[-1]), [16 * N[-1]] * 2, [NOISE**2, 0.1**2])
    assert noisy < 0.2 < exact
    again, ahead = narrowing(seen, reaching(N[-1], 0.12), [N[-1], 8 * N[-1]], [NOISE**2] * 2)
    assert again < ahead


def test_widths_under_weights_are_those_of_what_weighs():
    answers = np.random.default_rng(0).normal(size=2000)
    kept = (np.abs(answers) < 0.5) / (np.abs(answers) < 0.5).sum()
    found = widths(answers, np.stack([np.full(2000, 1 / 2000), kept]))
    assert abs(found[0] - width(answers)) < 0.05
    assert abs(found[1] - width(answers[np.abs(answers) < 0.5])) < 0.05
