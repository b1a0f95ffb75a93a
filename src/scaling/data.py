"""The command `python -m scaling.data NAME [OVERRIDE …]`: find or download a data set, verify it, say where it is.

With audit=true it also says whether the data are fit to tell: copies, near duplicates by stored features (near=0.98 is
the cosine from which on they count), contradictions, rare classes, dead features, labels in order.
"""

import sys
from pathlib import Path

from scaling.audit import audit
from scaling.config import build_dataset, compose, plain
from scaling.core.audit import NEAR, Check, lines
from scaling.core.errors import ScalingError, SettingError
from scaling.core.streams import guard
from scaling.core.subsets import parse_n
from scaling.datasets.base import Dataset
from scaling.runs.goal import AUTO

#: Words that the command takes itself; all others are settings.
OWN = {"audit": "false", "near": str(NEAR)}


def fetch(name: str, *overrides: str) -> Dataset:
    """Load a data set by its config's name, downloading it where it is missing.

    Raises:
        ScalingError: it can't be had, or is damaged.
    """
    given = [f"dataset={name}", *overrides]
    return build_dataset(plain(compose(given), given)["dataset"]).load()


def audited(dataset: Dataset, name: str, near: float, *overrides: str) -> list[Check]:
    """Say whether a data set is fit to tell, for the n and with the features that settings name."""
    given = [f"dataset={name}", *overrides]
    settings = plain(compose(given), given)
    n = None if settings["n"] == AUTO else parse_n(settings["n"])
    return audit(dataset, n, Path(settings["features"]["dir"]), near)


def _own(words: list[str]) -> tuple[bool, float, list[str]]:
    """Return whether to audit, from which cosine on, and the other words."""
    own = dict(OWN) | dict(word.split("=", 1) for word in words if word.partition("=")[0] in OWN and "=" in word)
    if own["audit"].lower() not in ("true", "false"):
        raise SettingError(f"audit={own['audit']}: expected true or false.")
    try:
        near = float(own["near"])
    except ValueError:
        near = 0.0
    if not 0 < near <= 1:
        raise SettingError(f"near={own['near']}: expected a cosine above 0, up to 1.")
    return own["audit"].lower() == "true", near, [word for word in words if word.partition("=")[0] not in OWN]


def main() -> None:
    """Run the command."""
    guard()
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        raise SystemExit(2)
    try:
        wanted, near, words = _own(sys.argv[1:])
        dataset = fetch(*words)
        checks = audited(dataset, words[0], near, *words[1:]) if wanted else []
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
    for line in lines(checks):
        print(line)


if __name__ == "__main__":
    main()
