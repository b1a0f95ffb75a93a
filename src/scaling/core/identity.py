"""What makes two grid points the same: fingerprints over everything that changes a score, and nothing else."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Raise when the meaning of a logged score changes, so that older runs are computed again.
SCORE_VERSION = 1


def digest(description: Any) -> str:
    """Return the SHA-256 of a JSON-like description, independent of the order of its keys."""
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class GridPoint:
    """One (model, dataset, adaptation, n, seed) with every other setting that changes its score.

    Attributes:
        model, dataset, adaptation: the names shown to people.
        n: samples used; `n_requested` is what was asked for (`full` or a number, as text).
        seed: seed of the draw and of everything random after it.
        identity: JSON-like description of all that changes the score but n and seed.
        revision: of the adaptation's method at this n, where it changed there alone; 0 where `identity` says it all.
        every_seed: whether one result, of seed 0, stands for all seeds: on the full set, where nothing else is drawn.
    """

    model: str
    dataset: str
    adaptation: str
    n: int
    n_requested: str
    seed: int
    identity: Mapping[str, Any]
    revision: int = 0
    every_seed: bool = False

    @property
    def curve_id(self) -> str:
        """The fingerprint without n and seed: what all points of one curve share."""
        return digest({"scores": SCORE_VERSION, **self.identity})[:32]

    @property
    def fingerprint(self) -> str:
        """Hash of what changes this point's score."""
        revised = {"revision": self.revision} if self.revision else {}
        return digest({"curve": self.curve_id, "n": self.n, "seed": self.seed, **revised})[:32]

    def unlike(self, other: "GridPoint") -> str:
        """Say in what another point differs from this one: with both values where they are short, hashes by name."""
        one, two = (flatten({**point.identity, "n": point.n, "seed": point.seed}) for point in (self, other))
        parts = []
        for key in sorted(key for key in {**one, **two} if one.get(key) != two.get(key)):
            values = [str(flat.get(key)) for flat in (one, two)]
            parts.append(key if max(map(len, values)) > 30 else f"{key} ({values[0]}, now {values[1]})")
        return ", ".join(parts)


def flatten(description: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings into dotted keys: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in description.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat
