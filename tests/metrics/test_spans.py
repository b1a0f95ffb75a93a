"""Metrics of spans, against seqeval's strict mode and against spans that are told one word after the other."""

import numpy as np
import pytest

from scaling.metrics import metric_of, primary_metric
from scaling.metrics.spans import METRICS, Predictions, at_chance, measure, scored, spans
from scaling.tasks.token_classification import tag_names

TYPES = ("LOC", "ORG", "PER")
NAMES = tag_names(TYPES)


def predictions(seed=0, m=120, longest=12, skill=0.7):
    """Tags at random, many of them no proper spans, of sentences of all lengths; most are predicted right."""
    rng = np.random.default_rng(seed)
    there = np.arange(longest) < rng.integers(1, longest + 1, m)[:, None]
    true, other = (rng.choice(len(NAMES), (m, longest), p=[0.4] + 6 * [0.1]) for _ in "12")
    said = np.where(rng.random((m, longest)) < skill, true, other)
    log_prob = np.where(there, -rng.random((m, longest)), 0).astype(np.float32)
    return Predictions(np.where(there, true, -1), np.where(there, said, -1), log_prob)


def again(found, places):
    return found.rearranged(np.asarray(places))


def read_slowly(tags):
    """The spans of one sentence as (type, start, end), by the words of the definition."""
    found, start, kind = set(), None, None
    for place, name in enumerate([*(NAMES[tag] for tag in tags if tag >= 0), "O"]):
        if start is not None and name != f"I-{kind}":
            found.add((kind, start, place))
            start = None
        if name.startswith("B-"):
            start, kind = place, name[2:]
    return found


def slow_scores(found, kind=None):
    pairs = zip(found.labels, found.predicted, strict=True)
    both = [[{s for s in read_slowly(tags) if kind in (None, s[0])} for tags in pair] for pair in pairs]
    hit, claimed, there = (sum(map(len, each)) for each in zip(*((t & p, p, t) for t, p in both), strict=True))
    precision, recall = hit / (claimed or 1), hit / (there or 1)
    return 2 * precision * recall / ((precision + recall) or 1), precision, recall


@pytest.mark.parametrize("seed", range(3))
def test_values_equal_those_of_spans_told_one_by_one(seed):
    found = predictions(seed)
    values = measure(found, TYPES).values
    assert (values["span_f1"], values["span_precision"], values["span_recall"]) == slow_scores(found)
    assert found.primary == values["span_f1"]
    for kind in TYPES:
        assert values[f"span_f1/{kind}"] == slow_scores(found, kind)[0]
    there = found.labels >= 0
    assert values["token_accuracy"] == pytest.approx((found.labels == found.predicted)[there].mean())
    assert values["nll"] == pytest.approx(-found.log_prob[there].mean(), rel=1e-6)
    assert found.log_loss == pytest.approx(values["nll"])


@pytest.mark.parametrize("seed", range(20))
def test_values_equal_seqevals_strict_ones_to_the_last_digit(seed):
    seqeval = pytest.importorskip("seqeval.metrics")
    from seqeval.scheme import IOB2

    found = predictions(seed, m=40, skill=(0.2, 0.5, 0.8, 0.95)[seed % 4])
    true, said = ([[NAMES[tag] for tag in row if tag >= 0] for row in of] for of in (found.labels, found.predicted))
    strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    values = measure(found, TYPES).values
    for name in ("f1", "precision", "recall"):
        assert values[f"span_{name}"] == getattr(seqeval, f"{name}_score")(true, said, **strict)
    told = seqeval.classification_report(true, said, output_dict=True, **strict)
    assert all(values[f"span_f1/{kind}"] == told[kind]["f1-score"] for kind in TYPES)


def test_a_further_word_that_continues_no_span_belongs_to_none():
    found = spans(np.array([[2, 1, 2, 4, 4, 3, 4, 4, -1]]))
    assert found.types.tolist() == [[-1, 0, -1, -1, -1, 1, -1, -1, -1]]
    assert found.lengths.tolist() == [[0, 2, 0, 0, 0, 3, 0, 0, 0]]


@pytest.mark.parametrize("name", ["span_f1", "span_precision", "span_recall", "token_accuracy", "nll", "span_f1/ORG"])
def test_the_values_of_sentences_have_the_metric_as_mean_and_the_bootstraps_variance(name):
    found, rng = predictions(2, m=500), np.random.default_rng(0)
    whole = measure(found, TYPES)
    assert whole.samples[name].mean(dtype=float) == pytest.approx(whole.values[name], abs=1e-9)
    resampled = [measure(again(found, rng.integers(0, 500, 500)), TYPES).values[name] for _ in range(200)]
    assert whole.samples[name].std(dtype=float) / np.sqrt(500) == pytest.approx(np.std(resampled), rel=0.2)


def test_scores_have_intervals_whose_unit_is_the_sentence():
    found = scored(predictions(1), predictions(2), TYPES)
    assert (found.metric, found.n) == ("span_f1", 120)
    names = {metric.name for metric in METRICS if not metric.name.endswith("/")}
    assert names == found.train.keys()
    for name in (*names, "span_f1/PER"):
        low, high = found.intervals[name]
        assert low < found.test[name] < high
        assert len(found.samples[name]) == 120
    assert metric_of("test/span_f1/PER", ["span_f1"]).words == "test span F1 of type PER"
    assert primary_metric("span_f1").title == "span F1"


def test_without_spans_scores_are_0_and_types_that_nobody_names_have_none():
    nothing = Predictions(np.zeros((3, 4), int), np.zeros((3, 4), int), np.zeros((3, 4), np.float32))
    values = measure(nothing, TYPES).values
    assert (values["span_f1"], values["span_precision"], values["token_accuracy"]) == (0, 0, 1)
    assert not [name for name in values if "/" in name]
    assert at_chance(scored(nothing, nothing, TYPES)) == (
        "test span F1 0.0000 is at chance: naming nothing gives 0.0000"
    )
    assert at_chance(scored(predictions(), predictions(), TYPES)) == ""


def test_what_is_kept_tells_the_primary_metric():
    found = predictions(4)
    kept = found.kept()
    assert {name: array.dtype for name, array in kept.items()} == {
        "labels": np.int16, "predicted": np.int16, "log_prob": np.float32,
    }  # fmt: skip
    assert Predictions(**kept).primary == found.primary
    assert not Predictions(kept["labels"], kept["predicted"], kept["log_prob"] - np.inf).finite
