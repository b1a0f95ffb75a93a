"""The threads that torch computes in."""

import pytest
import torch

from scaling import cgroups, lightning


@pytest.fixture
def threads(monkeypatch):
    """Let torch have as many threads as cores are seen, here 2."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield torch.get_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("granted", [0.5, 1.0])
def test_a_quota_bounds_the_threads(threads, monkeypatch, granted):
    monkeypatch.setattr(cgroups, "cpus", lambda: granted)
    lightning.device_of({"accelerator": "cpu"})
    assert threads() == 1


def test_what_is_asked_for_holds(threads, monkeypatch):
    monkeypatch.setattr(cgroups, "cpus", lambda: 1.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    lightning.device_of({"accelerator": "cpu"})
    assert threads() == 2


def test_fewer_threads_than_cores_stay_fewer(threads, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(cgroups, "cpus", lambda: 64.0)
    lightning.device_of({"accelerator": "cpu"})
    assert threads() == 1
