"""Overrides as people type them."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from scaling.config import compose
from scaling.core.errors import SettingError
from scaling.overrides import alternatives, elements, flags_last, spelled, unreadable

PARSER = OverridesParser.create()


def meant(override):
    """What Hydra makes of an override once it is spelled."""
    return PARSER.parse_override(spelled(override)).value()


@pytest.mark.parametrize(
    "text",
    [
        "epoch=3-step=10.ckpt", "/tmp/run a=1/last.ckpt", "a(b).csv", "a(b,c).csv", "f(1)", "bücher.csv", "图.csv",
        "it's.csv",
        "a[1].csv", "a{b}.csv", "a#b", "a;b", "a&b", "a<b>", "50%!", "“x”", 'a"b"c', "x)", r"C:\data\ü.csv",
        "http://u@h/x?a=b&c=d",
    ],
)  # fmt: skip
def test_a_text_that_can_mean_one_thing_only_is_read_as_it_is(text):
    assert meant(f"dataset.path={text}") == text


@pytest.mark.parametrize(
    "override",
    [
        "n=10", "n=10,20", "model=resnet18", "adaptation.penalties=[0.1,1]", "model.preprocessing={a: 1}",
        "n=range(1,4)",
        "n='a,b'", r"dataset.path=a\=b", "dataset.name=${data.dir}", "~model", "x=", r"dataset.path=C:\x",
    ],
)  # fmt: skip
def test_what_hydra_reads_is_left_to_it(override):
    assert spelled(override) == override


@pytest.mark.parametrize("override", ["n", "n=[1", "x={a", 'x="a', "n=10,", "x=a(1,2", r"x=a\,b=1"])
def test_what_may_mean_several_things_is_left_and_answered_with_what_to_type(override):
    assert spelled(override) == override
    with pytest.raises(SettingError) as error:
        compose([override])
    message = str(error.value)
    assert message.startswith(f"{override}: ")
    assert len(message.splitlines()) <= 3


def test_what_is_to_be_typed_is_ready_for_a_shell_and_means_the_text():
    typed = unreadable("model.weights={epoch=3}.ckpt").splitlines()[1].split("quotes: ")[1].removesuffix(".")
    (argument,) = shlex.split(typed)
    assert PARSER.parse_override(argument).value() == "{epoch=3}.ckpt"


def test_a_grid_of_such_texts_is_one():
    found = PARSER.parse_override(spelled("model.weights=a=1.ckpt,b.ckpt"))
    assert alternatives(found) == ['model.weights="a=1.ckpt"', "model.weights=b.ckpt"]


def test_home_is_found_where_a_shell_leaves_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert meant("dataset.root=~/pictures") == "/home/me/pictures"


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a,b", ["a", "b"]), ("[1,2],[3]", ["[1,2]", "[3]"]), ("'a,b', c", ["'a,b'", "c"]), (r"a\,b,c", [r"a\,b",
        "c"]),
        ("it's,b", ["it's", "b"]), ("f(1,2),3", ["f(1,2)", "3"]), ("${a:b,c},d", ["${a:b,c}", "d"]), ("a(1,b", []),
        ("a(1", ["a(1"]),
    ],
)  # fmt: skip
def test_a_grid_is_split_outside_of_quotes_and_brackets(value, parts):
    assert elements(value) == parts


@pytest.mark.parametrize(
    ("override", "texts"),
    [
        ("n=0200,1e3", ["n=0200", "n=1e3"]), ("n=0200", ["n=0200"]), ("n=range(1,3)", ["n=1", "n=2"]),
        ("++n=1,2", ["++n=1", "++n=2"]), ("x='a',\"b\"", ["x='a'", 'x="b"']), ("~x", ["~x"]), ("n=choice(1,2)",
        ["n=1", "n=2"]),
    ],
)  # fmt: skip
def test_the_points_of_a_grid_keep_what_was_typed(override, texts):
    assert alternatives(PARSER.parse_override(override)) == texts


def test_flags_may_stand_anywhere():
    typed = "n=10,20 -m seed=0,1 -cd conf --cfg job k=1 -i"
    assert flags_last(typed.split()) == ["n=10,20", "seed=0,1", "k=1", "-m", "-cd", "conf", "--cfg", "job", "-i"]
