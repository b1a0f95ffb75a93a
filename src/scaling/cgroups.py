"""What a container grants: the limits of CPU and memory in this process's cgroups, of version 1 and version 2.

The tightest of its own group and of those around it holds. Formats: cgroups(7), proc(5), and in the kernel's
documentation cgroup-v2.rst and cgroup-v1/memory.rst. `root` is the folder that holds proc/ and sys/.
"""

import re
from collections.abc import Iterator
from math import inf
from pathlib import Path, PurePosixPath

ROOT = Path("/")
#: A line of mountinfo: the mount's own top, its place, its type, and what it was mounted with.
MOUNT = re.compile(r"\S+ \S+ \S+ (\S+) (\S+) .*- (cgroup2?) \S+ (\S+)$")


def cpus(root: Path = ROOT) -> float:
    """Return how many CPUs may be used at a time, such as 1.5; endless without a limit."""
    quotas = [_numbers(group / "cpu.max") for group in _groups("", root)]
    for group in _groups("cpu", root):
        quotas.append(_numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us"))
    # Version 1 writes −1 where there is no quota.
    return min((pair[0] / pair[1] for pair in quotas if len(pair) == 2 and pair[0] > 0 < pair[1]), default=inf)


def memory(root: Path = ROOT) -> float:
    """Return how many bytes may be held; endless without a limit."""
    limits = [_numbers(group / name) for group in _groups("", root) for name in ("memory.max", "memory.high")]
    for group in _groups("memory", root):
        # Groups around a container may be out of its sight; their limit is repeated among the statistics.
        around = re.findall(r"(?m)^hierarchical_memory_limit (\d+)$", _text(group / "memory.stat"))
        limits += [_numbers(group / "memory.limit_in_bytes"), [float(limit) for limit in around]]
    return min((limit for found in limits for limit in found if limit > 0), default=inf)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of those around it; version 2 has one tree, without a name."""
    entries = (line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines() if line.count(":") > 1)
    own = next((PurePosixPath(path) for _, names, path in entries if controller in names.split(",")), None)
    for mount in map(MOUNT.match, _text(root / "proc/self/mountinfo").splitlines() if own else ()):
        if mount and (controller in mount[4].split(",") if controller else mount[3] == "cgroup2"):
            assert own is not None
            # A container may see its group as the top of a mount, under a path that is the host's.
            seen = own.relative_to(mount[1]) if own.is_relative_to(mount[1]) and ".." not in own.parts else Path()
            yield from (root / mount[2].lstrip("/") / folder for folder in (seen, *seen.parents))


def _numbers(file: Path) -> list[float]:
    """Read a file's numbers, "max" being endless; none where it isn't there, or holds something else."""
    try:
        return [inf if word == "max" else float(word) for word in _text(file).split()]
    except ValueError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
