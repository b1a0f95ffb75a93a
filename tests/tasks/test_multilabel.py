"""Several labels a sample: what the task says of targets, logits and scores."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from scaling.core.errors import DataError
from scaling.tasks import Multilabel

TASK = Multilabel(("cat", "dog", "owl"))
HAS = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]], np.uint8)


def logits(k=3):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(4, k)).astype(np.float32))


def test_labels_are_read_between_separators():
    names, targets = Multilabel.read(["owl|cat", "cat | cat", "", "|dog|"], "here")
    assert names == TASK.class_names
    assert targets.tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert Multilabel.read([], "here")[1].shape == (0, 0)


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (HAS[:, :2], r"of shape \(4, 2\), expected one row a sample with 0 or 1 for each of 3 labels"),
        (2 * HAS, "expected one row a sample with 0 or 1"),
        (0 * HAS, "no test sample in here has a label"),
    ],
)
def test_other_targets_are_refused(targets, said):
    TASK.check(HAS, "test", "zoo", "here")
    with pytest.raises(DataError, match=said):
        TASK.check(targets, "test", "zoo", "here")


def test_what_a_user_should_know_of_the_labels_is_said():
    first, second, third = TASK.notes(HAS, HAS[:2])
    assert first == (
        "1 of 4 training and 0 of 2 test samples have no label: they count as samples that have none of the 3"
    )
    assert second == "no test sample has owl: it has no average precision, and counts in no mean over labels"
    assert third == "no training sample has owl: it can't be learnt, whatever n"
    assert [*TASK.notes(np.eye(3, dtype=int), np.eye(3, dtype=int))] == [
        "every sample has exactly one label: as classes, they would be scored by what is most probable"
    ]


def test_codes_are_equal_for_equal_sets_of_labels():
    codes = TASK.codes(HAS)
    assert codes.shape == (4,)
    assert codes[0] == codes[3]
    assert len(set(codes.tolist())) == 3


def test_the_loss_is_the_mean_over_labels_of_scikit_learns():
    probabilities = logits().sigmoid().numpy().astype(float)
    expected = np.mean([log_loss(HAS[:, c], probabilities[:, c], labels=[0, 1]) for c in range(3)])
    targets = torch.from_numpy(HAS)
    assert float(TASK.loss(logits(), targets)) == pytest.approx(expected, rel=1e-5)
    assert float(TASK.loss(logits(), targets, reduction="sum")) == pytest.approx(4 * expected, rel=1e-5)
    assert TASK.decode(TASK.log_probabilities(logits()), targets).log_loss == pytest.approx(expected, rel=1e-5)


def test_smoothing_spreads_its_share_over_having_and_not_having_a_label():
    targets = torch.from_numpy(HAS)
    sides = [TASK.loss(logits(), side.to(torch.uint8)) for side in (targets, 1 - targets)]
    assert float(TASK.loss(logits(), targets, 0.2)) == pytest.approx(float(0.9 * sides[0] + 0.1 * sides[1]), rel=1e-5)


def test_hits_are_shares_of_labels():
    sure = torch.tensor([[3.0, -3.0, -3.0], [3.0, -3.0, -3.0], [3.0, 3.0, 3.0], [-3.0, 3.0, 3.0]])
    assert float(TASK.hits(sure, torch.from_numpy(HAS))) == pytest.approx(1 + 2 / 3)


def test_each_label_is_a_regression_of_its_own():
    labels, classes, present = TASK.regressions(torch.from_numpy(HAS))
    assert labels.tolist() == [0] * 4
    assert classes == 1
    assert present.tolist() == HAS.T.tolist()


def test_further_outputs_are_left_out_and_several_of_a_label_count_by_the_most_probable():
    given = TASK.log_probabilities(logits(5))
    found = TASK.decode(given, torch.from_numpy(HAS))
    np.testing.assert_array_equal(found.log_probs, given[:, :3])
    joined = TASK.joined(given, [[0], [1, 4], [2]])
    np.testing.assert_array_equal(joined[:, 1], given[:, [1, 4]].amax(1))


def test_votes_are_the_weights_of_neighbours_that_have_a_label():
    neighbours, weights = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[1.0, 2.0], [1.0, 0.5]])
    votes = TASK.votes(torch.from_numpy(HAS), neighbours, weights)
    assert votes.tolist() == [[3, 2, 0], [0.5, 0, 0]]


def test_labels_of_which_nothing_was_learnt_are_named():
    test = TASK.decode(TASK.log_probabilities(8 * torch.from_numpy(HAS.astype(np.float32)) - 4), torch.from_numpy(HAS))
    assert "no sample of the subset has owl" in TASK.flag(TASK.scored(test, test), test, test)
