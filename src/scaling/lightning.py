"""The one way in which this product makes a Lightning Trainer, quiet and with nothing written on the side."""

import logging
import os
import platform
import warnings
from functools import cache
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from scaling import machine
from scaling.core.errors import SettingError

QUIET = {
    "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
    "use_distributed_sampler": False,
}  # fmt: skip


def quiet_trainer(**settings: Any) -> pl.Trainer:
    """Make a Trainer that logs, prints, saves and summarises nothing: the MLflow run is ours to write."""
    silence()
    keep_to_cores()
    try:
        return pl.Trainer(**{**QUIET, **settings})
    except MisconfigurationException as error:
        reason = str(error).strip().splitlines()[0]
        raise SettingError(
            f"trainer: Lightning can't use {', '.join(f'{k}={v}' for k, v in settings.items() if k != 'callbacks')}:"
            f" {reason}\nTake trainer=cpu or trainer=auto, or change the setting that it names."
        ) from error


def keep_to_cores() -> None:
    """Compute with no more threads than cores are granted: torch counts the host's, and the rest would wait."""
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > machine.cores():
        torch.set_num_threads(machine.cores())


def device_of(settings: dict[str, Any]) -> torch.device:
    """Return the device on which a Trainer with these settings computes."""
    keep_to_cores()
    # A Trainer takes 10 ms: it looks through all packages that are installed for callbacks.
    if (key := repr(sorted(settings.items()))) not in _devices:
        _devices[key] = quiet_trainer(**settings).strategy.root_device
    return _devices[key]


#: Device by the settings of a Trainer.
_devices: dict[str, torch.device] = {}


def emulates_bf16(device: torch.device) -> bool:
    """Say whether bf16 is emulated there: an x86 processor needs AVX-512 for it."""
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    return torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")


@cache
def silence() -> None:
    """Hush the libraries' hints; errors stay."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*|lightning_fabric\..*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
