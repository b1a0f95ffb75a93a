from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scaling.adapt import Finetune
from scaling.core.errors import AdaptationError
from scaling.training import LoraSettings
from scaling.training.batches import Share
from scaling.training.network import with_lora
from scaling.training.search import check_share, chosen, layers_as_written, lightning_settings
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


def test_several_processes_leave_batch_norms_alone_and_bear_weights_without_a_part():
    shared = SimpleNamespace(trainer={"accelerator": "auto", "devices": 1}, settings=SimpleNamespace(processes=2))
    assert lightning_settings(shared) == {
        "accelerator": "auto", "devices": 2, "strategy": "ddp_find_unused_parameters_true",
    }  # fmt: skip


def test_encoders_use_the_updates_of_their_layers_in_eval_mode():
    encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval().requires_grad_(False)
    images = torch.ones(1, 3, 8)
    before = encoder(images)
    tuned = with_lora(encoder, LoraSettings(2, 4.0, 0.0, None), "encoder").eval()
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            nn.init.ones_(parameter)
    with layers_as_written(), torch.no_grad():
        assert not torch.allclose(tuned(images), before, atol=1e-3)
    assert torch.backends.mha.get_fastpath_enabled()
