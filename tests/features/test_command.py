"""python -m scaling.features ls|verify|prune."""

import os

import numpy as np
import pytest

from scaling.core.costs import size
from scaling.core.errors import SettingError
from scaling.features import FeatureStore
from scaling.features.__main__ import VERIFY_ROWS, parse_size
from scaling.features.store import CHECKSUMS, DESCRIPTION, ROWS

COUNT, WIDTH = 8, 1024


@pytest.fixture
def store(place):
    return FeatureStore(place / ".features")


@pytest.fixture
def features(command, capsys):
    """Run the command; return its exit code and its lines."""

    def run(*arguments):
        code = command("scaling.features.__main__", *arguments)
        out, err = capsys.readouterr()
        return code, out.splitlines() + err.splitlines()

    return run


def filled(store, name="net", finished=6, age=0.0):
    """Make an entry with some finished rows that was used some days ago."""
    label = {"model": name, "dataset": "digits", "split": "train", "precision": "32-true"}
    entry = store.create({"model": name}, COUNT, WIDTH, label)
    if finished:
        entry.write(np.arange(finished), np.ones((finished, WIDTH), np.float32))
    then = entry.used() - age * 86_400
    os.utime(entry.folder / DESCRIPTION, (then, then))
    return entry


def damage(entry, row):
    with (entry.folder / ROWS).open("r+b") as file:
        file.seek(row * WIDTH * 4)
        file.write(b"\xff")


def test_an_entry_is_listed_with_rows_and_size(store, features):
    entry = filled(store, age=3)
    code, lines = features("ls")
    assert code == 0
    assert lines[0] == f"{entry.folder.name[:8]}  net digits train 32-true"
    assert lines[1].strip() == f"6/8 rows of 1024, {size(entry.size())}, used 3.0 days ago"
    assert lines[2].startswith(f"1 entries, {size(entry.size())} in ")


def test_the_entry_used_last_is_listed_first(store, features):
    filled(store, "older", age=2)
    filled(store, "newer", age=1)
    lines = features("ls")[1]
    assert [line.split()[1] for line in lines[:-1:2]] == ["newer", "older"]


def test_the_list_fits_80_columns(store, features):
    filled(store, "efficientnet_lite0")
    assert all(len(line) <= 80 for line in features("ls")[1][:2])


def test_rows_that_were_never_written_take_no_space(store):
    assert filled(store, "none", finished=0).size() < filled(store, "some", finished=6).size()


@pytest.mark.parametrize("command_", ["ls", "verify", "prune --limit 0"])
def test_an_empty_store_is_no_error_and_is_not_made(command_, store, features):
    assert features(*command_.split())[0] == 0
    assert not store.root.exists()


def test_another_folder_can_be_named(place, features):
    filled(FeatureStore(place / "elsewhere"))
    assert features("--dir", "elsewhere", "ls")[1][-1].startswith("1 entries")
    assert features("ls")[1][-1].startswith("0 entries")


def test_rows_as_they_were_written_are_good(store, features):
    filled(store)
    code, lines = features("verify")
    assert code == 0
    assert lines[0].endswith("6 rows: good")


def test_an_entry_without_rows_is_good(store, features):
    filled(store, finished=0)
    assert features("verify")[0] == 0


def test_damaged_rows_are_reported_and_marked_to_be_computed_again(store, features):
    entry = filled(store)
    damage(entry, 1)
    damage(entry, 4)
    code, lines = features("verify")
    assert code == 1
    assert lines[0].endswith("6 rows: 2 rows damaged, to be computed again")
    assert np.flatnonzero(entry.present()).tolist() == [0, 2, 3, 5]


def test_what_was_reported_once_is_good_afterwards(store, features):
    damage(filled(store), 1)
    features("verify")
    code, lines = features("verify")
    assert code == 0
    assert lines[0].endswith("5 rows: good")


def test_damage_in_one_entry_leaves_the_others(store, features):
    damage(filled(store, "bad"), 1)
    good = filled(store, "good")
    assert features("verify")[0] == 1
    assert good.present().sum() == 6


def test_damage_is_found_in_every_block_that_is_read(store, features):
    entry = store.create({"model": "long"}, 2 * VERIFY_ROWS + 1, 1, {})
    entry.write(np.arange(entry.rows), np.ones((entry.rows, 1), np.float32))
    last = np.arange(VERIFY_ROWS, entry.rows, VERIFY_ROWS)
    with (entry.folder / ROWS).open("r+b") as file:
        for row in last:
            file.seek(row * 4)
            file.write(b"\xff")
    assert features("verify")[0] == 1
    assert np.flatnonzero(~entry.present()).tolist() == last.tolist()


def test_a_row_without_a_checksum_is_unfinished_not_damaged(store, features):
    entry = filled(store)
    (entry.folder / CHECKSUMS).write_bytes(bytes(COUNT * 4))
    assert features("verify") == (0, [f"{entry.folder.name[:8]}  0 rows: good"])


def test_what_was_used_longest_ago_is_deleted_down_to_the_limit(store, features):
    old, middle, new = (filled(store, name, age=age) for name, age in (("old", 3), ("middle", 2), ("new", 1)))
    code, lines = features("prune", "--limit", str(middle.size() + new.size()))
    assert code == 0
    assert lines[0] == f"deleted {old.folder.name[:8]}  old digits train 32-true"
    assert [entry.folder for entry in store.entries()] == [new.folder, middle.folder]
    assert lines[-1].startswith("2 entries")


def test_what_fits_the_limit_stays(store, features):
    filled(store)
    assert features("prune", "--limit", "1G")[1][-1].startswith("1 entries")


def test_without_a_limit_all_is_deleted(store, features):
    filled(store, "a")
    filled(store, "b")
    assert features("prune", "--limit", "0")[1][-1].startswith("0 entries")
    assert store.entries() == []


def test_a_bad_limit_deletes_nothing_and_names_the_form(store, features):
    filled(store)
    code, lines = features("prune", "--limit", "much")
    assert code == 1
    assert lines[0].startswith("error: 'much' is not a size")
    assert len(store.entries()) == 1


@pytest.mark.parametrize("arguments", [[], ["delete"]])
def test_an_unknown_command_names_the_commands(arguments, features):
    code, lines = features(*arguments)
    assert code == 2
    assert "ls,verify,prune" in "".join(lines)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("500", 500), ("500b", 500), ("1.5k", 1500), ("500M", 500_000_000), ("20G", 20_000_000_000),
        ("20GB", 20_000_000_000), ("2t", 2_000_000_000_000), (" 3 m ", 3_000_000),
    ],
)  # fmt: skip
def test_sizes_are_powers_of_ten(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "b", "-1", "-5G", "1kk", "20X", "one", "1,5G"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(SettingError, match="such as 20G"):
        parse_size(text)


def test_what_cannot_be_read_is_told_and_pruned(store, features):
    folder = filled(store).folder
    os.truncate(folder / ROWS, 1)
    assert features("ls") == (
        0,
        ["0 entries, 0 B in .features", "1 folders that can't be read as entries; prune deletes them"],
    )
    assert features("verify") == (1, [f"{folder.name[:8]}  can't be read as an entry; prune deletes it"])
    assert features("prune", "--limit", "1T")[1][0] == f"deleted {folder.name[:8]}  which could not be read"
    assert not folder.exists()
    assert features("verify") == (0, [])


def test_the_folder_may_stand_before_or_after_the_command(features, place):
    for arguments in (("--dir", "mine", "ls"), ("ls", "--dir", "mine"), ("prune", "--limit", "1G", "--dir", "mine")):
        assert features(*arguments)[1][-1].endswith("in mine")
