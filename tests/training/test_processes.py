"""What several processes say is passed on, and joined; how they end is told."""

import queue
from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.networks import Listener

from scaling.core.errors import AdaptationError
from scaling.metrics.classification import Predictions
from scaling.training.processes import QueueReporter, _listen
from scaling.training.work import Trained


@dataclass
class Process:
    exitcode: int | None = None

    def is_alive(self) -> bool:
        return self.exitcode is None


@dataclass
class Group:
    processes: list[Process] = field(default_factory=lambda: [Process(), Process()])


def share(labels):
    labels = np.array(labels)
    return Predictions(labels, labels + 1, labels.astype(np.float32), None)


def trained(rate):
    return Trained(share([0]), share([0]), rate, 1, ())


def test_stages_values_and_notes_reach_the_listener_and_shares_come_in_order():
    messages, heard = queue.Queue(), Listener()
    sender = QueueReporter(messages)
    with sender.stage("fit", 10) as advance:
        advance(4)
        sender.value("fit/loss", 0.5, 3)
        sender.note("slow")
        advance(6)
    messages.put(("done", 1, trained(0.2)))
    messages.put(("done", 0, trained(0.1)))
    assert [found.rate for found in _listen(Group(), messages, 2, heard)] == [0.1, 0.2]
    assert (heard.stages, heard.values, heard.notes) == ({"fit": 10}, [("fit/loss", 0.5, 3)], ["slow"])


def test_an_error_that_says_what_to_do_is_passed_on_and_another_keeps_its_traceback():
    messages = queue.Queue()
    messages.put(("error", "AdaptationError", "lower it", "trace", True))
    with pytest.raises(AdaptationError, match="lower it"):
        _listen(Group(), messages, 2, Listener())
    messages.put(("error", "ZeroDivisionError", "deep inside", "where it was", False))
    with pytest.raises(RuntimeError, match="ZeroDivisionError: deep inside") as error:
        _listen(Group(), messages, 2, Listener())
    assert error.value.__notes__ == ["where it was"]


def test_a_process_that_is_gone_without_a_word_is_told():
    with pytest.raises(AdaptationError, match=r"Process 1 of 2 ended with exit code -9\."):
        _listen(Group([Process(), Process(-9)]), queue.Queue(), 2, Listener())


def test_shares_are_woven_back_into_the_order_of_the_samples():
    every = Predictions.interleaved([share([0, 3, 6]), share([1, 4]), share([2, 5])])
    assert every.labels.tolist() == list(range(7))
    assert every.predicted.tolist() == list(range(1, 8))
    assert every.in_top_k is None
