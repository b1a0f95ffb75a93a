"""How many processes augment ahead."""

import pytest
import torch

from scaling import machine
from scaling.core.reporter import SilentReporter
from scaling.training import fit
from scaling.training.batches import Share

BATCH = 64 * 3 * 224 * 224


@pytest.mark.parametrize(
    ("device", "cores", "processes", "room", "workers"),
    [
        ("cpu", 16, 1, 1 << 40, 0),
        ("cuda", 16, 1, 1 << 40, 8),
        ("cuda", 4, 2, 1 << 40, 2),
        ("cuda", 16, 1, 64 << 20, 2),  # what a container has unless told otherwise
        ("cuda", 16, 1, 1 << 20, 0),
    ],
)
def test_workers_are_as_many_as_cores_and_shared_memory_have_room_for(
    monkeypatch, device, cores, processes, room, workers
):
    monkeypatch.setattr(fit, "device_of", lambda settings: torch.device(device))
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "shared_memory", lambda: room)
    run = fit.Run(None, Share(0, processes), None, {}, SilentReporter())
    assert run._workers(BATCH) == workers
