"""A tag a word: what the task says of sentences' targets, of words' logits, and of scores."""

from itertools import product

import numpy as np
import pytest
import torch

from scaling.core.errors import DataError
from scaling.core.subsets import subset_indices
from scaling.tasks import TokenClassification
from scaling.tasks.token_classification import padded, tag_names

TASK = TokenClassification(tag_names(["LOC", "PER"]))
TAGS = padded([[0, 1, 2], [3], [0, 0], [1, 0, 3, 4]], 4)


def test_targets_are_padded_and_rows_are_their_words():
    assert TAGS.tolist() == [[0, 1, 2, -1], [3, -1, -1, -1], [0, 0, -1, -1], [1, 0, 3, 4]]
    assert TASK.types == ("LOC", "PER")
    assert TASK.sizes(TAGS).tolist() == [3, 1, 2, 4]
    assert TASK.of_rows(TAGS).tolist() == [0, 1, 2, 3, 0, 0, 1, 0, 3, 4]
    assert TASK.of_rows(torch.from_numpy(TAGS)).tolist() == TASK.of_rows(TAGS).tolist()
    assert TASK.counts(TAGS).tolist() == [4, 2, 1, 2, 1]
    assert TASK.amounts(TAGS) == {"words": 10, "spans": 4}
    codes = TASK.codes(np.concatenate([TAGS, TAGS[:1]]))
    assert codes[0] == codes[4]
    assert len(set(codes.tolist())) == 4


def test_a_sentence_is_drawn_by_its_rarest_type():
    targets = padded([[1], [1], [1], [1, 3], [3], [0]], 2)
    assert TASK.strata(targets).tolist() == [[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]


def test_subsets_hold_each_type_in_its_share_are_nested_and_of_any_size():
    rng = np.random.default_rng(0)
    targets = padded([[int(rng.choice([0, 1, 3], p=[0.5, 0.45, 0.05]))] for _ in range(400)], 1)
    before = np.empty(0, int)
    for n in (1, 20, 40, 100, 400):
        found = subset_indices(TASK.strata(targets), n, 0)
        assert len(found) == n
        assert set(before) <= set(found.tolist())
        expected = TASK.counts(targets) * n / 400
        assert np.abs(TASK.counts(targets[found]) - expected).max() <= 2
        before = found


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (TAGS[:, 0], r"of shape \(4,\), expected one row a sentence, with numbers from -1 to 4"),
        (TAGS + 1, "with numbers from -1 to 4"),
        (np.array([[3, -1, 1]]), "has no word, or a gap among its tags"),
        (np.array([[-1, -1]]), "has no word"),
        (TAGS[1:3], "no training sentence has a span of type LOC in here"),
    ],
)
def test_other_targets_are_refused(targets, said):
    TASK.check(TAGS, "training", "people", "here")
    with pytest.raises(DataError, match=said):
        TASK.check(targets, "training", "people", "here")


def test_types_without_a_span_are_named():
    assert [*TASK.notes(TAGS, TAGS[:1])] == [
        "no test sentence has a span of type PER: what is said of them can only be wrong"
    ]
    sure = torch.nn.functional.one_hot(torch.from_numpy(TASK.of_rows(TAGS))).float().log()
    test, train = TASK.decode(sure, torch.from_numpy(TAGS)), TASK.decode(sure[:3], torch.from_numpy(TAGS[:1]))
    assert TASK.flag(TASK.scored(train, test), train, test) == "no span of the subset is of type PER"


def test_words_predictions_come_back_in_their_sentences():
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32))
    log_probs = TASK.log_probabilities(logits)
    found = TASK.decode(log_probs, torch.from_numpy(TAGS))
    np.testing.assert_array_equal(TASK.of_rows(found.predicted), logits.argmax(1))
    np.testing.assert_array_equal(found.predicted == -1, TAGS == -1)
    loss = TASK.loss(logits, TASK.of_rows(torch.from_numpy(TAGS)))
    assert found.log_loss == pytest.approx(float(loss), rel=1e-6)
    halves = [
        TASK.decode(log_probs[:4], torch.from_numpy(TAGS[:2])),
        TASK.decode(log_probs[4:], torch.from_numpy(TAGS[2:])),
    ]
    joined = type(found).concatenate(halves)
    np.testing.assert_array_equal(joined.predicted, found.predicted)
    np.testing.assert_array_equal(joined.log_prob, found.log_prob)


def test_made_up_sentences_have_one_word_and_every_tag():
    targets, true = TASK.made_up(20, np.random.default_rng(0))
    TASK.check(targets, "training", "made up", "")
    assert true.shape == (20, 5)
    np.testing.assert_array_equal(TASK.of_rows(targets), true.argmax(1))


def constrained():
    return TokenClassification(tag_names(["LOC", "PER"]), decoding="constrained")


@pytest.mark.parametrize("seed", range(5))
def test_constrained_tags_are_the_most_probable_of_those_that_are_proper(seed):
    rng = np.random.default_rng(seed)
    targets = padded([[0] * 4, [0], [0] * 3], 4)
    logits = torch.from_numpy(rng.normal(size=(8, 5)).astype(np.float32))
    log_probs = TASK.log_probabilities(logits)
    found = constrained().decode(log_probs, torch.from_numpy(targets))

    def proper(tags):
        return all(tag in (0, 1, 3) or tag - 1 <= before <= tag for before, tag in zip((0, *tags), tags, strict=False))

    start = 0
    for row, size in zip(found.predicted, (4, 1, 3), strict=True):
        own = log_probs[start : start + size].numpy().astype(float)
        best = max(filter(proper, product(range(5), repeat=size)), key=lambda tags: own[range(size), tags].sum())
        assert row.tolist() == [*best, *[-1] * (4 - size)]
        start += size


def test_how_tags_are_told_is_part_of_who_a_point_is():
    assert TASK.identity() == {}
    assert constrained().identity() == {"decoding": "constrained"}
