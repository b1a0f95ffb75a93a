"""The checkpoint of a grid point: one file, replaced as a whole, read without running what it holds."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from scaling.core.errors import AdaptationError, StoreError, remedy
from scaling.training.recipe import TrainingSettings
from scaling.training.work import Candidate, Round

#: Raise when a checkpoint of an earlier version can't be resumed from.
FORMAT = 2


@dataclass(frozen=True)
class Snapshot:
    """A training in the middle: which one, how far, and all that going on takes.

    Attributes:
        phase: name of the training within the grid point.
        rounds: the rounds that are done.
        sums: losses since the round began, and their number.
        states: of the network, the optimiser and the precision plugin (the scale of 16-mixed).
    """

    phase: str
    step: int
    rounds: tuple[Round, ...]
    sums: tuple[float, int]
    states: Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far a grid point has come: rates that are tried, and the training under way."""

    candidates: tuple[Candidate, ...] = ()
    running: Snapshot | None = None


class Checkpoint:
    """The file of one grid point; without a path nothing is kept.

    Attributes:
        earlier: seconds that were spent, before this process, on what the file holds.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self.path, self.fingerprint = settings.checkpoint, settings.fingerprint
        self.earlier, self.started = 0.0, time.monotonic()

    def load(self) -> Progress:
        """Return how far the point has come.

        Raises:
            AdaptationError: the file is damaged, or belongs to another grid point.
        """
        if self.path is None or not self.path.is_file():
            return Progress()
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            owner = content["fingerprint"]
            # What a kept or an outdated file holds is not the middle of anything.
            running = owner == self.fingerprint and content["format"] == FORMAT and not content["finished"]
            seconds, progress = (float(content["seconds"]), _progress(content)) if running else (0.0, Progress())
        except Exception as error:  # whatever a damaged file makes of torch's reader and of ours
            raise AdaptationError(
                f"The checkpoint {self.path} can't be read ({type(error).__name__}).\n"
                "Delete it to train from the start."
            ) from error
        if owner != self.fingerprint:
            raise AdaptationError(
                f"The checkpoint {self.path} belongs to another grid point: its fingerprint is {owner}, expected"
                f" {self.fingerprint}.\nDelete it, or take another folder with checkpoints.dir=."
            )
        self.earlier = seconds
        return progress

    def save(self, progress: Progress) -> None:
        """Replace the file."""
        running = None if progress.running is None else _plain(progress.running)
        candidates = [asdict(candidate) for candidate in progress.candidates]
        seconds = self.earlier + time.monotonic() - self.started
        self._write({"finished": False, "seconds": seconds, "candidates": candidates, "running": running})

    def keep(self, network: torch.nn.Module) -> None:
        """Leave the fitted weights in the file, under `state_dict`."""
        if self.path is not None:
            self._write({"finished": True, "state_dict": network.state_dict()})

    def _write(self, content: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_suffix(".tmp")  # one name, so that a kill leaves one draft, which the next replaces
            try:
                with draft.open("wb") as file:
                    torch.save({"format": FORMAT, "fingerprint": self.fingerprint, **content}, file)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self.path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(
                f"The checkpoint {self.path} can't be written: {error.strerror}.\n"
                + remedy(error, "take another folder with checkpoints.dir=.")
            ) from error


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot's fields as plain containers; tensors are not copied."""
    return {**vars(snapshot), "rounds": [asdict(end) for end in snapshot.rounds], "sums": list(snapshot.sums)}


def _progress(content: Mapping[str, Any]) -> Progress:
    candidates = tuple(Candidate(found["rate"], _rounds(found["rounds"])) for found in content["candidates"])
    if (kept := content["running"]) is None:
        return Progress(candidates)
    snapshot = Snapshot(**{**kept, "rounds": _rounds(kept["rounds"]), "sums": tuple(kept["sums"])})
    return Progress(candidates, snapshot)


def _rounds(found: Any) -> tuple[Round, ...]:
    # By place: version 0.1.0 had another name for the last of them.
    return tuple(Round(*end.values()) for end in found)
