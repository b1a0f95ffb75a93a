"""Trainings in this process, or shared by several: started here, one a device, and joined into one result.

Lightning would start the whole command again for each device. Instead a few processes are spawned that do nothing
but train; what they report and predict comes back through a queue, and the run stays with the process that has it.
"""

import os
import queue
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from scaling import machine
from scaling.core.errors import AdaptationError, ScalingError
from scaling.core.reporter import Advance, Reporter, SilentReporter
from scaling.core.streams import guard
from scaling.metrics.base import Predictions
from scaling.training.batches import Share
from scaling.training.search import train as train_here
from scaling.training.work import Trained, Work

#: Seconds after which the processes are looked at, where none of them says anything.
POLL_SECONDS = 0.2


def train(work: Work, reporter: Reporter) -> Trained:
    """Train and predict, in as many processes as are set."""
    return train_here(work, reporter) if work.settings.processes == 1 else _shared(work, reporter)


class QueueReporter:
    """Sends what is reported to the process that listens."""

    def __init__(self, messages: Any) -> None:
        self.messages = messages

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Enter a stage there."""
        self.messages.put(("enter", name, total))
        try:
            yield lambda steps: self.messages.put(("advance", steps))
        finally:
            self.messages.put(("leave",))

    def value(self, name: str, value: float, step: int) -> None:
        """Report a value there."""
        self.messages.put(("value", name, value, step))

    def note(self, message: str) -> None:
        """Report a sentence there."""
        self.messages.put(("note", message))


def _shared(work: Work, reporter: Reporter) -> Trained:
    from lightning_fabric.plugins.environments.lightning import find_free_network_port
    from torch.multiprocessing import get_context, start_processes

    count = work.settings.processes
    context = get_context("spawn")
    messages, tasks = context.Queue(), context.Queue()
    # No daemons, as these may not have the loader's workers. Sent as an argument, the data would be waited for
    # by one process after the other.
    for _ in range(count):
        tasks.put(work)
    tasks.cancel_join_thread()
    # torch's C++ reads it when it is imported: errors alone, not that all weights take part.
    with machine.environment(TORCH_CPP_LOG_LEVEL="ERROR"):
        group = start_processes(
            _member, (tasks, count, find_free_network_port(), messages), nprocs=count, join=False, daemon=False,
            start_method="spawn",
        )  # fmt: skip
    assert group is not None
    try:
        shares = _listen(group, messages, count, reporter)
    finally:
        for process in group.processes:
            process.kill()  # asked to end, Lightning would first talk to processes that may be gone
        for process in group.processes:
            process.join()
    first = shares[0]
    peaks = [share.metrics.get("memory/training_peak_bytes", 0.0) for share in shares]
    return replace(
        first,
        train=Predictions.interleaved([share.train for share in shares]),
        test=Predictions.interleaved([share.test for share in shares]),
        metrics={**first.metrics, "memory/training_peak_bytes": sum(peaks)},
    )


def _listen(group: Any, messages: Any, count: int, reporter: Reporter) -> list[Trained]:
    """Pass on what the processes report until each has handed in its share."""
    shares: dict[int, Trained] = {}
    stages: list[tuple[ExitStack, Advance]] = []
    with ExitStack() as left_over:
        while len(shares) < count:
            try:
                kind, *content = messages.get(timeout=POLL_SECONDS)
            except queue.Empty:
                _must_live(group, shares)
                continue
            if kind == "enter":
                stack = left_over.enter_context(ExitStack())
                stages.append((stack, stack.enter_context(reporter.stage(*content))))
            elif kind == "advance":
                stages[-1][1](*content)
            elif kind == "leave":
                stages.pop()[0].close()
            elif kind == "value":
                reporter.value(*content)
            elif kind == "note":
                reporter.note(*content)
            elif kind == "done":
                shares[content[0]] = content[1]
            else:
                raise _error(*content)
    return [shares[rank] for rank in range(count)]


def _error(name: str, message: str, trace: str, expected: bool) -> Exception:
    """Return the error that ended a process; one that nobody expected keeps its traceback."""
    if expected:
        return AdaptationError(message)
    error = RuntimeError(f"{name}: {message}")
    error.add_note(trace)
    return error


def _must_live(group: Any, shares: dict[int, Trained]) -> None:
    """Raise where a process ended without a word, as one that the kernel killed for its memory."""
    for rank, process in enumerate(group.processes):
        if rank not in shares and not process.is_alive() and process.exitcode != 0:
            raise AdaptationError(
                f"Process {rank} of {len(group.processes)} ended with exit code {process.exitcode}.\n"
                "If memory ran out (-9), lower trainer.micro_batch= or trainer.devices=."
            )


def _member(rank: int, tasks: Any, count: int, port: int, messages: Any) -> None:
    """Train as one of several processes."""
    import torch

    # Lightning takes these as the word of a launcher, and starts no processes of its own.
    os.environ |= {
        "LOCAL_RANK": str(rank), "RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    guard()
    machine.keep_freed_memory()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, machine.cores() // count))
    reporter: Reporter = QueueReporter(messages) if rank == 0 else SilentReporter()
    try:
        messages.put(("done", rank, train_here(tasks.get(), reporter, Share(rank, count))))
    except Exception as error:
        expected = isinstance(error, ScalingError)
        messages.put(("error", type(error).__name__, str(error), traceback.format_exc(), expected))
        messages.close()
        messages.join_thread()
        sys.exit(1)
    messages.close()
    messages.join_thread()
