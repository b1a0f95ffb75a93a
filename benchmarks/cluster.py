"""Several hosts on one MLflow server: `python -m benchmarks.cluster [ROW …] [--postgresql]`.

The hosts are processes with host names, disks and clocks of their own (an hour apart, so that one who compares clocks
fails); points come to nothing, so that hosts want the same one as often as can be. Each of the rows says its drill.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.hosts import Drill, drill
from tests.servers import free_port, mlflow_server

from benchmarks.timing import row, spread
from scaling.tracking import RunStore


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL of our own, as nobody where we are root, which it refuses; yield its URI."""
    place, port = tempfile.mkdtemp(), free_port()
    user = "nobody" if os.getuid() == 0 else None
    if user:
        shutil.chown(place, user)

    def run(*words: str) -> None:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, user=user, cwd=place)

    data, options = f"{place}/data", f"-p {port} -c listen_addresses=127.0.0.1 -k {place}"
    run("initdb", "-D", data, "-U", "scaling", "-A", "trust")
    run("pg_ctl", "-D", data, "-o", options, "-w", "-l", f"{place}/log", "start")
    try:
        yield f"postgresql://scaling@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
        shutil.rmtree(place)


def told(what: str, came: Sequence[Drill]) -> None:
    """Print a row of drills."""
    sums = [sum(getattr(drill, name) for drill in came) for name in ("count", "again", "twice", "lost", "withdrawn")]
    row(what, *map(str, sums), spread([1000 * drill.seconds / drill.count for drill in came], "ms", 0))


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="of two, killed, one, many; none for all")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--postgresql", action="store_true", help="in place of SQLite behind the server")
    parser.add_argument("--direct", action="store_true", help="the hosts write to the database, without a server")
    options = parser.parse_args(arguments)
    count, rounds = options.points, options.rounds
    rows: dict[str, tuple[str, int, int, int, dict[str, Any]]] = {
        "two": (f"2 hosts × {count} points, {rounds} times", rounds, count, 2, {}),
        "killed": (
            f"the same, one host killed (-9), {rounds} times", rounds, count, 2, {"after": count // 4, "seconds": 0.02}
        ),
        "one": ("1 writer × 50 points", 3, 50, 1, {}),
        "many": ("32 writers × 50 points each", 1, 1600, 32, {}),
    }  # fmt: skip
    row("drill", "points", "computed twice", "finished twice", "lost", "withdrawn", "ms a point")
    row(*["---"] * 7)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(postgresql()) if options.postgresql else f"sqlite:///{folder}/mlflow.db"
        uri = database if options.direct else f"http://{stack.enter_context(mlflow_server(folder, database, 2))}"
        _ = RunStore(uri).client  # of a database without a server, one host has to make the tables
        for name in options.rows or rows:
            what, times, points, hosts, settings = rows[name]
            told(
                what, [drill(folder, [uri] * hosts, f"{name} {number}", points, **settings) for number in range(times)]
            )


if __name__ == "__main__":
    main(sys.argv[1:])
