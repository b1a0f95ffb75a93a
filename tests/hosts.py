"""Hosts that share a store: processes with host names, temporary folders, disks and clocks of their own.

Started as a program, such a host claims points, and logs what they came to, until all are finished:
`python -m tests.hosts URI EXPERIMENT NAME POINTS SECONDS CLOCK`, with seconds that a point takes at most, and by which
its clock is fast. It says "ready", waits for a line, and names each point that it computes.
"""

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from scaling.core.errors import StoreError
from scaling.core.identity import GridPoint
from scaling.tracking import RunStore, claims, spool
from scaling.tracking.records import FINGERPRINT, KIND

METRICS = {"train/accuracy": 0.9, "test/accuracy": 0.75, "upgradeability": -0.15, "n": 10.0}
HOUR = 3600.0
DATASET = {"name": "drill", "digest": "0" * 64, "source": "none", "profile": "{}"}


def grid(count: int) -> list[GridPoint]:
    """Points of one curve."""
    return [GridPoint("net", "drill", "knn", 10, "10", seed, {"model": "net"}) for seed in range(count)]


def hurry(module: ModuleType) -> None:
    """Let hearts be given up within seconds, for whoever tests that they are."""
    module.HEARTBEAT_SECONDS, module.LOOK_SECONDS = 0.5, 1.0
    module.SURE_SECONDS, module.STALE_SECONDS, module.CANDIDATE_SECONDS = 4.0, 5.0, 3.0


def work(uri: str, experiment: str, count: int, seconds: float) -> None:
    """Be a host."""
    store, files = RunStore(uri, experiment), Path("artifacts")
    files.mkdir()
    _ = store.experiment_id
    print("ready", flush=True)
    sys.stdin.readline()
    sweep, left, dice = store.open_sweep("drill", "sweep of a drill", {}), grid(count), random.Random(os.getpid())
    with store.heartbeat(sweep.run_id, watching=True):
        while left:
            with suppress(StoreError):
                for point in list(left):
                    names = {key: getattr(point, key) for key in ("model", "dataset", "adaptation", "n", "seed")}
                    claim = store.claim(point, sweep, names, {}, force=False)
                    if claim.finished:
                        left.remove(point)
                    if not claim.ours:
                        continue
                    print(point.seed, flush=True)
                    with store.heartbeat(claim.run_id):
                        time.sleep(dice.random() * seconds)
                        now = int(time.time() * 1000)
                        store.bring(
                            spool.Result(claim.run_id, point.fingerprint, False, now, METRICS, {}, {}, DATASET, []),
                            files, Path("spool"),
                        )  # fmt: skip
                store.close_stale()
                store.deliver_kept(Path("spool"))
            time.sleep(0.1)
    store.finish_sweep(sweep, "FINISHED")


@dataclass
class Drill:
    """What came of a drill: how often each point was computed and finished, and the runs that were withdrawn."""

    count: int
    seconds: float
    computed: Counter[int] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    withdrawn: int = 0

    @property
    def twice(self) -> int:
        """Points that have several finished runs."""
        return sum(times > 1 for times in self.finished.values())

    @property
    def again(self) -> int:
        """Points that were computed several times; a host that is killed leaves one behind."""
        return sum(times > 1 for times in self.computed.values())

    @property
    def lost(self) -> int:
        """Points that have no finished run."""
        return self.count - len(self.finished)


@contextmanager
def host(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a host whose working directory and temporary folder is one of its own."""
    folder.mkdir()
    places = {"TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hosts", *words], cwd=folder, env={**os.environ, **places},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def drill(
    folder: Path, uris: Sequence[str], experiment: str, count: int, seconds: float = 0.0, after: int = 0,
    fault: Callable[[subprocess.Popen[str]], object] = subprocess.Popen.kill,
) -> Drill:  # fmt: skip
    """Let hosts, one a URI by which it reaches the store, run the same points at once; return what came of it.

    Args:
        after: points that the first host computes before the fault happens to it; none for no fault.
    """
    from contextlib import ExitStack

    from mlflow.entities import ViewType

    with ExitStack() as stack:
        hosts = [
            stack.enter_context(
                host(
                    folder / f"{experiment} {i}",
                    uri,
                    experiment,
                    f"host-{i}",
                    f"{count}",
                    f"{seconds}",
                    f"{i % 2 * HOUR}",
                )
            )
            for i, uri in enumerate(uris)
        ]
        for process in hosts:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        for process in hosts:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said: list[list[str]] = [[] for _ in hosts]
        if after:
            assert hosts[0].stdout is not None
            said[0] = [hosts[0].stdout.readline() for _ in range(after)]
            fault(hosts[0])
        for lines, process in zip(said, hosts, strict=True):
            assert process.stdout is not None
            lines += process.stdout.readlines()
        elapsed = time.monotonic() - started
    store = RunStore(uris[-1], experiment)
    runs = [run for run in store.runs() if run.data.tags[KIND] == "point"]
    assert not [run for run in runs if run.info.status == "RUNNING"]
    deleted = store.client.search_runs([store.experiment_id], "", ViewType.DELETED_ONLY, max_results=10_000)
    return Drill(
        count, elapsed, Counter(int(line) for lines in said for line in lines),
        Counter(run.data.tags[FINGERPRINT] for run in runs if run.info.status == "FINISHED"), len(deleted),
    )  # fmt: skip


if __name__ == "__main__":
    uri, experiment, name, count, seconds, clock = sys.argv[1:]
    socket.gethostname = lambda: name
    real = time.time
    time.time = lambda: real() + float(clock)
    hurry(claims)
    work(uri, experiment, int(count), float(seconds))
