"""A network of a few thousand weights on digits of 8 px, behind torch.hub so that other processes find it too."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scaling.runs.job import Evaluation, Job, evaluate_job
from scaling.runs.spec import composed

HUBCONF = '''
import torch
from torch import nn

def small(pretrained=False, **settings):
    """Two convolutions with batch norm and dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(64, 10),
    )

def wide(pretrained=False, **settings):
    """Linear layers, as LoRA needs them."""
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))

class Function(nn.Module):
    """A layer whose weights are used without calling it, as in torchvision's Swin."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(32, 32)

    def forward(self, x):
        return nn.functional.linear(x, self.qkv.weight, self.qkv.bias)

def past(pretrained=False, **settings):
    """One linear layer that is called, and one that is not."""
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), Function(), nn.ReLU(), nn.Linear(32, 10))
'''
#: A training of eight steps a rate.
SHORT = (
    "adaptation.learning_rates=[0.002,0.02]", "adaptation.min_steps=8", "adaptation.max_steps=8",
    "adaptation.rounds=4", "adaptation.batch_size=16",
)  # fmt: skip


class Listener:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.values: list[tuple[str, float, int]] = []
        self.notes: list[str] = []
        self.stages: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str, total: int | None = None):
        self.stages.setdefault(name, 0)

        def advance(steps: int) -> None:
            self.stages[name] += steps

        yield advance

    def value(self, name: str, value: float, step: int) -> None:
        self.values.append((name, value, step))

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small networks."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "hubconf.py").write_text(HUBCONF)
    return folder


@pytest.fixture
def overrides(hub: Path, place: Path) -> tuple[str, ...]:
    """Overrides of a short training of the small network."""
    return small(hub)


def network(hub: Path, name: str = "small") -> tuple[str, ...]:
    """Overrides of a small network on few digits."""
    return (
        "model=torch_hub", f"model.repo={hub}", f"model.name={name}", "model.pretrained=true", "model.input_size=8",
        "dataset=digits", "trainer=cpu", "n=60",
    )  # fmt: skip


def small(hub: Path, name: str = "small") -> tuple[str, ...]:
    """Overrides of a short training of it."""
    return (*network(hub, name), "adaptation=finetune", *SHORT)


def finished(job: Job, reporter: Any = None) -> Evaluation:
    """Evaluate a point and forget its checkpoint, as a run does once it is finished."""
    evaluation = evaluate_job(job, reporter)
    job.forget_checkpoint()
    return evaluation


@pytest.fixture
def evaluate(overrides: tuple[str, ...]) -> Callable[..., Evaluation]:
    """Evaluate the short training, with further overrides."""

    def run(*more: str, reporter: Any = None) -> Evaluation:
        return finished(Job(composed([*overrides, *more])), reporter)

    return run
