"""Interruptions: a training that is resumed ends as one that never stopped."""

import io
import os
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from tests.adapt.test_finetune import same
from tests.networks import Listener, finished, small

from scaling import machine
from scaling.core.errors import AdaptationError, StoreError
from scaling.runs.job import Job
from scaling.runs.spec import composed
from scaling.training import TrainingSettings
from scaling.training.checkpoints import FORMAT, Checkpoint, Progress
from scaling.training.module import TuningModule
from scaling.training.search import EARLIER


class KilledError(Exception):
    """Stands for a kill: nothing of ours handles it."""


def files():
    return sorted(path.name for path in Path(".checkpoints").glob("*"))


@pytest.fixture(scope="module")
def uninterrupted(hub, tmp_path_factory):
    """Trainings that nothing interrupts, by micro batch."""
    folder = tmp_path_factory.mktemp("uninterrupted")

    def run(micro_batch):
        places = (f"checkpoints.dir={folder}/checkpoints", f"features.dir={folder}/features")
        return finished(Job(composed([*small(hub), *places, f"trainer.micro_batch={micro_batch}"])))

    return {micro_batch: run(micro_batch) for micro_batch in ("null", "6")}


@pytest.fixture
def undisturbed(uninterrupted):
    return uninterrupted["null"]


# Before the first checkpoint; within a round; right after one; in the second training, in parts; in the final fit.
@pytest.mark.parametrize(("steps", "micro_batch"), [(1, "null"), (4, "null"), (5, "null"), (12, "6"), (18, "null")])
def test_a_killed_training_goes_on_and_ends_the_same(evaluate, monkeypatch, uninterrupted, steps, micro_batch):
    settings = ("checkpoints.seconds=0", f"trainer.micro_batch={micro_batch}")
    undisturbed = uninterrupted[micro_batch]
    real, seen = TuningModule.on_train_batch_start, []

    def killed(self, batch, batch_idx):
        seen.append(self.step)
        if len(seen) == steps * len(self.batches.slices):
            raise KilledError
        real(self, batch, batch_idx)

    monkeypatch.setattr(TuningModule, "on_train_batch_start", killed)
    with pytest.raises(KilledError):
        evaluate(*settings)
    assert len(files()) == (steps > 1)
    monkeypatch.setattr(TuningModule, "on_train_batch_start", real)
    resumed = evaluate(*settings)
    assert same(resumed, undisturbed)
    assert resumed.outcome.tables == undisturbed.outcome.tables
    assert (resumed.outcome.metrics.get(EARLIER, 0) > 0) == (steps > 1)
    assert EARLIER not in undisturbed.outcome.metrics
    assert files() == []


def test_time_adds_up_over_several_interruptions(tmp_path, monkeypatch):
    clock = iter([100.0, 107.0, 200.0, 205.0, 300.0])
    monkeypatch.setattr("scaling.training.checkpoints.time.monotonic", lambda: next(clock))
    settings = TrainingSettings(checkpoint=tmp_path / "point.pt", fingerprint="f")
    for earlier in (0, 7, 12):
        checkpoint = Checkpoint(settings)
        checkpoint.load()
        assert checkpoint.earlier == earlier
        if earlier < 12:
            checkpoint.save(Progress())


def test_asked_to_end_it_saves_first(evaluate, undisturbed):
    class Stopping(Listener):
        def value(self, name, value, step):
            super().value(name, value, step)
            if name == "try rate 0.002/loss" and step == 4:
                machine.stopping.set()

    try:
        with pytest.raises(SystemExit):
            evaluate(reporter=Stopping())
    finally:
        machine.stopping.clear()
    (name,) = files()
    content = torch.load(Path(".checkpoints") / name, weights_only=True)
    assert (content["running"]["phase"], content["running"]["step"]) == ("try rate 0.002", 4)
    assert same(evaluate(), undisturbed)


def test_the_fitted_weights_stay_where_asked(evaluate, undisturbed):
    assert same(evaluate("keep_checkpoint=true"), undisturbed)
    (name,) = files()
    kept = torch.load(Path(".checkpoints") / name, weights_only=True)
    assert kept["state_dict"]["head.weight"].shape == (10, 64)
    assert same(evaluate(), undisturbed)  # a finished one is no middle to start from
    assert files() == []


def test_a_checkpoint_of_another_point_or_a_damaged_one_is_refused(evaluate, tmp_path):
    settings = TrainingSettings(checkpoint=tmp_path / "point.pt", fingerprint="this")
    Checkpoint(settings).save(Progress())
    assert Checkpoint(settings).load() == Progress()
    other = TrainingSettings(checkpoint=tmp_path / "point.pt", fingerprint="that")
    with pytest.raises(AdaptationError, match="belongs to another grid point: its fingerprint is this, expected that"):
        Checkpoint(other).load()
    (tmp_path / "point.pt").write_bytes(b"damaged")
    with pytest.raises(AdaptationError, match="can't be read"):
        Checkpoint(settings).load()


@pytest.mark.parametrize(
    "content",
    [
        [1], {"candidates": [{"rate": 0.1}], "running": None}, {"candidates": [], "running": {"phase": "fit"}},
        {"candidates": [{"rate": 0.1, "rounds": [{"unknown": 1}]}], "running": None}, {"candidates": 3, "running": 1},
    ],
)  # fmt: skip
def test_a_checkpoint_without_what_it_should_hold_says_so(tmp_path, content):
    head = {"format": FORMAT, "fingerprint": "this", "finished": False, "seconds": 1.0}
    torch.save({**head, **content} if isinstance(content, dict) else content, tmp_path / "point.pt")
    with pytest.raises(AdaptationError, match=r"can't be read .*\nDelete it"):
        Checkpoint(TrainingSettings(checkpoint=tmp_path / "point.pt", fingerprint="this")).load()


def test_whatever_a_damaged_checkpoint_makes_of_the_reader_says_so(tmp_path, monkeypatch):
    (tmp_path / "point.pt").write_bytes(b"damaged")
    for error in (IndexError("list"), UnicodeDecodeError("utf-8", b"x", 0, 1, "invalid")):
        monkeypatch.setattr(torch, "load", Mock(side_effect=error))
        with pytest.raises(AdaptationError, match="can't be read"):
            Checkpoint(TrainingSettings(checkpoint=tmp_path / "point.pt", fingerprint="this")).load()


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"format": 1, "fingerprint": "this", "x": Harm()}, tmp_path / "point.pt")
    with pytest.raises(AdaptationError, match="can't be read"):
        Checkpoint(TrainingSettings(checkpoint=tmp_path / "point.pt", fingerprint="this")).load()
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_is_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    settings = TrainingSettings(checkpoint=tmp_path / "point.pt", fingerprint="this")
    Checkpoint(settings).save(Progress())
    before = settings.checkpoint.read_bytes()

    def half(content, file):
        file.write(io.BytesIO(b"half").read())
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        Checkpoint(settings).save(Progress())
    assert settings.checkpoint.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["point.pt"]


@pytest.mark.parametrize(
    ("code", "remedy"), [(28, "Free some space, or take"), (13, "Give yourself"), (30, "Take another")]
)
def test_room_is_asked_for_where_it_is_wanting(code, remedy, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    checkpoint = Checkpoint(TrainingSettings(checkpoint=tmp_path / "a.pt", fingerprint="f"))
    with pytest.raises(StoreError) as caught:
        checkpoint.save(Progress())
    why, what = str(caught.value).splitlines()
    assert why.endswith(f"can't be written: {os.strerror(code)}.")
    assert what.startswith(remedy)
