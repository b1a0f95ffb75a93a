"""LoRA: what it trains, what it says of it, what it refuses."""

import copy
import sys

import pytest
import torch
from tests.networks import Listener

from scaling.adapt import Lora
from scaling.core.errors import AdaptationError, SettingError
from scaling.training import LoraSettings
from scaling.training.network import attention_layers, targeted, with_lora

WIDE = ("adaptation=lora", "model.name=wide", "adaptation.rank=2")


def test_the_updates_and_the_head_are_all_that_is_trained(evaluate):
    metrics = evaluate(*WIDE).outcome.metrics
    updates = 2 * (192 + 32) + 2 * (32 + 32)
    head = 32 * 10 + 10
    network = (192 + 1) * 32 + (32 + 1) * 32
    assert metrics["model/trained_parameters"] == updates + head
    assert metrics["model/parameters"] == network + updates + head
    assert metrics["model/trained_share"] == pytest.approx((updates + head) / (network + updates + head))


def test_the_rank_changes_what_comes_out_and_the_seed_what_is_drawn(evaluate):
    scores = [evaluate(*WIDE, *more).outcome.test.log_prob.tolist() for more in ([], [], ["adaptation.rank=1"])]
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]


def test_random_weights_are_allowed_with_a_warning(evaluate):
    heard = Listener()
    evaluate(*WIDE, "model.pretrained=false", reporter=heard)
    assert any(note.startswith("lora on random weights") for note in heard.notes)
    heard = Listener()
    evaluate(*WIDE, reporter=heard)
    assert heard.notes == []


def test_without_peft_it_says_what_to_install(evaluate, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(AdaptationError, match=r"needs the Python package peft\.\nInstall it: pip install"):
        evaluate(*WIDE)


def test_attention_that_peft_gives_no_dropout_is_told():
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
    assert attention_layers(layer) == {"self_attn"}
    assert targeted(["encoder.self_attn"], ("self_attn",)) == targeted(["encoder.self_attn"], None)
    assert targeted(["encoder.self_attn"], ("linear1",)) == []
    outputs = {}
    for targets in (("self_attn",), ("linear1",)):
        network = with_lora(copy.deepcopy(layer), LoraSettings(2, 4.0, 0.5, targets), "encoder").train()
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                torch.nn.init.ones_(parameter)
        outputs[targets] = [network(torch.ones(1, 3, 8)) for _ in range(2)]
    assert torch.equal(*outputs["self_attn",])  # once they differ, the note can go
    assert not torch.equal(*outputs["linear1",])


def test_a_network_without_a_layer_of_that_kind_or_name_is_refused(evaluate):
    with pytest.raises(AdaptationError, match="no linear or attention layer below its head; it has Conv2d × 2"):
        evaluate("adaptation=lora")
    with pytest.raises(AdaptationError, match=r"adaptation.targets=\['qkv'\]: .*\nIt has: "):
        evaluate(*WIDE, "adaptation.targets=[qkv]")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "adaptation.rank=0: expected a whole number from 1 up"),
        ({"alpha": 0.0}, "adaptation.alpha=0.0: expected a number above 0"),
        ({"dropout": 1.0}, "adaptation.dropout=1.0: expected a number from 0 to 0.99"),
        ({"targets": ()}, "adaptation.targets=[]: expected a list of names"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_expected(changes, message):
    with pytest.raises(SettingError) as error:
        Lora(**changes)
    assert message in str(error.value)


def test_layers_whose_weights_are_read_past_them_are_refused_with_those_that_work(evaluate):
    past = ("adaptation=lora", "model.name=past", "adaptation.rank=2")
    with pytest.raises(AdaptationError, match=r"updates of 1 of 2 layers .*: 3\.qkv\.\nTake adaptation.targets=\[1\]"):
        evaluate(*past)
    evaluate(*past, "adaptation.targets=[1]")


def test_encoders_keep_to_their_layers_through_the_whole_training(evaluate):
    class Watching(Listener):
        def value(self, name, value, step):
            seen.add(torch.backends.mha.get_fastpath_enabled())

    seen: set[bool] = set()
    evaluate(*WIDE, reporter=Watching())
    assert seen == {False}
    assert torch.backends.mha.get_fastpath_enabled()
