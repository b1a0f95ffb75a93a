"""The machine: what is recorded of where a run happened, and the one setting of it that we change."""

import contextlib
import ctypes
import ctypes.util
import getpass
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import ceil, inf
from pathlib import Path
from typing import Any

from scaling import cgroups
from scaling._version import __version__

# mallopt parameters of glibc, from malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
#: Stands for the start time of a process that can't be looked at.
HIDDEN = "running"
#: Set once the process was asked to end: an exception raised by a signal can get lost inside a library.
stopping = threading.Event()
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "pytorch-lightning",
    "mlflow",
    "hydra-core",
    "numpy",
    "scikit-learn",
)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, of this product and of what it computes with."""
    found = {"python": platform.python_version(), "scaling": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def hardware() -> dict[str, Any]:
    """Return processor, cores, memory and accelerators. Asks torch only where it is imported already."""
    facts: dict[str, Any] = {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": round(size / 2**30, 1) if (size := memory()) else None,
        "system": platform.platform(),
    }
    if (torch := sys.modules.get("torch")) is not None:
        facts["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            facts["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return facts


def cores() -> int:
    """Return the cores that this process may use, by its affinity and its container's quota; 1.5 of them are 2."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ceil(min(seen, cgroups.cpus()))


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set variables of the environment that are not set, for a while."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ |= new
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@cache
def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory() -> int | None:
    """Return the bytes that this process may hold: the machine's, or what its limits leave; None where unknown."""
    import resource

    limits = [cgroups.memory()]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limits += [soft] if (soft := resource.getrlimit(kind)[0]) != resource.RLIM_INFINITY else []
    with contextlib.suppress(OSError, ValueError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None if (least := min(limits)) == inf else int(least)


def shared_memory() -> float:
    """Return the bytes that processes can still share, of which containers often have 64 MiB; endless if unknown."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return inf


def peak_memory() -> int:
    """Return the most bytes that this process held since it began, or since `forget_peak_memory`."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak_memory() -> None:
    """Let `peak_memory` start again from what is held now, where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


@cache
def git_state() -> tuple[str | None, bool]:
    """Return commit and dirty flag of the working directory's repository, else of this package's checkout."""
    for folder in (Path.cwd(), Path(__file__).resolve().parent):
        commit = _git(folder, "rev-parse", "HEAD")
        if commit:
            return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    return None, False


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.decode("utf-8", "replace").strip()


@cache
def user() -> str:
    """Name who runs this process; a number has no name in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


@cache
def host() -> str:
    """Name what process numbers mean here: the host, its boot, and the PID namespace (two containers have two).

    Where that can't be told the name is this process's alone, so that nobody's numbers are looked up.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()[:8]
        numbers = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
        ours = Path("/proc/self").readlink().name == str(os.getpid())  # else /proc shows another namespace's
    except OSError:
        boot, numbers, ours = f"{uuid.getnode():x}", "", not Path("/proc").exists()
    return "/".join((socket.gethostname(), boot, numbers if ours else uuid.uuid4().hex))


def process(pid: int | None = None) -> str | None:
    """Name a process so that a later one with the same number is another name; None where it is gone."""
    pid = os.getpid() if pid is None else pid
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"{pid}:{HIDDEN}" if _exists(pid) else None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else f"{pid}:{fields[18]}"  # field 22 of proc(5): start time


def _exists(pid: int) -> bool:
    """Say whether there is a process of a number, on systems without /proc or where it hides others' processes."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def is_running(name: str) -> bool:
    """Say whether the process of that name (see `process`) still runs on this host, as far as can be told."""
    pid, _, _ = name.partition(":")
    return pid.isdigit() and process(int(pid)) in (name, f"{pid}:{HIDDEN}")


@cache
def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of handing it back to the kernel after each layer.

    A forward pass or a fit on the CPU frees and takes the same large buffers again and again; with the default
    thresholds each of them is mapped and page-faulted anew. See docs/performance.md for what that costs.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6")
    if not hasattr(libc, "gnu_get_libc_version"):  # musl takes no such settings
        return
    # Older versions take no threshold above 32 MiB, and once any is set they no longer adapt it by themselves.
    if libc.mallopt(M_MMAP_THRESHOLD, 1 << 30) or libc.mallopt(M_MMAP_THRESHOLD, 32 << 20):
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        libc.mallopt(M_TOP_PAD, 64 << 20)
