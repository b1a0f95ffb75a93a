"""Fine-tuning on digits: what it learns from, what it is a function of, what it refuses."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.networks import Listener, network, small

from scaling.adapt import Finetune
from scaling.core.errors import AdaptationError, SettingError
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed


def same(one, other):
    """Whether two evaluations agree bit by bit."""
    return one.score == other.score and all(
        np.array_equal(getattr(getattr(one.outcome, part), field), getattr(getattr(other.outcome, part), field))
        for part in ("train", "test")
        for field in ("labels", "predicted", "log_prob")
    )


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_state_alone(evaluate):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = evaluate()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(8)
    second = evaluate()
    assert same(first, second)
    assert first.outcome.tables == second.outcome.tables
    assert not same(first, evaluate("seed=1"))


def test_values_are_reported_round_by_round_as_they_happen(evaluate):
    heard = Listener()
    outcome = evaluate(reporter=heard).outcome
    losses = {(name, step): value for name, value, step in heard.values if name.endswith("/validation_loss")}
    rows = {(f"try rate {row['learning_rate']:g}/validation_loss", row["step"]): row["validation_log_loss"]
            for row in outcome.tables["learning_rates"]}  # fmt: skip
    assert losses == rows
    assert {step for name, step in losses if name.startswith("try rate 0.002/")} == {2, 4, 6, 8}
    assert {"try rate 0.002/loss", "fit/loss", "fit/samples_per_s", "fit/peak_memory_bytes"} <= {
        name for name, _, _ in heard.values
    }
    assert heard.stages["fit"] == outcome.params["chosen.steps"] * 16


def test_the_rate_and_the_steps_with_the_lowest_validation_loss_are_taken(evaluate):
    outcome = evaluate().outcome
    rows = outcome.tables["learning_rates"]
    best = min(rows, key=lambda row: row["validation_log_loss"])
    assert [row for row in rows if row["chosen"]] == [best]
    assert (outcome.params["chosen.learning_rate"], outcome.params["chosen.steps"]) == (
        best["learning_rate"], best["step"],
    )  # fmt: skip


def test_training_helps_where_nothing_was_learned_before(evaluate):
    scratch = ("model.pretrained=false", "n=600", "adaptation.learning_rates=[0.02]", "adaptation.patience=null",
               "adaptation.max_steps=150", "adaptation.min_steps=150", "adaptation.augment=[]")  # fmt: skip
    found = evaluate(*scratch)
    assert found.score.test_accuracy > 0.8
    assert found.features_computed == 0
    assert found.outcome.metrics["model/trained_share"] == 1.0
    assert "learning_rates" not in found.outcome.tables


def test_without_steps_worth_the_name_the_network_is_the_linear_probe(evaluate, hub):
    still = ("adaptation.learning_rates=[1e-12]", "adaptation.patience=null", "adaptation.max_steps=1",
             "adaptation.min_steps=1")  # fmt: skip
    tuned, probe = evaluate(*still), evaluate_job(Job(composed([*network(hub), "adaptation=linear_probe"])))
    assert np.mean(tuned.outcome.test.predicted == probe.outcome.test.predicted) > 0.99  # but for ties
    assert tuned.outcome.test.log_prob == pytest.approx(probe.outcome.test.log_prob, abs=1e-4)
    assert not np.array_equal(evaluate(*still, "adaptation.head=fresh").outcome.test.predicted,
                              probe.outcome.test.predicted)  # fmt: skip


@pytest.mark.parametrize(("micro_batch", "close"), [(16, True), (5, True)])
def test_parts_of_a_batch_make_the_same_step(evaluate, micro_batch, close):
    whole = evaluate("adaptation.patience=null", "model.name=wide")
    cut = evaluate("adaptation.patience=null", "model.name=wide", f"trainer.micro_batch={micro_batch}")
    assert cut.outcome.test.log_prob == pytest.approx(whole.outcome.test.log_prob, abs=1e-3)
    assert cut.outcome.params == whole.outcome.params


def test_devices_micro_batches_and_checkpoints_are_no_part_of_a_point(hub):
    def fingerprint(*more):
        return Job(composed([*small(hub, "wide"), *more])).point.fingerprint

    plainly = fingerprint()
    assert fingerprint("trainer=ddp", "trainer.micro_batch=4", "checkpoints.dir=x", "keep_checkpoint=true") == plainly
    assert fingerprint("adaptation.rounds=5") != plainly


def test_what_batch_norms_see_is_part_of_a_point_where_they_are_trained(hub):
    def fingerprint(*more):
        return Job(composed([*small(hub), "adaptation.batch_norm=train", *more])).point.fingerprint

    assert len({fingerprint(), fingerprint("trainer.micro_batch=4"), fingerprint("trainer=ddp")}) == 3


def test_parts_are_part_of_a_point_where_anything_is_drawn_for_each(hub):
    def fingerprint(*more):
        return Job(composed([*small(hub), *more])).point.fingerprint

    assert len({fingerprint(), fingerprint("trainer.micro_batch=4"), fingerprint("trainer=ddp")}) == 3
    lora = ("model.name=wide", "adaptation=lora", "trainer.micro_batch=4")
    assert fingerprint(*lora) == fingerprint(*lora[:2])
    assert fingerprint(*lora, "adaptation.dropout=0.1") != fingerprint(*lora[:2], "adaptation.dropout=0.1")


def test_batch_norms_in_training_do_not_see_single_images(evaluate):
    norms = ("adaptation.batch_norm=train", "n=20", "adaptation.max_steps=1", "adaptation.min_steps=1")
    with pytest.raises(AdaptationError, match=r"batch of 10, trainer\.micro_batch=1 .*\n.*micro_batch=2 or more, or"):
        evaluate(*norms, "trainer.micro_batch=1")
    evaluate(*norms, "trainer.micro_batch=9")  # 5 + 5, not 9 + 1
    evaluate(*norms, "trainer.micro_batch=1", "adaptation.batch_norm=frozen")


def test_bf16_comes_close_to_fp32(evaluate):
    settings = ("n=200", "adaptation.learning_rates=[0.002]", "adaptation.patience=null")
    exact = evaluate(*settings)
    for precision in ("bf16-mixed", "bf16-true"):
        rounded = evaluate(*settings, f"precision={precision}")
        assert abs(rounded.score.test_accuracy - exact.score.test_accuracy) < 0.03, precision
        assert not np.array_equal(rounded.outcome.test.log_prob, exact.outcome.test.log_prob)


def test_a_loss_that_is_no_number_is_an_error_unless_another_rate_is_sound(evaluate):
    mixed = evaluate("adaptation.learning_rates=[0.002,1e30]", "adaptation.label_smoothing=0")
    assert mixed.outcome.params["chosen.learning_rate"] == 0.002
    assert mixed.outcome.tags["scaling.diverged"] == "the loss became NaN at learning rate 1e+30"
    with pytest.raises(AdaptationError, match=r"became NaN or infinite at learning rate 1e[+]30"):
        evaluate("adaptation.learning_rates=[1e30]", "adaptation.label_smoothing=0")


def test_running_out_of_memory_names_the_setting_to_lower(evaluate, monkeypatch):
    from scaling.training.module import TuningModule

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TuningModule, "training_step", full)
    with pytest.raises(AdaptationError, match=r"does not hold 16 samples in training.\nSet trainer.micro_batch=8"):
        evaluate()
    with pytest.raises(AdaptationError, match=r"Take a smaller model.input_size="):
        evaluate("trainer.micro_batch=1")
    with pytest.raises(AdaptationError, match=r"hold 2 samples in training.\nTake a smaller model.input_size="):
        evaluate("trainer.micro_batch=2", "adaptation.batch_norm=train")


def test_memory_that_the_images_themselves_do_not_fit_is_told_too(evaluate, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr("scaling.modalities.images.decoded.Decoded.held", full)
    with pytest.raises(AdaptationError, match="The memory does not hold"):
        evaluate()


def test_ctrl_c_in_a_training_is_one_for_whoever_called(evaluate, monkeypatch):
    from scaling.training.module import TuningModule

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(TuningModule, "training_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        evaluate()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_n_that_leaves_nothing_to_validate_on_names_the_smallest_that_does(hub):
    with pytest.raises(AdaptationError, match=r"The smallest n that works is 11\."):
        Job(composed([*small(hub), "n=10"])).check()
    Job(composed([*small(hub), "n=11"])).check()
    Job(composed([*small(hub), "n=10", "adaptation.learning_rates=[0.1]", "adaptation.patience=null"])).check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rates": ()}, "adaptation.learning_rates=[]: expected a list of positive numbers"),
        ({"learning_rates": (0.0,)}, "adaptation.learning_rates=[0.0]: expected a list, each entry a number above 0"),
        ({"learning_rates": (0.1, 0.01)}, "adaptation.learning_rates=[0.1, 0.01]: expected a list"),
        (
            {"learning_rates": ("fast",)},
            "adaptation.learning_rates=[fast]: expected a list, each entry a number",
        ),
        ({"learning_rates": (float("nan"),)}, "adaptation.learning_rates=[nan]: expected a list"),
        ({"learning_rates": 0.1}, "adaptation.learning_rates=0.1: expected a list, each entry a number above 0"),
        ({"validation": 1.0}, "adaptation.validation=1.0: expected a number between 0 and 1"),
        ({"layer_decay": 1.5}, "adaptation.layer_decay=1.5: expected a number from 0 to 1"),
        ({"learning_rates": (0.1, 0.10000001)}, "[0.1, 0.10000001]: expected a list of positive numbers, ascending"),
        ({"epochs": 0}, "adaptation.epochs=0: expected a number above 0"),
        ({"epochs": 10**400}, "expected a number above 0"),
        ({"weight_decay": float("inf")}, "adaptation.weight_decay=inf: expected a number from 0 up"),
        ({"batch_size": 1.5}, "adaptation.batch_size=1.5: expected a whole number from 1 up"),
        ({"patience": 0}, "adaptation.patience=0: expected a whole number from 1 up or null"),
        ({"min_steps": 10, "max_steps": 5}, "adaptation.min_steps=10 is above max_steps=5"),
        ({"batch_norm": "off"}, "adaptation.batch_norm=off: expected one of auto, frozen, train"),
        ({"augment": "blur"}, "adaptation.augment=blur: expected a list, each entry text"),
        ({"head": "probe"}, "adaptation.head=probe: expected one of linear_probe, fresh"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_expected(changes, message):
    with pytest.raises(SettingError) as error:
        Finetune(**changes)
    assert message in str(error.value)


def test_whole_numbers_are_the_same_setting_as_fractions():
    assert json.dumps(Finetune(learning_rates=(1,)).identity()) == json.dumps(
        Finetune(learning_rates=(1.0,)).identity()
    )


def test_what_has_no_network_is_refused(hub):
    with pytest.raises(AdaptationError, match="pixels has none"):
        Job(composed(["model=pixels", "dataset=digits", "adaptation=finetune", "n=50"])).check()


def test_processes_are_a_whole_number(hub):
    with pytest.raises(SettingError, match=r"trainer.devices=auto: expected a whole number from 1 up"):
        Job(composed([*small(hub), "trainer=ddp", "trainer.devices=auto"])).check()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.micro_batch=0", "trainer.micro_batch=0: expected a whole number from 1 up or null"),
        ("checkpoints.seconds=-1", "checkpoints.seconds=-1: expected a number from 0 up"),
        ("trainer.devices=2", "trainer.devices=2: expected one device, or trainer=ddp"),
        ("+trainer.strategy=fsdp", "trainer.strategy=fsdp trainer.devices=1: expected one device"),
        ("+trainer.gradient_clip_val=1", r"trainer\.gradient_clip_val=1: expected, where a network is trained, only"),
    ],
)
def test_settings_of_how_a_training_is_run_are_checked_too(hub, override, message):
    with pytest.raises(SettingError, match=message):
        Job(composed([*small(hub), override])).check()


def test_half_precision_weights_are_not_trained(hub, place, monkeypatch):
    spec = replace(composed(small(hub)), precision="16-true")
    with pytest.raises(SettingError, match="16-true"):
        evaluate_job(Job(spec))
