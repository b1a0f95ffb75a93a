"""The feature store: rows of float32 on disk, addressed by what they are a function of.

One folder an entry, named by the hash of its description:

    description.json  what the features are a function of, their number of rows and width; written once
    features.f32      row-major float32, one row a sample; sparse until it is filled
    checksums.u32     one CRC-32 a row; 0 says that the row was never finished

and beside it a lock that is held while rows are computed: one job computes, the others wait and use them.

A row counts only when its checksum does: data are on disk before their checksums are written, so a killed
job leaves finished rows and rows that are computed again, never a half-written row that is served.
"""

import json
import os
import re
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from scaling.core.errors import StoreError, remedy
from scaling.core.identity import digest
from scaling.locks import file_lock

FORMAT = 1
DESCRIPTION, ROWS, CHECKSUMS = "description.json", "features.f32", "checksums.u32"
#: What entries are called.
ADDRESS = re.compile(r"[0-9a-f]{32}")
#: How folders begin that are not finished, and after how many seconds they belong to no job that lives.
DRAFT, DRAFT_SECONDS = ".new-", 3600.0


@dataclass(frozen=True)
class FeatureEntry:
    """The features of one split under one model: up to `rows` rows of `width` floats.

    Attributes:
        label: what people call it; not part of its address.
    """

    folder: Path
    rows: int
    width: int
    label: Mapping[str, str]

    def present(self) -> NDArray[np.bool_]:
        """Say which rows are finished, shape (rows,)."""
        return self._checksums() != 0

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return rows, and which of them are good: finished, and as they were written.

        Returns:
            Features of shape (k, width), and a mask of shape (k,).
        """
        features = np.empty((len(indices), self.width), np.float32)
        return features, self.fill(features, indices, np.ones(len(indices), np.bool_))

    def fill(
        self, features: NDArray[np.float32], indices: NDArray[np.int64], wanted: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Read the wanted rows into their places, the others staying as they are; say which of these are good.

        Args:
            features: rows of the samples `indices`, shape (k, width), contiguous; written to.
            wanted: which of them to read, shape (k,).

        Returns:
            A mask of shape (k,), False where nothing was wanted.
        """
        expected = np.where(wanted, self._checksums()[indices], 0)
        places = np.flatnonzero(expected)  # a row that was never finished needs no reading
        _read_rows(self.folder / ROWS, features, places, indices[places])
        actual = np.fromiter((checksum(features[place]) for place in places), np.uint32, len(places))
        good = np.zeros(len(indices), np.bool_)
        good[places] = actual == expected[places]
        return good

    def write(self, indices: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Write rows, then their checksums; each is on disk before the next step.

        Raises:
            StoreError: the disk is full or can't be written to. Rows written before stay readable.
        """
        features = np.ascontiguousarray(features, dtype=np.float32)
        sums = np.fromiter((checksum(row) for row in features), np.uint32, len(features))
        with self._writable():
            _write_rows(self.folder / ROWS, indices, features)
            _write_rows(self.folder / CHECKSUMS, indices, sums[:, None])

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            free = f"Free some space (python -m scaling.features --dir {self.folder.parent} prune --limit 10G)"
            raise StoreError(
                f"Features can't be written to {self.folder}: {error.strerror}.\n"
                + remedy(error, "set features.dir= to another disk.", free)
            ) from error

    def forget(self, indices: NDArray[np.int64]) -> None:
        """Mark rows as not finished, so that they are computed again.

        Raises:
            StoreError: the entry can't be written to.
        """
        with self._writable():
            _write_rows(self.folder / CHECKSUMS, indices, np.zeros((len(indices), 1), np.uint32))

    @contextmanager
    def computing(self, waiting: Any = None) -> Iterator[None]:
        """Hold the entry while its rows are computed. `waiting()` is called once if another job holds it.

        Raises:
            StoreError: the lock can't be written to.
        """
        with self._writable():
            lock = _lock(self.folder)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if waiting is not None:
                    waiting()
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def exists(self) -> bool:
        """Say whether the entry is still there: another job may have pruned it."""
        return (self.folder / DESCRIPTION).exists()

    def touch(self) -> None:
        """Record that the entry was used, for pruning by age, where that is allowed."""
        with suppress(OSError):  # another job may prune it at any time; another user's entry is only read
            os.utime(self.folder / DESCRIPTION)

    def used(self) -> float:
        """Return when the entry was last used, in seconds since the epoch; 0 where it is gone."""
        try:
            return (self.folder / DESCRIPTION).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def size(self) -> int:
        """Return the bytes that the entry takes on disk; a sparse file takes what was written."""
        try:
            return sum(file.stat().st_blocks * 512 for file in self.folder.iterdir() if file.is_file())
        except FileNotFoundError:
            return 0

    def _checksums(self) -> NDArray[np.uint32]:
        return np.fromfile(self.folder / CHECKSUMS, np.uint32)


@dataclass(frozen=True)
class FeatureStore:
    """A folder of entries."""

    root: Path

    def find(self, key: Mapping[str, Any]) -> FeatureEntry | None:
        """Return the entry for a key, or None where nothing was computed yet."""
        return self._open(self.root / digest(key)[:32])

    def discard_damaged(self, key: Mapping[str, Any]) -> Path | None:
        """Delete what stands in an entry's place and can't be read as one; return its folder, None where all is well.

        Features can be computed again, so nothing is lost that matters.
        """
        folder = self.root / digest(key)[:32]
        if not folder.exists() or self._open(folder) is not None:
            return None
        self._delete(folder, only_damaged=True)
        return folder

    def create(self, key: Mapping[str, Any], rows: int, width: int, label: Mapping[str, str]) -> FeatureEntry:
        """Return the entry for a key; it appears whole or not at all, whoever else creates it meanwhile.

        Raises:
            StoreError: the folder can't be written to, or something else stands in its place.
        """
        folder = self.root / digest(key)[:32]
        description = {"format": FORMAT, "rows": rows, "width": width, "label": dict(label), "key": key}
        draft = None
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.root))
            (draft / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
            _allocate(draft / ROWS, rows * width * 4)
            _allocate(draft / CHECKSUMS, rows * 4)
            for file in draft.iterdir():
                file.chmod(_openness(self.root) & 0o666)
            draft.chmod(_openness(self.root))
            try:
                draft.rename(folder)
            except OSError:  # another job was first
                shutil.rmtree(draft)
        except OSError as error:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
            raise StoreError(
                f"The feature store {self.root} can't be written to: {error.strerror}.\n"
                + remedy(error, "set features.dir=PATH to another place.")
            ) from error
        entry = self._open(folder)
        if entry is None or (entry.rows, entry.width) != (rows, width):
            raise StoreError(f"The feature store's entry {folder} is damaged.\nDelete that folder and try again.")
        return entry

    def entries(self) -> list[FeatureEntry]:
        """Return all readable entries, the one used last first."""
        found = [entry for folder in self._folders() if (entry := self._open(folder)) is not None]
        return sorted(found, key=lambda entry: -entry.used())

    def of_samples(self, content: str) -> list[tuple[str, FeatureEntry]]:
        """Return what is stored of some samples, the one used last first, each with a hash of how it was computed.

        Args:
            content: the samples' `content()`.
        """
        found = []
        for entry in self.entries():
            key = json.loads((entry.folder / DESCRIPTION).read_text(encoding="utf-8")).get("key", {})
            if content in key.values():
                found.append((digest({name: value for name, value in key.items() if value != content}), entry))
        return found

    def rubbish(self) -> list[Path]:
        """Return the folders that can't be read as entries, and the drafts of jobs that were killed."""
        damaged = [folder for folder in self._folders() if self._open(folder) is None]
        drafts = self.root.glob(f"{DRAFT}*")
        return damaged + [draft for draft in drafts if time.time() - draft.stat().st_mtime > DRAFT_SECONDS]

    def sweep(self) -> list[Path]:
        """Delete what can't be read as an entry, unless a job is at it; return what is gone."""
        return [folder for folder in self.rubbish() if self._delete(folder, only_damaged=True, timeout=0)]

    def remove(self, entry: FeatureEntry) -> bool:
        """Delete an entry, unless a job is computing it; say whether it is gone."""
        return self._delete(entry.folder, timeout=0)

    def _folders(self) -> list[Path]:
        """Return the folders that are named as entries are; others are nobody's business here."""
        return [path for path in self.root.glob("*") if ADDRESS.fullmatch(path.name) and path.is_dir()]

    def _delete(self, folder: Path, *, only_damaged: bool = False, timeout: float = -1) -> bool:
        """Delete a folder while it is locked; say whether it is gone."""
        try:
            with _lock(folder).acquire(timeout=timeout):
                if not only_damaged or self._open(folder) is None:  # another job may have replaced it meanwhile
                    shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # a job is at it, or it is another user's
            return False
        return not folder.exists()

    def prune(self, limit: int, keep: frozenset[Path] = frozenset()) -> list[FeatureEntry]:
        """Delete the entries used longest ago until all take at most `limit` bytes; return what was deleted.

        What can't be read as an entry goes first. Entries that a job is computing stay, whatever the limit.

        Args:
            limit: bytes that may stay.
            keep: folders of entries that are in use now.
        """
        self.sweep()
        entries = self.entries()
        total, removed = sum(entry.size() for entry in entries), []
        for entry in reversed(entries):
            if total <= limit:
                break
            if entry.folder in keep:
                continue
            size = entry.size()
            if self.remove(entry):
                total -= size
                removed.append(entry)
        return removed

    def _open(self, folder: Path) -> FeatureEntry | None:
        try:
            description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            rows, width = description["rows"], description["width"]
            sizes = [(folder / name).stat().st_size for name in (ROWS, CHECKSUMS)]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if description.get("format") != FORMAT or sizes != [rows * width * 4, rows * 4]:
            return None
        return FeatureEntry(folder, rows, width, description.get("label", {}))


def checksum(row: NDArray[Any]) -> int:
    """Return the CRC-32 of a row; never 0, which stands for a row that was not finished."""
    return zlib.crc32(row.data) or 1


def age(entry: FeatureEntry) -> float:
    """Return the days since an entry was last used."""
    return (time.time() - entry.used()) / 86_400


def _lock(folder: Path) -> FileLock:
    """Return the lock of an entry; its file lies beside the folder, which may be pruned meanwhile."""
    return file_lock(folder.with_suffix(".lock"), mode=_openness(folder.parent) & 0o666)


def _openness(root: Path) -> int:
    """Return who may do what in a store's folder: its entries and locks are as open, so that users can share them."""
    return stat.S_IMODE(root.stat().st_mode) & 0o777


def _allocate(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _write_rows(path: Path, indices: NDArray[np.int64], rows: NDArray[Any]) -> None:
    """Write rows at their places and wait until they are on disk. Plain writes: a full disk is an error here,
    where a memory map would kill the process.
    """
    width = rows[0].nbytes if len(rows) else 0
    with path.open("r+b", buffering=0) as file:
        for start, stop in _runs(indices):
            file.seek(int(indices[start]) * width)
            chunk = memoryview(np.ascontiguousarray(rows[start:stop]).data).cast("B")
            while chunk:
                chunk = chunk[file.write(chunk) :]
        os.fsync(file.fileno())


def _read_rows(path: Path, rows: NDArray[Any], places: NDArray[np.int64], indices: NDArray[np.int64]) -> None:
    """Read stored rows into their places. Plain reads: the pages of a memory map would count as the process's own."""
    width = rows.shape[1] * rows.itemsize
    with path.open("rb", buffering=0) as file:
        for start, stop in _runs(indices, places):
            chunk = memoryview(rows[places[start] : places[start] + stop - start].data).cast("B")
            position = int(indices[start]) * width
            while chunk and (count := os.preadv(file.fileno(), [chunk], position)):
                chunk, position = chunk[count:], position + count


def _runs(*indices: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the (start, stop) of each stretch in which all of these run on one by one."""
    breaks = np.flatnonzero(np.any([np.diff(each) != 1 for each in indices], axis=0)) + 1
    edges = [0, *breaks.tolist(), len(indices[0])]
    return pairwise(edges) if len(indices[0]) else iter(())
