import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core.errors import StoreError
from scaling.features import FeatureEntry, FeatureStore
from scaling.features import store as module
from scaling.features.store import CHECKSUMS, DESCRIPTION, ROWS

KEY, COUNT, WIDTH = {"model": "m", "images": "i"}, 8, 4
LABEL = {"model": "m", "dataset": "d", "split": "train", "precision": "32-true"}
#: What each program that runs beside the test begins with. Its argument is the store's folder.
BEGIN = f"""
import signal, sys, time
from pathlib import Path
import numpy as np
from scaling.core.errors import StoreError
from scaling.features import FeatureStore, store as module
store, key, count, width = FeatureStore(Path(sys.argv[1])), {KEY!r}, {COUNT}, {WIDTH}

def features(index):
    return np.full((len(index), width), index[:, None] + 0.5, np.float32)

def say(word):
    print(word, flush=True)
"""


def features(*index):
    return np.full((len(index), WIDTH), np.array(index)[:, None] + 0.5, np.float32)


def rows(*index):
    return np.array(index, np.int64)


def flip(path, offset):
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def program(script, root, *arguments):
    """Start a Python program beside the test."""
    command = [sys.executable, "-c", BEGIN + script, str(root), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


@pytest.fixture
def entry(store):
    return store.create(KEY, COUNT, WIDTH, LABEL)


def test_written_rows_are_read_back(entry):
    values = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)
    entry.write(rows(0, 1, 6), values)
    read, good = entry.read(rows(0, 1, 6))
    np.testing.assert_array_equal(read, values)
    assert good.all()


def test_rows_come_in_the_order_asked_for(entry):
    entry.write(rows(0, 1, 2, 3), features(0, 1, 2, 3))
    np.testing.assert_array_equal(entry.read(rows(3, 0, 3))[0], features(3, 0, 3))


def test_only_written_rows_are_present(entry):
    entry.write(rows(2, 5), features(2, 5))
    assert np.flatnonzero(entry.present()).tolist() == [2, 5]
    assert entry.read(np.arange(COUNT))[1].tolist() == [False, False, True, False, False, True, False, False]


def test_row_of_zeros_is_a_row(entry):
    entry.write(rows(1), np.zeros((1, WIDTH), np.float32))
    assert entry.read(rows(1))[1].all()


def test_row_without_checksum_is_not_served(entry):
    entry.write(rows(0, 1), features(0, 1))
    module._write_rows(entry.folder / CHECKSUMS, rows(1), np.zeros((1, 1), np.uint32))
    assert entry.read(rows(0, 1))[1].tolist() == [True, False]


def test_forgotten_row_is_not_served(entry):
    entry.write(rows(0, 1), features(0, 1))
    entry.forget(rows(0))
    assert entry.read(rows(0, 1))[1].tolist() == [False, True]


@pytest.mark.parametrize("byte", [0, 7, 4 * WIDTH - 1])
def test_flipped_byte_of_a_row_is_detected(entry, byte):
    entry.write(rows(0, 1, 2), features(0, 1, 2))
    flip(entry.folder / ROWS, 4 * WIDTH + byte)
    assert entry.read(rows(0, 1, 2))[1].tolist() == [True, False, True]


def test_flipped_checksum_is_detected(entry):
    entry.write(rows(0, 1, 2), features(0, 1, 2))
    flip(entry.folder / CHECKSUMS, 4)
    assert entry.read(rows(0, 1, 2))[1].tolist() == [True, False, True]


def test_entry_is_found_by_its_key_and_nothing_else(store, entry):
    assert store.find(KEY) == entry
    assert store.find({**KEY, "images": "other"}) is None


def test_key_is_independent_of_the_order_of_its_parts(store, entry):
    assert store.find(dict(reversed(KEY.items()))) == entry


def test_creating_again_keeps_what_is_there(store, entry):
    entry.write(rows(3), features(3))
    assert store.create(KEY, COUNT, WIDTH, LABEL).read(rows(3))[1].all()


def test_new_entry_takes_no_space_for_rows_that_are_missing(store):
    assert store.create(KEY, 100_000, 1_000, LABEL).size() < 1_000_000


@pytest.mark.parametrize("name", [ROWS, CHECKSUMS, DESCRIPTION])
def test_truncated_file_makes_the_entry_absent_and_creating_says_it_is_damaged(store, entry, name):
    os.truncate(entry.folder / name, 10)
    assert store.find(KEY) is None
    assert store.entries() == []
    with pytest.raises(StoreError, match=rf"{entry.folder} is damaged\.\nDelete that folder"):
        store.create(KEY, COUNT, WIDTH, LABEL)


@pytest.mark.parametrize("name", [ROWS, CHECKSUMS, DESCRIPTION])
def test_damaged_entry_is_discarded_and_made_anew(store, entry, name):
    os.truncate(entry.folder / name, 10)
    assert store.discard_damaged(KEY) == entry.folder
    assert not store.create(KEY, COUNT, WIDTH, LABEL).present().any()


def test_entry_that_can_be_read_is_never_discarded(store, entry):
    entry.write(rows(3), features(3))
    assert store.discard_damaged(KEY) is None
    assert store.discard_damaged({"other": 1}) is None
    assert entry.read(rows(3))[1].all()


def test_filling_touches_only_the_rows_that_are_wanted(store, entry):
    entry.write(rows(1, 2, 5), features(1, 2, 5))
    found = np.full((4, WIDTH), 7, np.float32)
    good = entry.fill(found, rows(1, 2, 4, 5), np.array([True, False, True, True]))
    assert good.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(found[[0, 3]], features(1, 5))
    assert (found[[1, 2]] == 7).all()


@pytest.mark.parametrize("name", [ROWS, CHECKSUMS, DESCRIPTION])
def test_missing_file_makes_the_entry_absent(store, entry, name):
    (entry.folder / name).unlink()
    assert store.find(KEY) is None


def test_store_that_can_t_be_made_is_an_error_with_the_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"can't be written to: .*\n.*features\.dir=PATH"):
        FeatureStore(tmp_path / "file").create(KEY, COUNT, WIDTH, LABEL)


def test_failed_creation_leaves_no_half_made_entry(store, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_allocate", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        store.create(KEY, COUNT, WIDTH, LABEL)
    assert store.find(KEY) is None


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "Free some space (python -m"), (errno.EACCES, "Give yourself"), (errno.EROFS, "Set features.dir=")],
)
def test_room_is_asked_for_where_it_is_wanting(entry, code, remedy, monkeypatch):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module, "_write_rows", fail)
    with pytest.raises(StoreError) as caught:
        entry.write(rows(3), features(3))
    why, what = str(caught.value).splitlines()
    assert why.endswith(f": {os.strerror(code)}.")
    assert what.startswith(remedy)


def test_draft_that_another_job_makes_is_no_entry(store, entry):
    shutil.copytree(entry.folder, store.root / ".new-abc")
    assert store.entries() == [entry]


def test_entry_that_another_job_makes_meanwhile_is_taken(store, monkeypatch):
    allocate = module._allocate

    def slowly(path, size):
        monkeypatch.setattr(module, "_allocate", allocate)
        store.create(KEY, COUNT, WIDTH, LABEL).write(rows(3), features(3))
        allocate(path, size)

    monkeypatch.setattr(module, "_allocate", slowly)
    assert store.create(KEY, COUNT, WIDTH, LABEL).read(rows(3))[1].all()
    assert len(list(store.root.iterdir())) == 1


def test_processes_that_create_one_entry_at_once_all_get_it(store):
    script = """
say("ready")
sys.stdin.readline()
mine = np.array([int(sys.argv[2])])
for number in range(20):
    store.create({"number": number}, count, width, {}).write(mine, features(mine))
"""
    jobs = [program(script, store.root, which) for which in range(3)]
    for job in jobs:
        assert job.stdout.readline() == "ready\n"
    for job in jobs:
        job.stdin.write("go\n")
        job.stdin.flush()
    for job in jobs:
        job.communicate()
    assert [job.returncode for job in jobs] == [0, 0, 0]
    for number in range(20):
        read, good = store.find({"number": number}).read(rows(0, 1, 2))
        assert good.all()
        np.testing.assert_array_equal(read, features(0, 1, 2))


def test_second_process_waits_for_the_first_and_uses_its_rows(store, entry):
    script = """
entry = store.find(key)
with entry.computing(lambda: say("waiting")):
    say(entry.present().sum())
"""
    with entry.computing():
        other = program(script, store.root)
        assert other.stdout.readline() == "waiting\n"
        entry.write(rows(0, 1), features(0, 1))
    output, _ = other.communicate()
    assert output == "2\n"


def test_free_entry_is_held_without_waiting(entry):
    waited = []
    with entry.computing(lambda: waited.append(1)):
        pass
    assert waited == []


def test_lock_of_a_killed_process_is_free(store, entry):
    script = """
with store.find(key).computing():
    say("holding")
    time.sleep(600)
"""
    other = program(script, store.root)
    assert other.stdout.readline() == "holding\n"
    other.kill()
    other.communicate()
    waited = []
    with entry.computing(lambda: waited.append(1)):
        assert waited == []


def test_process_killed_between_rows_and_checksums_leaves_no_row(store, entry):
    script = """
entry = store.find(key)
entry.write(np.arange(3), features(np.arange(3)))
module.os.fsync = lambda number: (say("rows are written"), time.sleep(600))
entry.write(np.arange(2, 6), features(np.arange(2, 6)) + 1)
"""
    other = program(script, store.root)
    assert other.stdout.readline() == "rows are written\n"
    other.kill()
    other.communicate()
    read, good = entry.read(np.arange(COUNT))
    assert good.tolist() == [True, True, False, False, False, False, False, False]
    np.testing.assert_array_equal(read[:2], features(0, 1))


def test_process_killed_while_it_writes_leaves_whole_rows_only(store):
    script = """
entry = store.find(key)
for lap in range(sys.maxsize):
    for start in range(0, entry.rows, 2):
        index = np.arange(start, start + 2)
        entry.write(index, np.repeat(index[:, None] + lap * entry.rows, entry.width, axis=1))
        say(lap)
"""
    entry = store.create(KEY, 100, 500, LABEL)
    other = program(script, store.root)
    while other.stdout.readline() != "2\n":
        pass
    other.kill()
    other.communicate()
    read, good = entry.read(np.arange(100))
    assert good.sum() >= 98  # the two that were being written may be lost
    assert (read[good] == read[good, :1]).all()
    np.testing.assert_array_equal(read[good, 0] % 100, np.flatnonzero(good))


def test_full_disk_is_an_error_and_earlier_rows_stay_readable(store, entry):
    script = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
entry = store.find(key)
entry.write(np.arange(3), features(np.arange(3)))
limit = 5 * 4 * width + 1  # within the sixth row
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    entry.write(np.arange(3, 8), features(np.arange(3, 8)))
except StoreError as error:
    print(error)
"""
    output, _ = program(script, store.root).communicate()
    assert "File too large" in output
    assert "prune --limit" in output
    assert "features.dir=" in output
    read, good = entry.read(np.arange(COUNT))
    assert good.tolist() == [True, True, True, False, False, False, False, False]
    np.testing.assert_array_equal(read[:3], features(0, 1, 2))


def test_write_that_the_disk_takes_in_parts_is_whole(entry, monkeypatch):
    """A nearly full disk and a network disk take fewer bytes than are offered."""

    class Reluctant:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, content):
            return self.file.write(content[:7])

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: Reluctant(opened(path, *a, **k)))
    entry.write(rows(0, 1, 5), features(0, 1, 5))
    monkeypatch.undo()
    read, good = entry.read(rows(0, 1, 5))
    assert good.all()
    np.testing.assert_array_equal(read, features(0, 1, 5))


@pytest.fixture
def three(store):
    """Three entries of equal size, named by age: the one used longest ago first."""
    values = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    entries = []
    for number in (2, 0, 1):
        entry = store.create({"number": number}, 64, 256, {"number": str(number)})
        entry.write(np.arange(64), values)
        os.utime(entry.folder / DESCRIPTION, (number + 1e9, number + 1e9))
        entries.append(entry)
    return sorted(entries, key=lambda entry: entry.label["number"])


def left(store):
    return [entry.label["number"] for entry in store.entries()]


def test_entries_are_listed_last_used_first(store, three):
    assert left(store) == ["2", "1", "0"]


def test_pruning_deletes_what_was_used_longest_ago(store, three):
    removed = store.prune(three[0].size() * 2)
    assert [entry.label["number"] for entry in removed] == ["0"]
    assert left(store) == ["2", "1"]


def test_touched_entry_outlives_the_others(store, three):
    three[0].touch()
    store.prune(three[0].size())
    assert left(store) == ["0"]


def test_pruning_keeps_what_is_in_use(store, three):
    store.prune(0, keep=frozenset({three[0].folder}))
    assert left(store) == ["0"]


def test_pruning_deletes_nothing_where_all_fits(store, three):
    assert store.prune(three[0].size() * 3) == []
    assert left(store) == ["2", "1", "0"]


def test_pruned_entry_can_be_created_again(store, three):
    store.prune(0)
    assert not store.create({"number": 0}, 64, 256, {}).present().any()


def test_entry_that_was_pruned_before_its_lock_was_taken_can_be_created_again(store, entry):
    store.remove(entry)
    with entry.computing():
        pass
    store.create(KEY, COUNT, WIDTH, LABEL)


index_sets = st.lists(st.sets(st.integers(0, 29), min_size=1), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40, database=None)
@given(index_sets)
def test_any_sets_of_rows_make_the_round_trip(batches):
    values = np.random.default_rng(0).normal(size=(30, WIDTH)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        entry = FeatureStore(Path(folder)).create(KEY, 30, WIDTH, LABEL)
        for batch in batches:
            index = rows(*sorted(batch))
            entry.write(index, values[index])
        written = rows(*sorted(set().union(*batches)))
        read, good = entry.read(written)
        np.testing.assert_array_equal(read, values[written])
        assert good.all()
        np.testing.assert_array_equal(np.flatnonzero(entry.present()), written)


def test_an_entry_needs_no_more_than_its_folder(entry):
    entry.write(rows(4), features(4))
    again = FeatureEntry(entry.folder, COUNT, WIDTH, {})
    np.testing.assert_array_equal(again.read(rows(4))[0], features(4))


def test_pruning_leaves_what_a_job_is_computing(store, three):
    held = three[0]
    with held.computing():
        removed = store.prune(0)
    assert held.exists()
    assert {entry.folder for entry in removed} == {entry.folder for entry in three[1:]}


def test_an_entry_that_another_job_pruned_has_no_size_and_no_age(store, three):
    gone = three[0]
    assert store.remove(gone)
    gone.touch()
    assert (gone.size(), gone.used()) == (0, 0.0)
    assert store.remove(gone)  # twice does no harm


# ---- what several users share, and what can't be read ----------------------------------------------------------


def test_an_entry_and_its_lock_are_as_open_as_the_folder_of_the_store(tmp_path):
    for mode in (0o700, 0o775):
        root = tmp_path / oct(mode)
        root.mkdir()
        root.chmod(mode)
        entry = FeatureStore(root).create(KEY, 2, 3, LABEL)
        with entry.computing():
            modes = [path.stat().st_mode & 0o777 for path in (entry.folder, *root.glob("*.lock"))]
        assert modes == [mode, mode & 0o666]
        assert {path.stat().st_mode & 0o777 for path in entry.folder.iterdir()} == {mode & 0o666}


def test_an_entry_that_may_only_be_read_is_read(entry, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    entry.write(np.arange(COUNT), features(*range(COUNT)))
    monkeypatch.setattr(module.os, "utime", refuse)
    monkeypatch.setattr(module, "_write_rows", refuse)
    assert entry.read(np.arange(COUNT))[1].all()
    entry.touch()
    with pytest.raises(StoreError, match=r"can't be written to .*: Permission denied"):
        entry.forget(np.arange(1))
    monkeypatch.setattr(module, "_lock", refuse)
    with pytest.raises(StoreError, match="can't be written to"), entry.computing():
        pass


def test_what_cannot_be_read_and_drafts_of_killed_jobs_are_swept(store, three):
    damaged = three[1].folder
    os.truncate(damaged / "features.f32", 1)
    draft, fresh, foreign = (store.root / name for name in (".new-killed", ".new-alive", "photos"))
    for folder in (draft, fresh, foreign):
        folder.mkdir()
    os.utime(draft, (0, 0))
    assert set(store.rubbish()) == {damaged, draft}
    with FeatureEntry(damaged, 0, 0, {}).computing():
        assert store.sweep() == [draft]
    assert store.sweep() == [damaged]
    assert store.rubbish() == []
    assert fresh.exists()
    assert foreign.exists()
    assert len(store.entries()) == 2
