from types import SimpleNamespace

import pytest

from scaling.adapt import Finetune
from scaling.core.errors import AdaptationError
from scaling.training.batches import Share
from scaling.training.search import check_share, chosen
from scaling.training.work import Candidate, Round

NAN = float("nan")


def candidate(rate, *losses):
    return Candidate(rate, tuple(Round(10 * (i + 1), loss, loss, 0.5) for i, loss in enumerate(losses)))


def work(patience, n=100):
    recipe = Finetune(patience=patience, min_steps=20, max_steps=20)
    return SimpleNamespace(recipe=recipe, indices=range(n), held_out=None)


OVERFITS, STEADY = candidate(1e-2, 0.1, 0.9), candidate(1e-3, 0.5, 0.4)


def test_with_patience_the_best_round_decides():
    assert chosen([STEADY, OVERFITS], work(patience=3)) == (1e-2, 10)


def test_without_patience_the_last_round_decides_as_all_steps_are_taken():
    assert chosen([STEADY, OVERFITS], work(patience=None)) == (1e-3, 20)
    assert chosen([STEADY, candidate(1e-2, 0.1, NAN)], work(patience=None)) == (1e-3, 20)


def test_rates_that_all_diverge_are_an_error():
    with pytest.raises(AdaptationError, match=r"NaN or infinite at learning rate 0\.01"):
        chosen([candidate(1e-2, NAN)], work(patience=None))


def test_fewer_samples_than_processes_are_refused():
    check_share(work(None, n=2), Share(0, 2))
    with pytest.raises(AdaptationError, match=r"3 processes can't share 2 samples.*\n.*trainer\.devices=2"):
        check_share(work(None, n=2), Share(0, 3))
