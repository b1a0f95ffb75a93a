"""Is a data set fit to tell anything? Its samples, labels and features are looked at once, and the answer is kept."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.core.audit import (
    BUDGET,
    NEAR,
    Check,
    NearPairs,
    constant,
    in_order,
    near_pairs,
    not_finite,
    rare,
    repeated,
)
from scaling.core.identity import digest
from scaling.datasets.base import Dataset
from scaling.features.store import FeatureEntry, FeatureStore
from scaling.modalities.base import Samples
from scaling.modalities.vectors import Vectors
from scaling.tasks.base import listed

#: Raise when the same data give other checks than before.
VERSION = 1
#: Products that the search before a sweep may take: less than a second.
QUICK = 10**10
ACROSS = "near duplicates across"
KEPT = "audits"  # folder in that of the features, which no entry of the store is called like

Rows = NDArray[np.float32]


def audit(dataset: Dataset, n: int | None, folder: Path, near: float) -> list[Check]:
    """Return what was found in a data set, as it was kept or anew.

    Args:
        n: training samples that a subset shall hold; None for all.
        folder: of the feature store; what was computed there is looked at, nothing is computed anew.
        near: cosine from which on samples count as near duplicates.
    """
    entries = stored(dataset, folder)
    key = digest({"version": VERSION, "data": dataset.identity(), "n": n, "near": near, "features": _present(entries)})
    place = folder / KEPT / f"{key[:32]}.json"
    with suppress(OSError, ValueError, TypeError):
        found = json.loads(place.read_text(encoding="utf-8"))
        return [Check(**{**kept, "examples": tuple(kept["examples"])}) for kept in found]
    checks = [*_copies(dataset), *_labels(dataset, n), *_features(dataset, entries, near, BUDGET)]
    _keep(place, [asdict(check) for check in checks])
    return checks


def near_across(dataset: Dataset, folder: Path) -> str:
    """Say which test samples have a near duplicate in training, in less than a second; empty where none is known."""
    entries = stored(dataset, folder)
    if not entries and not isinstance(dataset.train.samples, Vectors):
        return ""
    seen = digest({"version": VERSION, "features": _present(entries)})
    place = _place_of(dataset, folder)
    kept = _kept(place)
    if kept.get("seen") == seen:
        return str(kept["text"])
    checks = _features(dataset, entries, NEAR, QUICK)
    found = next((check for check in checks if check.name == ACROSS and check.state == "look"), None)
    closest = f"; the closest: {' '.join(found.examples[0].split())}" if found and found.examples else ""
    text = f"{found.name} the parts: {found.text}{closest}" if found else ""
    _keep(place, {"seen": seen, "text": text})
    return text


def known_near(dataset: Dataset, folder: Path) -> str:
    """Return what `near_across` said last, without looking."""
    return str(_kept(_place_of(dataset, folder)).get("text", ""))


def _place_of(dataset: Dataset, folder: Path) -> Path:
    return folder / KEPT / f"near-{digest(dataset.identity())[:32]}.json"


def _kept(place: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(place.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _keep(place: Path, content: Any) -> None:
    with suppress(OSError):  # it is found out again next time
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _present(entries: dict[str, FeatureEntry]) -> dict[str, list[Any]]:
    return {part: [entry.folder.name, int(entry.present().sum())] for part, entry in entries.items()}


def stored(dataset: Dataset, folder: Path) -> dict[str, FeatureEntry]:
    """Return the features of both parts that one model computed last; those of one part, or none, where no more are."""
    store, found = FeatureStore(folder), {}
    train, test = (dict(reversed(store.of_samples(dataset.split(part).sample_content))) for part in ("train", "test"))
    for how in [how for how in train if how in test] or list(train):
        found = {"train": train[how], **({"test": test[how]} if how in test else {})}
    return found


def _copies(dataset: Dataset) -> Iterator[Check]:
    found, train, test = dataset.duplicates, dataset.train, dataset.test
    across = f"{found.copied} of {len(test)} test samples are training samples too"
    yield _check("copies across the parts", found.copied, across)
    again = repeated(train.samples.keys())
    yield _check("copies within train", again, f"{again} of {len(train)} samples repeat an earlier one")
    several = f"{found.contradicted} of {found.samples} have a copy under another label"
    yield _check("one sample, two labels", found.contradicted, several)


def _labels(dataset: Dataset, n: int | None) -> Iterator[Check]:
    task, train = dataset.task, dataset.train
    few = rare(task.counts(train.targets), len(train), n or len(train))
    names = listed([task.class_names[code] for code in few])
    yield _check("rare classes", len(few), f"n={n or len(train)} holds fewer than two samples of {names}")
    ordered = [part for part in ("train", "test") if in_order(task.codes(dataset.split(part).targets))]
    text = f"labels of {' and '.join(ordered)} stand in order: subset.draw=first would take few classes"
    yield _check("order of labels", len(ordered), text, "shuffled")


def _features(dataset: Dataset, entries: dict[str, FeatureEntry], near: float, budget: int) -> Iterator[Check]:
    given = isinstance(dataset.train.samples, Vectors)
    if not given and not entries:
        why = "no features of it are stored yet; a first run stores them"
        yield from (Check(name, "open", why) for name in ("features", "near duplicates"))
        return
    parts = {part: _rows(dataset.split(part).samples, entries.get(part)) for part in ("train", "test")}
    (where, rows), (of, tested) = parts["train"], parts["test"]
    whose = "" if given else f" of {entries['train'].label.get('model', 'a model')}"
    bad = len(not_finite(rows)) + len(not_finite(tested))
    flat = len(constant(rows)) if len(rows) > 1 else 0
    seen = f"{rows.shape[1]} features{whose}, {len(rows)} of {len(dataset.train)} training samples"
    said = [f"{bad} rows are not finite"] * (bad > 0) + [f"{flat} of {rows.shape[1]} never change"] * (flat > 0)
    # A network has dead outputs on many data sets; columns of a file should not be.
    faults = bad + flat * (given or 2 * flat > rows.shape[1])
    text = ", ".join(said) or "finite, none constant"
    yield _check("features", faults, f"{seen}: {text}", f"{seen}: {text}")
    train_keys, test_keys = dataset.train.samples.keys()[where], dataset.test.samples.keys()[of]
    for name, mine, keys, places, part in (
        (ACROSS, tested, test_keys, of, "test"),
        ("near duplicates in train", rows, train_keys, where, "train"),
    ):  # fmt: skip
        if bad or not len(mine) or len(rows) < 2:
            yield Check(name, "open", "too few rows are stored" if not bad else "features are not finite")
            continue
        found = near_pairs(mine, rows, keys, train_keys, near, budget)
        yield _check(
            name, found.found, f"{found.found} of {found.searched} {part} samples, cosine from {near:g} on",
            f"none, of {found.searched} {part} samples, cosine from {near:g} on",
            tuple(_shown(dataset, part, found, places, where)),
        )  # fmt: skip


def _rows(samples: Samples, entry: FeatureEntry | None) -> tuple[NDArray[np.int64], Rows]:
    """Return the samples whose features are there, ascending, and these."""
    if isinstance(samples, Vectors):
        return np.arange(len(samples)), samples.rows
    if entry is None:
        return np.empty(0, np.int64), np.empty((0, 1), np.float32)
    where = np.flatnonzero(entry.present())
    rows, good = entry.read(where)
    return where[good], rows[good]


def _shown(
    dataset: Dataset, part: str, found: NearPairs, queries: NDArray[np.int64], bank: NDArray[np.int64]
) -> Iterator[str]:
    """Yield the closest pairs: where they are found, or what they say."""
    for query, other, cosine in found.pairs:
        one, two = int(queries[query]), int(bank[other])
        yield f"{cosine:.3f}  {_place(dataset, part, one)}  {_place(dataset, 'train', two)}"


def _place(dataset: Dataset, part: str, index: int) -> str:
    return dataset.split(part).samples.glimpse(index) or f"{part} {index}"


def _check(name: str, number: int, text: str, otherwise: str = "none", examples: tuple[str, ...] = ()) -> Check:
    """Return a check that is to be looked at where something was counted."""
    return Check(name, "look" if number else "fine", text if number else otherwise, examples if number else ())
