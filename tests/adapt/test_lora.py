"""LoRA: what it trains, what it says of it, what it refuses."""

import pytest
from tests.networks import Listener

from scaling.adapt import Lora
from scaling.core.errors import AdaptationError, SettingError

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


def test_a_network_without_a_layer_of_that_kind_or_name_is_refused(evaluate):
    with pytest.raises(AdaptationError, match="no linear or attention layer below its head; it has Conv2d × 2"):
        evaluate("adaptation=lora")
    with pytest.raises(AdaptationError, match=r"adaptation.targets=\['qkv'\]: .*\nIt has: "):
        evaluate(*WIDE, "adaptation.targets=[qkv]")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "adaptation.rank=0: expected a whole number from 1 up"),
        ({"alpha": 0.0}, "adaptation.alpha=0.0: expected a positive number"),
        ({"dropout": 1.0}, "adaptation.dropout=1.0: expected a number from 0 to below 1"),
        ({"targets": ()}, "adaptation.targets=(): expected a list of names"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_expected(changes, message):
    with pytest.raises(SettingError) as error:
        Lora(**changes)
    assert message in str(error.value)
