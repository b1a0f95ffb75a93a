"""The command `python -m scaling.features ls|verify|prune`: look after the feature store."""

import argparse
import sys
from pathlib import Path

import numpy as np

from scaling.core.costs import size
from scaling.core.errors import ScalingError, SettingError
from scaling.core.streams import guard
from scaling.features.store import FeatureEntry, FeatureStore, age
from scaling.terminal import console

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
VERIFY_ROWS = 8192


def parse_size(text: str) -> int:
    """Read a size such as 500M or 20G (powers of ten; a plain number is bytes)."""
    number = text.strip().lower().removesuffix("b")
    unit = number[-1:] if number[-1:] in "kmgt" else ""
    try:
        count = float(number.removesuffix(unit)) * UNITS[unit]
    except ValueError:
        count = -1.0
    if not 0 <= count < float("inf"):
        raise SettingError(f"{text!r} is not a size: expected a number with an optional K, M, G or T, such as 20G.")
    return int(count)


def name_of(entry: FeatureEntry) -> str:
    """Say whose features an entry holds."""
    return " ".join(entry.label.get(key, "?") for key in ("model", "dataset", "split", "precision"))


def line(entry: FeatureEntry) -> str:
    """Describe an entry in one line."""
    done = int(entry.present().sum())
    return (
        f"{entry.folder.name[:8]}  {name_of(entry)}\n          {done}/{entry.rows} rows of {entry.width},"
        f" {size(entry.size())}, used {age(entry):.1f} days ago"
    )


def ls(store: FeatureStore) -> int:
    """List the entries, the one used last first."""
    entries = store.entries()
    for entry in entries:
        console().print(line(entry))
    total = size(sum(entry.size() for entry in entries))
    console().print(f"{len(entries)} entries, {total} in {store.root}")
    if found := store.rubbish():
        console().print(f"{len(found)} folders that can't be read as entries; prune deletes them")
    return 0


def verify(store: FeatureStore) -> int:
    """Read every finished row; damaged rows are marked to be computed again. Returns 1 where anything was damaged."""
    found = 0
    for entry in store.entries():
        finished = np.flatnonzero(entry.present())
        blocks = np.split(finished, range(VERIFY_ROWS, len(finished), VERIFY_ROWS))
        damaged = np.concatenate([block[~entry.read(block)[1]] for block in blocks])
        if len(damaged):
            entry.forget(damaged)
        found += len(damaged)
        state = f"{len(damaged)} rows damaged, to be computed again" if len(damaged) else "good"
        console().print(f"{entry.folder.name[:8]}  {len(finished)} rows: {state}")
    unreadable = store.rubbish()
    for folder in unreadable:
        console().print(f"{folder.name[:8]}  can't be read as an entry; prune deletes it")
    return 1 if found or unreadable else 0


def prune(store: FeatureStore, limit: int) -> int:
    """Delete what can't be read, then the entries used longest ago until the rest fits the limit."""
    for folder in store.sweep():
        console().print(f"deleted {folder.name[:8]}  which could not be read")
    for entry in store.prune(limit):
        console().print(f"deleted {entry.folder.name[:8]}  {name_of(entry)}")
    return ls(store)


def main() -> None:
    """Run the command."""
    guard()
    parser = argparse.ArgumentParser(prog="python -m scaling.features", description=__doc__)
    parser.add_argument("--dir", default=".features", help="the store's folder (default: .features)")
    commands = parser.add_subparsers(dest="command", required=True)
    place = argparse.ArgumentParser(add_help=False)  # --dir may also follow the command
    place.add_argument("--dir", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    commands.add_parser("ls", parents=[place], help="list what is stored")
    commands.add_parser("verify", parents=[place], help="read everything; mark damaged rows to be computed again")
    pruning = commands.add_parser("prune", parents=[place], help="delete what was used longest ago")
    pruning.add_argument("--limit", required=True, help="size that may stay, such as 20G; 0 deletes everything")
    arguments = parser.parse_args()
    store = FeatureStore(Path(arguments.dir))
    try:
        match arguments.command:
            case "ls":
                code = ls(store)
            case "verify":
                code = verify(store)
            case _:
                code = prune(store, parse_size(arguments.limit))
    except ScalingError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    raise SystemExit(code)


if __name__ == "__main__":
    main()
