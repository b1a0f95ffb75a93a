"""One class a sample: what the task says of targets, logits and scores."""

import numpy as np
import pytest
import torch

from scaling.core.errors import DataError
from scaling.metrics.classification import TOP_K
from scaling.tasks import Classification

TASK = Classification(("cat", "dog", "owl"))


def test_names_are_read_in_ascending_order_and_spaces_around_them_do_not_count():
    names, targets = Classification.read(["owl", "cat ", "cat", "dog"], "here")
    assert names == TASK.class_names
    assert targets.tolist() == [2, 0, 0, 1]
    assert targets.dtype == np.int64


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([0, 1, 3], "labels of the test part run from 0 to 3, expected 0 to 2"),
        ([0, 1, 1], "no test sample of class owl"),
    ],
)
def test_labels_that_are_no_class_and_classes_without_samples_are_refused(targets, said):
    TASK.check(np.array([0, 1, 2]), "test", "zoo", "here")
    with pytest.raises(DataError, match=said):
        TASK.check(np.array(targets), "test", "zoo", "here")


def test_decoding_keeps_what_scores_need():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    found = TASK.decode(TASK.log_probabilities(logits), torch.tensor([0, 1]))
    assert found.predicted.tolist() == [0, 2]
    np.testing.assert_allclose(found.log_prob, logits.log_softmax(1)[[0, 1], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(found.log_probs).sum(1), 1, rtol=1e-6)
    assert found.in_top_k is None
    assert (found.primary, found.finite, len(found)) == (0.5, True, 2)
    assert found.log_loss == pytest.approx(-found.log_prob.mean())


def test_top_k_is_told_where_there_are_more_outputs_and_all_is_kept_where_it_is_asked_for():
    logits = torch.arange(TOP_K + 2.0)[None].repeat(2, 1)
    found = TASK.decode(logits, torch.tensor([1, 2]), whole=False)
    assert found.in_top_k.tolist() == [False, True]
    assert found.log_probs is None


def test_loss_hits_and_regressions_are_those_of_one_class():
    logits, targets = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]]), torch.tensor([0, 1])
    assert TASK.loss(logits, targets, reduction="sum") == 2 * TASK.loss(logits, targets)
    assert TASK.loss(logits, targets, 0.1) != TASK.loss(logits, targets)
    assert TASK.hits(logits, targets) == 1
    assert TASK.regressions(targets) == (targets, 3, None)


def test_outputs_of_one_class_are_added_up():
    given = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()
    found = TASK.joined(given, [[0], [1, 3], [2]]).exp()
    np.testing.assert_allclose(found, [[0.1, 0.6, 0.3]], rtol=1e-5)


def test_absent_classes_are_named():
    assert TASK.absent(np.array([1, 1])) == ["cat", "owl"]
    assert TASK.absent(np.array([0, 1, 2])) == []
