"""What containers grant, read from made-up trees of /proc and /sys in the forms that kernels write."""

import os
import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from scaling import cgroups, machine

V2 = "30 29 0:26 {top} /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 29 0:27 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 29 0:28 {top} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "33 29 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
OF_V1 = "9:cpu,cpuacct:{own}\n4:memory:{own}\n3:cpuset:/\n0::/\n"
UNLIMITED = "9223372036854771712"  # what version 1 writes where there is no limit


@pytest.fixture
def tree(tmp_path):
    """Make a tree of /proc and /sys; files are named from /sys/fs/cgroup on."""

    def make(groups, mounts, **files):
        write = {"proc/self/cgroup": groups, "proc/self/mountinfo": f"22 27 0:21 / /proc rw - proc proc rw\n{mounts}"}
        write |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
        for name, text in write.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


def two(tree, own="/", top="/", **files):
    return tree(f"0::{own}\n", V2.format(top=top), **files)


def one(tree, own="/", top="/", **files):
    return tree(OF_V1.format(own=own), V1.format(top=top), **files)


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        ("max 100000\n", inf), ("150000 100000\n", 1.5), ("200000 100000\n", 2.0), ("5000 10000\n", 0.5),
        ("", inf), ("max\n", inf), ("garbage here\n", inf), ("100000 0\n", inf), ("-1 100000\n", inf),
        ("nan 100000\n", inf),
    ],
)  # fmt: skip
def test_the_cpus_of_version_2(tree, text, granted):
    assert cgroups.cpus(two(tree, **{"cpu.max": text})) == granted


@pytest.mark.parametrize(("quota", "granted"), [("-1", inf), ("50000", 0.5), ("250000", 2.5), ("0", inf), ("x", inf)])
def test_the_cpus_of_version_1(tree, quota, granted):
    files = {"cpu,cpuacct/cpu.cfs_quota_us": quota, "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    assert cgroups.cpus(one(tree, **files)) == granted


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({"memory.max": "max\n"}, inf),
        ({"memory.max": "536870912\n"}, 2**29),
        ({"memory.max": "536870912\n", "memory.high": "268435456\n"}, 2**28),
        ({"memory.max": "max\n", "memory.high": "max\n"}, inf),
        ({"memory.max": "a lot\n"}, inf),
        ({}, inf),
    ],
)
def test_the_memory_of_version_2(tree, files, granted):
    assert cgroups.memory(two(tree, **files)) == granted


def test_the_memory_of_version_1(tree):
    assert cgroups.memory(one(tree, **{"memory/memory.limit_in_bytes": "1048576\n"})) == 2**20
    around = {"memory/memory.stat": "cache 0\nhierarchical_memory_limit 65536\nrss 5\n"}
    assert cgroups.memory(one(tree, **around)) == 2**16


def test_no_limit_of_version_1_is_more_than_any_machine_has(tree):
    assert cgroups.memory(one(tree, **{"memory/memory.limit_in_bytes": UNLIMITED})) > 2**62


def test_the_tightest_of_all_groups_around_holds(tree):
    root = two(
        tree, "/kubepods/pod/container",
        **{
            "cpu.max": "max 100000", "kubepods/cpu.max": "400000 100000", "kubepods/pod/cpu.max": "100000 100000",
            "kubepods/pod/container/cpu.max": "200000 100000", "kubepods/memory.max": "1000",
            "kubepods/pod/memory.max": "3000", "kubepods/pod/container/memory.max": "2000",
        },
    )  # fmt: skip
    assert (cgroups.cpus(root), cgroups.memory(root)) == (1.0, 1000)


def test_groups_beside_ones_own_do_not_count(tree):
    root = two(tree, "/mine", **{"mine/memory.max": "max", "other/memory.max": "10", "mine/inner/memory.max": "10"})
    assert cgroups.memory(root) == inf


@pytest.mark.parametrize(
    ("own", "top"),
    [("/docker/abc", "/docker/abc"), ("/docker/abc", "/"), ("/", "/"), ("/../abc", "/"), ("/", "/docker/abc")],
)
def test_a_container_may_see_its_own_group_as_the_top(tree, own, top):
    """The path is the host's or the container's, with a mount that is whole, its own part, or renamed."""
    files = {"memory/memory.limit_in_bytes": "4096", "memory/memory.stat": ""}
    assert cgroups.memory(one(tree, own, top, **files)) == 4096


def test_a_group_inside_the_one_that_is_mounted(tree):
    files = {"memory/job/memory.limit_in_bytes": "4096", "memory/memory.limit_in_bytes": "8192"}
    assert cgroups.memory(one(tree, "/docker/abc/job", "/docker/abc", **files)) == 4096


@pytest.mark.parametrize("groups", ["", "nonsense\n", "0::/gone/away\n", ":\n1:\n"])
def test_what_cannot_be_read_limits_nothing(tree, groups):
    root = tree(groups, V2.format(top="/") + "odd\n - cgroup2\n")
    assert (cgroups.cpus(root), cgroups.memory(root)) == (inf, inf)


def test_without_proc_nothing_is_limited(tmp_path):
    assert (cgroups.cpus(tmp_path), cgroups.memory(tmp_path)) == (inf, inf)


@pytest.mark.parametrize(("granted", "cores"), [(0.5, 1), (1.0, 1), (1.5, 2), (7.5, 8), (64.0, 8), (inf, 8)])
def test_cores_are_those_of_the_affinity_within_the_quota(monkeypatch, granted, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cgroups, "cpus", lambda: granted)
    assert machine.cores() == cores
    assert machine.hardware()["cores"] == cores


def test_the_memory_is_the_machines_within_the_limit(monkeypatch):
    monkeypatch.setattr(cgroups, "memory", lambda: inf)
    whole = machine.memory()
    monkeypatch.setattr(cgroups, "memory", lambda: 2.0**29)
    assert machine.memory() == 2**29 < whole
    assert machine.hardware()["memory_gib"] == 0.5
    monkeypatch.setattr(cgroups, "memory", lambda: float(UNLIMITED))
    assert machine.memory() == whole


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="setrlimit differs elsewhere")
@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_the_memory_is_what_the_shell_allows(kind):
    code = (
        f"import resource; resource.setrlimit(resource.{kind}, (3 << 30, resource.RLIM_INFINITY))\n"
        "from scaling import machine; print(machine.memory())"
    )
    told = int(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert told <= 3 << 30


def test_what_this_machine_grants_is_read_without_failing():
    assert cgroups.cpus() > 0
    assert cgroups.memory() > 0
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    assert machine.shared_memory() >= 0 if Path("/dev/shm").exists() else True
