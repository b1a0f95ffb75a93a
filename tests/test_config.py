"""How configs are found, composed and turned into objects, and what their errors say."""

import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hydra.errors import MissingConfigException

from scaling import config
from scaling.adapt import Knn
from scaling.config import (
    build,
    compose,
    config_path,
    exit_with,
    explain,
    lifted,
    plain,
    resolve_precision,
    run_application,
)
from scaling.core.errors import SettingError
from scaling.core.reading import read
from scaling.core.secrets import mask, restore
from scaling.settings import Precision

KNN = {"_target_": "scaling.adapt.Knn", "k": 5, "metric": "cosine", "weights": "uniform", "smoothing": 1.0}


@dataclass(frozen=True)
class Thing:
    size: int = 1
    parts: tuple[Any, ...] = ()
    inner: Any = None


THING = f"{Thing.__module__}.Thing"


@pytest.fixture
def command_line(monkeypatch):
    """Set the overrides that the command line has."""

    def set_to(*overrides):
        monkeypatch.setattr(sys, "argv", ["python -m scaling.run", *overrides])

    set_to()
    return set_to


def thing(**settings):
    return build({"_target_": THING, **settings})


def refusal(call, *arguments):
    """Return the message with which a call is refused."""
    with pytest.raises(SettingError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


# ---- composing -----------------------------------------------------------------------------------------------


def test_a_checkout_uses_its_own_configs():
    assert Path(config_path()) == Path(__file__).parents[1] / "conf"


def test_an_installed_package_uses_the_configs_inside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "__file__", str(tmp_path / "lib" / "scaling" / "config.py"))
    assert config_path() == "pkg://scaling.conf"


def test_the_defaults_are_those_that_are_documented():
    settings = plain(compose())
    targets = [settings[group]["_target_"] for group in ("dataset", "adaptation")]
    assert targets == ["scaling.datasets.FashionMnist", "scaling.adapt.LinearProbe"]
    assert settings["model"]["id"] == "efficientnet_lite0"
    assert (settings["seed"], settings["precision"]) == (0, "32-true")


def test_overrides_are_taken():
    settings = plain(compose(["model=pixels", "adaptation=knn", "adaptation.k=3", "n=full"]))
    assert (settings["model"]["id"], settings["adaptation"]["k"], settings["n"]) == ("pixels", 3, "full")


def test_a_plain_config_is_without_hydras_own_part():
    assert "hydra" not in plain(compose())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model=resnt18", ["model=resnt18", "Did you mean model=resnet18?", "pixels", "vit_b_16"]),
        ("dataset=mnist", ["dataset=mnist", "fashion_mnist", "digits"]),
        ("adaptation=svm", ["adaptation=svm", "as_is, finetune, finetune_short, knn, knn_euclidean, linear_probe"]),
        ("trainer=tpu", ["trainer=tpu", "auto, cpu, ddp, gpu"]),
        ("experiment=quickstrt", ["Did you mean experiment=quickstart?"]),
    ],
)
def test_an_unknown_choice_names_the_choices(override, words):
    message = refusal(compose, [override])
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("sede=1", ["There is no setting sede.", "Did you mean seed?", "precision"]),
        ("adaptation.fold=3", ["adaptation.fold", "Did you mean adaptation.folds?", "adaptation.penalties"]),
        ("features.size=1", ["features.size", "features.dir, features.batch_size"]),
        ("no.such=1", ["There is no setting no.such."]),
    ],
)
def test_an_unknown_setting_names_its_neighbours(override, words, command_line):
    message = refusal(compose, [override])
    assert all(word in message for word in words), message


def test_neighbours_are_those_of_the_chosen_group(command_line):
    overrides = ["adaptation=knn", "adaptation.kk=3"]
    command_line(*overrides)
    message = refusal(compose, overrides)
    assert "Did you mean adaptation.k?" in message
    assert "penalties" not in message


@pytest.mark.parametrize("override", ["n", "n=[1", "+n=3", "~nothing"])
def test_a_malformed_override_is_explained_shortly(override, command_line):
    assert refusal(compose, [override])


def test_an_unknown_choice_without_options_is_explained_too():
    assert explain(MissingConfigException("there is no x", "x", None)) == "there is no x"


def test_hydras_own_hints_are_left_out():
    error = ValueError("what is wrong\n    full_key: a.b\n    object_type=dict\n\nSee https://hydra.cc for more")
    assert explain(error) == "what is wrong"


def test_an_explanation_has_at_most_three_lines():
    assert explain(ValueError("a\nb\nc\nd\ne")) == "a\nb\nc"


# ---- building ------------------------------------------------------------------------------------------------


def test_a_node_becomes_the_object_that_it_describes():
    assert build(KNN) == Knn(k=5, metric="cosine", weights="uniform", smoothing=1.0)


def test_keys_that_are_no_settings_can_be_dropped():
    assert build({**KNN, "remark": "mine"}, drop=["remark"]) == build(KNN)


def test_an_unknown_setting_names_the_known_ones():
    message = refusal(build, {**KNN, "kk": 3})
    assert "Knn has no setting 'kk'" in message
    assert all(name in message for name in ("k", "metric", "weights", "smoothing"))


def test_lists_become_tuples_at_any_depth():
    assert thing(parts=[1, [2, 3]]) == Thing(parts=(1, (2, 3)))
    assert thing(inner={"sizes": [1, 2]}) == Thing(inner={"sizes": (1, 2)})


def test_nodes_within_a_node_become_objects():
    assert thing(inner={"_target_": THING, "size": 2}) == Thing(inner=Thing(size=2))
    assert thing(parts=[{"_target_": THING, "size": 2}]) == Thing(parts=(Thing(size=2),))


def test_a_node_without_a_class_says_so():
    message = refusal(build, {"k": 5})
    assert "_target_" in message
    assert "'k': 5" in message


@pytest.mark.parametrize("target", ["scaling.adapt.Svm", "no.such.Class", "Knn"])
def test_a_class_that_does_not_exist_is_named(target):
    assert target in refusal(build, {"_target_": target})


# ---- precision -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "accelerator", "used"),
    [
        ("32-true", "cpu", "32-true"), ("bf16-mixed", "cpu", "bf16-mixed"), ("bf16-true", "cpu", "bf16-true"),
        ("16-mixed", "cpu", "bf16-mixed"), ("32-true", "gpu", "32-true"), ("16-mixed", "gpu", "16-mixed"),
        ("16-true", "gpu", "16-true"),
    ],
)  # fmt: skip
def test_the_precision_is_the_one_that_is_used(asked, accelerator, used):
    assert resolve_precision(asked, accelerator) == used


@pytest.mark.parametrize(("gpu", "used"), [(True, "16-mixed"), (False, "bf16-mixed")])
def test_the_best_device_decides_where_none_is_named(gpu, used, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_precision("16-mixed", "auto") == used


def test_true_half_precision_needs_a_gpu_and_says_what_does_not():
    assert "bf16-true, bf16-mixed or 32-true" in refusal(resolve_precision, "16-true", "cpu")


def test_an_unknown_precision_names_the_choices():
    message = refusal(read, Precision, "fp16", "precision")
    assert all(name in message for name in ("fp16", *get_args(Precision)))


# ---- secrets and exits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@db/runs", "postgresql://***@db/runs"),
        ("mysql+pymysql://me:secret@db:3306/runs", "mysql+pymysql://***@db:3306/runs"),
        ("https://token@server", "https://***@server"),
        ("no answer from http://a:secret@h/x; tried 'https://b:secret@h'", "no answer from http://***@h/x; tried 'https://***@h'"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://server/path", "http://server/path"),
        ("mail me@work", "mail me@work"),
        ("", ""),
    ],
)  # fmt: skip
def test_credentials_are_hidden_and_all_else_is_kept(text, shown):
    assert mask(text) == shown


def test_a_users_error_is_a_message_without_traceback(capsys, monkeypatch):
    monkeypatch.delenv(config.TRACEBACK, raising=False)
    with pytest.raises(SystemExit, match="1"):
        exit_with(SettingError("n=0 at http://me:secret@h"))
    assert capsys.readouterr().err == "error: n=0 at http://***@h\n"


def test_the_traceback_can_be_asked_for(capsys, monkeypatch):
    monkeypatch.setenv(config.TRACEBACK, "1")
    with pytest.raises(SystemExit):
        exit_with(SettingError("n=0"))
    assert "SettingError: n=0" in capsys.readouterr().err


def test_an_error_of_ours_keeps_its_traceback_and_hides_credentials(capsys):
    with pytest.raises(SystemExit):
        exit_with(RuntimeError("a bug at http://me:secret@h"))
    assert capsys.readouterr().err.strip() == "RuntimeError: a bug at http://***@h"


def test_an_interrupted_command_says_how_to_go_on(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="130"):
        run_application(interrupted)
    assert "start the same command again" in capsys.readouterr().err


def test_reading_configs_needs_no_torch():
    code = "import sys; from scaling.config import compose; compose(); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_two_unknown_settings_are_answered_with_the_first_at_once():
    with pytest.raises(SettingError, match=r"There is no setting modle\. Did you mean model\?"):
        compose(["modle=x", "sede=3"])


@pytest.mark.parametrize("override", ["model=3", "adaptation=null"])
def test_a_group_that_is_given_something_else_than_a_name_is_a_setting_error(override):
    with pytest.raises(SettingError):
        compose([override])


@pytest.mark.parametrize("password", ["p@q", "a/b", "it's", "x?y"])
def test_a_password_of_any_characters_is_masked(password):
    assert password not in mask(f"postgresql://me:{password}@host/runs")


def test_an_override_that_cannot_be_read_tells_no_password():
    with pytest.raises(SettingError) as caught:
        compose(["tracking.uri=[http://me:hunter2@host"])
    assert "hunter2" not in "".join(traceback.format_exception(caught.value.__cause__, limit=0))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "uri"),
    [
        ("tracking.uri=http://me:a,(b=ü@host", "http://me:a,(b=ü@host"),
        ("+tracking.uri=http://me:a\\,b@host", "http://me:a,b@host"),
        ("tracking.uri='http://me:it\\'s@host'", "http://me:it's@host"),
        ('tracking.uri="http://me:a\\b@host"', "http://me:a\\b@host"),
    ],
)
def test_credentials_are_taken_out_before_hydra_reads_them(override, uri):
    name = override.partition("=")[0]
    assert lifted(override) == f"{name}='http://***@host'"
    assert restore("http://***@host") == uri


@pytest.mark.parametrize(
    "override",
    [
        "n=10", "tracking.uri=null", "tracking.uri=sqlite:////home/me@work/mlflow.db", "model=a@b:c@d",
        "tracking.uri='http://${oc.env:USER}:${oc.env:PW}@host'", "tracking.uri=http://a:b@h,http://c:d@h",
    ],
)  # fmt: skip
def test_other_settings_are_left_as_they_are(override):
    assert lifted(override) == override
