"""Phrases for classes: how they are given, and how texts are compared with them."""

import numpy as np
import pytest
import torch
from tests.encoders import encoder, settings

from scaling.adapt.as_is import AsIs
from scaling.adapt.phrases import SCALE, by_class
from scaling.core.errors import AdaptationError, ScalingError, SettingError
from scaling.models import build
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed

NAMES = ("bad", "good")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("sentences"), sentences=True)


def job(folder, *overrides):
    return Job(settings("model=transformers", f"model.name={folder}", "adaptation=as_is", *overrides))


@pytest.mark.parametrize(
    ("phrases", "wanted"),
    [
        (None, [["bad"], ["good"]]),
        ("a {} film", [["a bad film"], ["a good film"]]),
        (("awful", "great"), [["awful"], ["great"]]),
        ({"good": "great", " bad": ("awful", "poor")}, [["awful", "poor"], ["great"]]),
    ],
)
def test_phrases_are_given_in_four_ways(phrases, wanted):
    assert by_class(phrases, NAMES) == wanted


@pytest.mark.parametrize(
    ("phrases", "reason"),
    [
        ("a film", r"adaptation\.phrases=a film: expected text with \{\}"),
        (("awful",), r"has 1 phrases, the data set 2 classes\.\n.*in this order: bad, good"),
        (("awful", ""), "expected text with"),
        (("awful", 3), "expected text with"),
        ({"bad": "awful"}, "lacks class good"),
        ({"bad": "awful", "good": "great", "ugly": "ugly"}, "names the unknown class ugly"),
        ({"bad": [], "good": "great"}, "expected text with"),
        ({"bad": {"a": 1}, "good": "great"}, "expected text with"),
    ],
)
def test_phrases_that_are_none(phrases, reason):
    with pytest.raises(ScalingError, match=reason) as error:
        by_class(phrases, NAMES)
    assert len(str(error.value).splitlines()) <= 3


def test_a_text_is_of_the_class_whose_phrases_mean_direction_is_nearest(folder, place):
    point = job(folder, "adaptation.phrases={bad: [awful, poor], good: [great]}")
    found = evaluate_job(point).outcome.test

    def encoded(*texts):
        reader = point.spec.model.processor().reader(type(point.dataset.test.samples)(texts))
        with torch.no_grad():
            return point.spec.model.encode(build(point.spec.model).network, reader.read(np.arange(len(texts))))

    bad, good = encoded("awful", "poor").mean(0), encoded("great")[0]
    texts = encoded(*point.dataset.test.samples.texts)
    cosines = torch.stack([texts @ phrase / phrase.norm() for phrase in (bad, good)], 1)
    np.testing.assert_allclose(found.log_probs, torch.log_softmax(SCALE * cosines, 1), atol=1e-5)


def test_the_identity_holds_the_phrases_or_the_names_that_stand_for_them(folder):
    named, same, other = job(folder), job(folder, 'adaptation.phrases="{}"'), job(folder, 'adaptation.phrases="a {}"')
    assert named.point.identity["adaptation"]["phrases"] == [["bad"], ["good"]]
    assert named.point.fingerprint == same.point.fingerprint != other.point.fingerprint


def test_where_nothing_is_compared_the_identity_is_what_it_was():
    assert AsIs().identity() == {"label_space": "match", "label_map": None}


def test_phrases_for_images_and_phrases_beside_a_head_are_refused():

    with pytest.raises(AdaptationError, match="phrases are texts, and pixels reads images"):
        Job(composed(["model=pixels", "dataset=digits", "adaptation=as_is", "adaptation.phrases='a {}'"])).check()
    with pytest.raises(SettingError, match="takes the place of the model's own head"):
        AsIs(phrases="{}", label_space="raw")
