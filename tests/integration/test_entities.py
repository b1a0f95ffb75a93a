"""Spans in sentences from a column file to the report, with a small network and its store."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tests.encoders import BAD, GOOD, OTHER, encoder

from scaling.core.errors import AdaptationError, SettingError
from scaling.core.reporter import SilentReporter
from scaling.metrics.spans import Predictions, measure
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed
from scaling.tracking import RunStore
from scaling.tracking.records import KIND

DECODINGS = ("free", "constrained")
TRAINED = (
    "adaptation.augment=[]", "adaptation.learning_rates=[0.01]", "adaptation.patience=null", "adaptation.batch_size=16",
    "adaptation.min_steps=1", "adaptation.rounds=2", "model.pooling=mean",
)  # fmt: skip


def sentence(rng):
    """Words, mostly few, with spans: praise of one or two words, blame of one."""
    lines = [f"{word}\tO" for word in rng.choice(OTHER, rng.choice([1, 3, 30], p=[0.5, 0.45, 0.05]))]
    for _ in range(rng.integers(0, 3)):
        good, bad = rng.choice(GOOD, 2), rng.choice(BAD)
        span = [f"{good[0]}\tB-praise", f"{good[1]}\tI-praise"][: rng.integers(1, 3)]
        lines += [*(span if rng.random() < 0.6 else [f"{bad}\tB-blame"]), f"{rng.choice(OTHER)}\tO"]
    return "\n".join(lines)


@pytest.fixture
def remarks(place):
    """A folder with 80 + 40 sentences, some longer than the network reads, and an encoder."""
    rng = np.random.default_rng(0)
    (place / "remarks").mkdir()
    for part, count in (("train", 80), ("test", 40)):
        text = "\n\n".join(sentence(rng) for _ in range(count))
        (place / "remarks" / f"{part}.tsv").write_text(text, encoding="utf-8")
    encoder(place / "small", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return "dataset=conll", "dataset.path=remarks", "model=transformers", "model.name=small", "trainer=cpu"


def points():
    return [run for run in RunStore().runs() if run.data.tags[KIND] == "point"]


def job(*overrides):
    return Job(composed(list(overrides)))


def test_a_sweep_is_run_reported_and_not_run_again(remarks, command, capsys):
    grid = ("-m", *remarks, "adaptation=knn,linear_probe", "n=10,40,full", "seed=0,1")
    assert command("scaling.run", *grid, "plan=true") == 0
    assert "10 points" in capsys.readouterr().out
    assert command("scaling.run", *grid) == 0
    assert "sentences are longer than the 24 tokens that transformers/small reads" in capsys.readouterr().out
    runs = points()
    assert {run.data.tags["scaling.metric"] for run in runs} == {"span_f1"}
    run = next(r for r in runs if (r.data.params["adaptation"], r.data.params["n"]) == ("linear_probe", "80"))
    assert {"test/span_f1_low", "test/span_f1/praise", "train/span_recall", "test/token_accuracy"} <= set(
        run.data.metrics
    )
    targets = job(*remarks, "adaptation=knn").dataset.train.targets
    assert run.data.metrics["words"] == (targets >= 0).sum()
    assert run.data.metrics["spans"] == ((targets == 1) | (targets == 3)).sum()
    kept = np.load(Path(run.info.artifact_uri.removeprefix("file://")) / "predictions.npz")
    again = Predictions(*(kept[f"test_{name}"] for name in ("labels", "predicted", "log_prob")))
    assert measure(again, ("blame", "praise")).values["span_f1"] == run.data.metrics["test/span_f1"] > 0.5

    assert command("scaling.report") == 0
    with Path("reports/scaling/curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["metric"] for row in rows} == {"span_f1"}
    assert {row["train_accuracy"] for row in rows} == {""}
    assert "span F1" in json.dumps(json.loads(Path("reports/scaling/findings.json").read_text()))
    assert command("scaling.report", "metric=test/span_f1/blame") == 0
    assert command("scaling.run", *grid) == 0
    assert "nothing to run" in capsys.readouterr().out


def test_features_are_a_row_a_word_and_computed_once(remarks):
    first = job(*remarks, "adaptation=knn", "n=20")
    evaluation = evaluate_job(first)
    assert evaluation.features_computed == 20 + 40
    more = evaluate_job(job(*remarks, "adaptation=knn", "n=50"))
    assert more.features_computed == 30
    provider = first.provider(None)
    rows = provider.rows("test", np.array([3, 7]))
    sizes = first.dataset.task.sizes(first.dataset.test.targets)
    assert rows.shape == (sizes[3] + sizes[7], 16)
    np.testing.assert_array_equal(rows[sizes[3] :], provider.rows("test", np.array([7])))


def test_a_damaged_row_computes_its_sentence_again(remarks):
    first = job(*remarks, "adaptation=knn", "n=20")
    evaluate_job(first)
    provider = first.provider(None)
    before = provider.rows("test", np.arange(40))
    entry = provider.entry("test")
    entry.forget(provider.layout("test").rows(np.array([5]))[-1:])
    again = first.provider(None)
    again.reporter = SilentReporter()
    np.testing.assert_allclose(again.rows("test", np.arange(40)), before, atol=1e-6)
    assert again.computed == 1


@pytest.mark.parametrize("adaptation", ["knn", "linear_probe"])
def test_one_sentence_is_enough(remarks, adaptation):
    evaluation = evaluate_job(job(*remarks, f"adaptation={adaptation}", "n=1"))
    assert 0 <= evaluation.score.test_score <= 1
    assert len(evaluation.outcome.train) == 1


@pytest.mark.parametrize("adaptation", ["finetune", "lora"])
def test_networks_are_trained_on_words(remarks, adaptation):
    settings = (*remarks, f"adaptation={adaptation}", *TRAINED, "adaptation.epochs=20", "n=full")
    evaluation = evaluate_job(job(*settings))
    assert evaluation.score.test_score > 0.6


def test_parts_of_a_batch_weigh_by_their_words(remarks):
    settings = (*remarks, "adaptation=finetune", *TRAINED, "adaptation.epochs=2", "n=full")
    whole, parts = (evaluate_job(job(*settings, *more)) for more in ((), ("trainer.micro_batch=4",)))
    np.testing.assert_allclose(parts.outcome.test.log_prob, whole.outcome.test.log_prob, atol=2e-3)


def test_a_models_own_tagging_head_is_evaluated_by_its_names(remarks, place):
    names = {0: "I-PRAISE", 1: "O", 2: "B-blame", 3: "I-blame", 4: "B-praise"}
    encoder(place / "tagger", "BertForTokenClassification", id2label=names)
    settings = (*remarks, "model.name=tagger", "adaptation=as_is", "n=20")
    evaluation = evaluate_job(job(*settings))
    there = evaluation.outcome.test.labels >= 0
    assert set(np.unique(evaluation.outcome.test.predicted[there])) <= set(range(5))
    encoder(place / "other", "BertForTokenClassification", num_labels=5)
    with pytest.raises(AdaptationError, match="comparing them says nothing"):
        job(*remarks, "model.name=other", "adaptation=as_is", "n=20").check()


def test_a_head_over_words_is_not_kept_for_whole_texts(remarks):
    with pytest.raises(SettingError, match="keep_model=true: a head over the parts of samples"):
        job(*remarks, "adaptation=linear_probe", "keep_model=true").check()


def test_tags_that_are_told_together_are_proper_and_another_point(remarks):
    free, told = (job(*remarks, "adaptation=linear_probe", "n=40", f"dataset.decoding={d}") for d in DECODINGS)
    assert free.point.fingerprint != told.point.fingerprint
    evaluation = evaluate_job(told)
    tags = evaluation.outcome.test.predicted
    before = np.hstack([np.zeros((len(tags), 1), int), tags[:, :-1]])
    further = (tags > 0) & (tags % 2 == 0)
    assert ((before == tags) | (before == tags - 1))[further].all()
    assert further.any()
    assert evaluate_job(free).outcome.test.log_prob.tolist() == evaluation.outcome.test.log_prob.tolist()


def test_phrases_are_not_compared_with_words(remarks, place):
    encoder(place / "sentences", sentences=True)
    with pytest.raises(AdaptationError, match="phrases are compared with whole texts, not with the words of remarks"):
        job(*remarks, "model.name=sentences", "adaptation=as_is").check()
