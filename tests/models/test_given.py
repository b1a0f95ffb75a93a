"""The model without a network that stands behind embeddings."""

import pytest

from scaling.config import build, compose, plain
from scaling.core.errors import ModelError
from scaling.models import Given


def test_the_name_changes_nothing_but_labels():
    assert Given().id == "given"
    assert Given("clip").identity() == Given().identity() == {"architecture": "given"}
    assert Given.label_space is None


@pytest.mark.parametrize("ask", [Given.build, Given.processor])
def test_there_is_no_network(ask):
    with pytest.raises(ModelError, match=r"clip: embeddings come without a network(.|\n)*adaptation=linear_probe"):
        ask(Given("clip"))


@pytest.mark.parametrize(
    ("overrides", "model"),
    [
        (["dataset=embeddings"], Given()),
        (["dataset=embeddings", "model.id=clip"], Given("clip")),
        (["model=given"], Given()),
    ],
)
def test_the_data_set_chooses_it(overrides, model):
    assert build(plain(compose(overrides))["model"]) == model


def test_a_model_that_is_named_stays():
    assert plain(compose(["dataset=embeddings", "model=pixels"]))["model"]["id"] == "pixels"
