import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scaling.adapt.as_is import AsIs
from scaling.adapt.base import Context, Subset
from scaling.core.errors import AdaptationError, SettingError
from scaling.core.reporter import SilentReporter
from scaling.datasets.base import Dataset, Split
from scaling.modalities.images import ArrayImages
from scaling.models.base import Backbone
from scaling.tasks import Multilabel

NAMES = ("cat", "dog", "owl")
OUTPUTS = 6
MAP = {"cat": 4, "dog": [0, 5], "owl": 2}


class Rows:
    """Stands in for the feature provider: both splits share their features."""

    def __init__(self, features):
        self.features = features

    def rows(self, split, indices):
        return self.features[indices]


def model(label_space="imagenet1k"):
    return SimpleNamespace(id="net", label_space=label_space, labels=None, comparable=False)


def data_set(labels, label_space="pets"):
    split = Split(ArrayImages(np.zeros((len(labels), 1, 1, 1), np.uint8)), labels)
    return Dataset("zoo", NAMES, split, split, label_space, "here")


def linear(outputs=OUTPUTS, bias=True, d=5):
    layer = torch.nn.Linear(d, outputs, bias=bias)
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.data = torch.from_numpy(rng.normal(size=parameter.shape).astype(np.float32))
    return layer


def samples(n=40):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 5)).astype(np.float32), rng.integers(0, len(NAMES), n)


def run(settings, head):
    features, labels = samples()
    trainer = {"accelerator": "cpu", "devices": 1}
    context = Context(data_set(labels), model(), Rows(features), "32-true", trainer, SilentReporter())
    context.backbone = Backbone(torch.nn.Identity(), head, 0)
    indices = np.arange(0, 40, 2)
    return settings.run(context, Subset(indices, labels[indices], 0))


def probabilities(head):
    with torch.no_grad():
        return torch.softmax(head(torch.from_numpy(samples()[0])), dim=1).numpy()


def check(settings, model_space="imagenet1k", data_space="pets"):
    settings.check(data_set(samples()[1], data_space), model(model_space), 20)


def test_different_label_spaces_are_refused_with_both_names_and_the_remedies():
    with pytest.raises(AdaptationError) as error:
        check(AsIs(), "imagenet1k", "pets")
    for part in (
        "outputs of net mean imagenet1k", "labels of zoo mean pets",
        "adaptation.label_map=", "adaptation.label_space=raw", "adaptation=linear_probe",
    ):  # fmt: skip
        assert part in str(error.value)


@pytest.mark.parametrize(("model_space", "data_space"), [(None, "pets"), ("pets", None), (None, None)])
def test_an_unknown_label_space_matches_nothing_not_even_another_unknown_one(model_space, data_space):
    with pytest.raises(AdaptationError, match="mean nothing known"):
        check(AsIs(), model_space, data_space)


def test_equal_label_spaces_are_accepted():
    check(AsIs(), "pets", "pets")


@pytest.mark.parametrize("settings", [AsIs("raw"), AsIs(label_map=MAP)])
def test_raw_and_a_label_map_accept_any_label_space(settings):
    check(settings, "imagenet1k", "pets")


def test_raw_predicts_the_largest_of_all_outputs():
    head = linear()
    outcome = run(AsIs("raw"), head)
    np.testing.assert_array_equal(outcome.test.predicted, probabilities(head).argmax(1))
    assert outcome.test.predicted.max() >= len(NAMES)


def test_log_probability_is_the_heads_own_for_the_true_class():
    head, labels = linear(), samples()[1]
    expected = np.log(probabilities(head)[np.arange(len(labels)), labels])
    np.testing.assert_allclose(run(AsIs("raw"), head).test.log_prob, expected, rtol=1e-5)


def test_train_predictions_are_those_of_the_subset():
    head, labels = linear(), samples()[1]
    train = run(AsIs("raw"), head).train
    np.testing.assert_array_equal(train.labels, labels[::2])
    np.testing.assert_array_equal(train.predicted, probabilities(head).argmax(1)[::2])


def test_a_head_without_bias_is_evaluated():
    head = linear(bias=False)
    np.testing.assert_array_equal(run(AsIs("raw"), head).test.predicted, probabilities(head).argmax(1))


def test_top_k_is_known_where_there_are_more_outputs_than_that():
    head, labels = linear(), samples()[1]
    best = np.argsort(-probabilities(head), axis=1)[:, :5]
    np.testing.assert_array_equal(run(AsIs("raw"), head).test.in_top_k, (best == labels[:, None]).any(1))
    assert run(AsIs("raw"), linear(outputs=5)).test.in_top_k is None


def test_a_label_map_sums_each_class_over_its_outputs_and_renormalises():
    head, labels = linear(), samples()[1]
    p = probabilities(head)
    grouped = np.stack([p[:, 4], p[:, 0] + p[:, 5], p[:, 2]], axis=1)
    grouped /= grouped.sum(1, keepdims=True)
    test = run(AsIs(label_map=MAP), head).test
    np.testing.assert_array_equal(test.predicted, grouped.argmax(1))
    np.testing.assert_allclose(test.log_prob, np.log(grouped[np.arange(len(labels)), labels]), rtol=1e-4, atol=1e-6)


def test_a_label_map_goes_by_name_whatever_its_order():
    turned = dict(reversed(MAP.items()))
    one, other = run(AsIs(label_map=MAP), linear()), run(AsIs(label_map=turned), linear())
    np.testing.assert_array_equal(one.test.predicted, other.test.predicted)


def test_a_label_map_is_read_from_a_json_file_and_counts_by_its_content(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps(MAP))
    from_file, given = AsIs(label_map=str(path)), AsIs(label_map=MAP)
    check(from_file)
    assert from_file.identity() == given.identity() != AsIs().identity()
    np.testing.assert_array_equal(run(from_file, linear()).test.log_prob, run(given, linear()).test.log_prob)


def test_one_output_and_a_list_of_one_are_the_same_map():
    assert AsIs(label_map={"cat": 1}).identity() == AsIs(label_map={"cat": [1]}).identity()


def test_a_label_map_that_names_an_unknown_class_is_refused_with_the_classes():
    with pytest.raises(AdaptationError, match="unknown class cow; zoo has cat, dog, owl"):
        check(AsIs(label_map={**MAP, "cow": 1}))


def test_a_label_map_that_lacks_a_class_is_refused_with_its_name():
    with pytest.raises(AdaptationError, match="lacks class dog, owl; zoo has cat, dog, owl"):
        check(AsIs(label_map={"cat": 1}))


def test_a_label_map_beyond_the_heads_outputs_is_refused_with_both_numbers():
    with pytest.raises(AdaptationError, match=rf"names output {OUTPUTS}; net has {OUTPUTS}\b"):
        run(AsIs(label_map={**MAP, "owl": [2, OUTPUTS]}), linear())


@pytest.mark.parametrize(
    "label_map",
    [{"cat": -1}, {"cat": "one"}, {"cat": []}, {"cat": 1.5}, {"cat": None}, {"cat": [1, 1]}, {"cat": True}],
)
def test_a_malformed_label_map_is_refused_with_its_form(label_map):
    with pytest.raises(SettingError, match=r"label_map: expected \{CLASS: OUTPUT\} or \{CLASS: \[OUTPUT, …\]\}"):
        check(AsIs(label_map=label_map))


def test_a_label_map_that_is_none_is_refused():
    with pytest.raises(SettingError, match=r"label_map=\[1, 2\]: expected text or null or \{NAME: VALUE, …\}"):
        AsIs(label_map=[1, 2])


@pytest.mark.parametrize("content", [None, "{not json", "\xff"])
def test_a_file_that_cannot_be_read_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "map.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingError) as error:
        check(AsIs(label_map=str(path)))
    assert f"adaptation.label_map={path}: not a readable JSON file" in str(error.value)


def test_a_model_without_a_head_is_refused_with_the_remedies():
    with pytest.raises(AdaptationError, match="net has no head of its own") as error:
        run(AsIs("raw"), None)
    assert "adaptation=linear_probe" in str(error.value)
    assert "adaptation=knn" in str(error.value)


def test_a_head_with_fewer_outputs_than_classes_is_refused_with_both_numbers():
    with pytest.raises(AdaptationError, match="net has 2 outputs, zoo has 3 classes") as error:
        run(AsIs("raw"), linear(outputs=2))
    assert "adaptation=linear_probe" in str(error.value)


def test_an_unknown_label_space_setting_is_refused_with_the_choices():
    with pytest.raises(SettingError, match=r"adaptation\.label_space=loose: expected one of match, raw"):
        AsIs("loose")


def test_a_label_map_names_classes_in_either_form_of_unicode():
    labels = samples()[1]
    named = replace(data_set(labels), class_names=("cat", "dog", "\u00fclk"))
    AsIs(label_map={"cat": 4, "dog": [0, 5], "u\u0308lk": 2}).check(named, model(), 20)


def test_of_several_labels_each_output_stands_alone():
    features, _ = samples()
    has = (np.random.default_rng(3).random((40, 3)) < 0.4).astype(np.uint8)
    head, trainer = linear(), {"accelerator": "cpu", "devices": 1}
    context = Context(
        replace(data_set(has), kind=Multilabel), model(), Rows(features), "32-true", trainer, SilentReporter()
    )
    context.backbone = Backbone(torch.nn.Identity(), head, 0)
    logits = head(torch.from_numpy(features)).detach()
    raw = AsIs(label_space="raw").run(context, Subset(np.arange(5), has[:5], 0))
    np.testing.assert_allclose(np.exp(raw.test.log_probs), logits[:, :3].sigmoid(), rtol=1e-5)
    mapped = AsIs(label_map=MAP).run(context, Subset(np.arange(5), has[:5], 0))
    expected = torch.stack([logits[:, 4], logits[:, [0, 5]].amax(1), logits[:, 2]], 1).sigmoid()
    np.testing.assert_allclose(np.exp(mapped.test.log_probs), expected, rtol=1e-5)
