"""The command `python -m scaling.data NAME [OVERRIDE …]`: find or download a data set, verify it, say where it is."""

import sys

from scaling.config import build_dataset, compose, plain
from scaling.core.errors import ScalingError
from scaling.core.streams import guard
from scaling.datasets.base import Dataset


def fetch(name: str, *overrides: str) -> Dataset:
    """Load a data set by its config's name, downloading it where it is missing.

    Raises:
        ScalingError: it can't be had, or is damaged.
    """
    given = [f"dataset={name}", *overrides]
    return build_dataset(plain(compose(given), given)["dataset"]).load()


def main() -> None:
    """Run the command."""
    guard()
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        raise SystemExit(2)
    try:
        dataset = fetch(*sys.argv[1:])
    except ScalingError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print(
        f"{dataset.name}: {len(dataset.train)} training and {len(dataset.test)} test samples,"
        f" {len(dataset.class_names)} classes, in {dataset.source}"
    )
    for which, part in (("train", dataset.train), ("test", dataset.test)):
        print(f"{which}: {', '.join(filter(None, (part.samples.described(), f'content {part.content[:12]}')))}")
    for note in dataset.remarks:
        print(f"note: {note}")


if __name__ == "__main__":
    main()
