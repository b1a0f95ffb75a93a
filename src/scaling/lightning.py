"""The one way in which this product makes a Lightning Trainer: quiet, and with nothing written on the side."""

import ctypes
import ctypes.util
import logging
import sys
import warnings
from functools import cache
from typing import Any

import pytorch_lightning as pl

# mallopt parameters of glibc, from malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def quiet_trainer(**settings: Any) -> pl.Trainer:
    """Make a Trainer that logs, prints, saves and summarises nothing: the MLflow run is ours to write."""
    silence()
    keep_freed_memory()
    return pl.Trainer(
        **{
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
            **settings,
        }
    )


@cache
def silence() -> None:
    """Hush the libraries' hints; errors stay."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*|lightning_fabric\..*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


@cache
def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of handing it back to the kernel after each layer.

    A forward pass on the CPU frees and takes the same large buffers again for each batch; with the default
    thresholds each of them is mapped and page-faulted anew. See docs/performance.md for what that costs.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6")
    if not hasattr(libc, "gnu_get_libc_version"):  # musl takes no such settings
        return
    for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD):
        libc.mallopt(parameter, 1 << 30 if parameter != M_TOP_PAD else 64 << 20)
