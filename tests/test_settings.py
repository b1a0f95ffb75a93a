"""Every setting is read by its type, the same in a run, a grid and Python."""

from pathlib import Path

import pytest
from tests.conftest import DIGITS

from scaling import evaluate_point
from scaling.config import compose, config_path, plain
from scaling.core.errors import SettingError
from scaling.core.reading import is_text
from scaling.runs.spec import composed
from scaling.settings import TYPES, types_of

GROUPS = [
    f"{folder}={path.stem}" for folder in ("model", "dataset", "adaptation", "trainer")
    for path in sorted((Path(config_path()) / folder).glob("*.yaml"))
]  # fmt: skip


def settings(*overrides):
    return plain(compose(overrides), overrides)


def at(found, name):
    for key in name.split("."):
        found = found[key]
    return found


def is_there(found, name):
    *path, last = name.split(".")
    return last in at(found, ".".join(path)) if path else last in found


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_of_a_committed_config_is_as_its_type_has_it(group):
    assert plain(composed := compose([group]), types={}) == plain(composed)


LOOKALIKES = ("2024", "2024.10", "1e3", "nan", "true", "007", "1_000", "-.5", "inf", "FALSE")


@pytest.mark.parametrize("group", ["model=timm", "dataset=manifest", "dataset=embeddings", "dataset=fashion_mnist"])
def test_text_that_looks_like_something_else_is_the_text_that_was_typed(group):
    there = settings(group)
    types = {**TYPES, **types_of(there)}
    names = [name for name, kind in types.items() if is_text(kind) and is_there(there, name)]
    assert len(names) > 8
    for shift in range(2):
        typed = {name: LOOKALIKES[(place + shift) % len(LOOKALIKES)] for place, name in enumerate(names)}
        found = settings(group, *(f"{name}={text}" for name, text in typed.items()))
        assert {name: at(found, name) for name in names} == typed


def test_what_text_is_made_of_is_the_text_that_was_typed():
    assert settings("model=timm", "model.name=1.10")["model"]["id"] == "timm/1.10"
    assert settings("data.dir=1e3")["dataset"]["data_dir"] == "1e3"


def test_of_two_overrides_of_a_text_the_last_counts():
    assert settings("tracking.experiment=1.10", "tracking.experiment=1.20")["tracking"]["experiment"] == "1.20"
    assert settings("tracking.experiment=1.10", "tracking.experiment=x")["tracking"]["experiment"] == "x"


@pytest.mark.parametrize(
    "name", ["tracking.experiment", "data.dir", "features.dir", "checkpoints.dir", "dataset.name", "model.id"]
)
@pytest.mark.parametrize("value", ["null", "", "[a]"])
def test_a_text_that_is_needed_is_not_left_out(name, value):
    with pytest.raises(SettingError, match=rf"{name}=.*: expected text"):
        settings("dataset=digits", f"{name}={value}")


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("plan=no", False), ("plan='false'", False), ("force=off", False), ("progress=0", False),
        ("keep_checkpoint='yes'", True),
        ("model.pretrained=no", False), ("dataset.download='false'", False), ("adaptation.folds=05", 5),
        ("adaptation.folds=5.0", 5),
        ("features.batch_size='16'", 16), ("checkpoints.seconds=1e1", 10), ("trainer.micro_batch=08", 8),
        ("trainer.devices='1'", 1),
        ("seed=007", 7), ("seed='1'", 1), ("+trainer.deterministic=no", False), ("+trainer.deterministic=warn",
        "warn"),
    ],
)  # fmt: skip
def test_numbers_and_booleans_have_one_reading(override, value):
    found = at(settings(override), override.partition("=")[0].lstrip("+"))
    assert (found, type(found) is bool) == (value, type(value) is bool)


@pytest.mark.parametrize(
    "override",
    [
        "seed=true", "seed=1.5", "seed=x", "plan=maybe", "plan=2", "force=null", "keep_checkpoint=",
        "progress=[true]",
        "features.batch_size=1.5", "features.workers=true", "features.size_limit=nan", "checkpoints.seconds=abc",
        "adaptation.folds=abc", "adaptation.folds=inf", "adaptation.tolerance=true", "adaptation.penalties=[0.1,x]",
        "adaptation.penalties=0.1", "model.input_size=1.5", "model.input_size=true", "model.pretrained=maybe",
        "model.init_seed=x",
        "model.weights_match=name", "model.num_classes=1.5", "dataset.download=2", "subset.draw=last",
        "trainer.micro_batch=2.5",
        "+trainer.num_nodes=x", "+trainer.benchmark=maybe",
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_by_name(override):
    with pytest.raises(SettingError) as error:
        settings(override)
    message = str(error.value)
    assert message.startswith(override.partition("=")[0].lstrip("+"))
    assert "expected" in message


@pytest.mark.parametrize("n", ["0200", "200.0", "2e2", "'200'", "2_00"])
def test_n_has_one_reading(n):
    assert composed([f"n={n}"]).n == 200


def test_a_class_that_cannot_be_had_is_said_when_it_is_made():
    assert settings("adaptation._target_=no.such.Class")["adaptation"]["folds"] == 5


def test_python_reads_settings_as_the_command_line_does(place):
    scores = [
        evaluate_point(*DIGITS[2:], "dataset.name=1.10", model="pixels", dataset="digits", n=n, seed=seed).test_accuracy
        for n, seed in ((100, 1), ("0100", "01"), (100.0, 1))
    ]
    assert len(set(scores)) == 1


def test_nothing_is_none_in_python_and_null_on_the_command_line(place):
    assert evaluate_point(*DIGITS, "n=100", **{"features.batch_size": None, "adaptation.k": [1, 5]}).n == 100


@pytest.mark.parametrize("name", ["n", "seed", "model", "dataset", "adaptation", "trainer", "features", "subset.draw"])
def test_a_setting_that_was_taken_out_is_named(name):
    with pytest.raises(SettingError, match=f"^{name} is missing"):
        plain(compose(["dataset=digits", "model=pixels", f"~{name}"]))


@pytest.mark.parametrize("override", ["features=null", "data=5", "subset=first", "checkpoints=5"])
def test_a_node_that_became_a_value_is_named(override):
    with pytest.raises(SettingError, match=f"^{override.partition('=')[0]}=.*: expected settings, such as "):
        plain(compose(["dataset=digits", override]))
