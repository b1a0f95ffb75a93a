"""Parts and groups in every format: a test part held out by content, groups that must not be in both parts."""

import json

import numpy as np
import pytest
from PIL import Image

from scaling.core.errors import DataError, SettingError
from scaling.datasets import Embeddings, ImageFolder, Manifest, TextTable

N = 60
LABELS = np.array(["ant", "bee", "cat"])[np.arange(N) % 3]
GROUPS = np.array([f"patient {i // 4}" for i in range(N)])
SPLIT = np.where(np.arange(N) < 40, "train", "test")  # no group is in both
ROWS = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
TEXTS = [f"the text {i}" for i in range(N)]


def pictures(folder):
    for i in range(N):
        path = folder / LABELS[i] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(path)


def columns(split, groups, rows):
    found = {"label": LABELS, **({"split": split} if split is not None else {})}
    found |= {"group": groups} if groups is not None else {}
    return {name: values[:rows].tolist() for name, values in found.items()}


def lines(path, table):
    path.write_text("\n".join([",".join(table), *map(",".join, zip(*table.values(), strict=True))]) + "\n")
    return str(path)


def manifest(folder, split, groups, rows=N, **settings):
    pictures(folder)
    paths = [f"{LABELS[i]}/{i:02}.png" for i in range(rows)]
    return Manifest(lines(folder / "all.csv", {"path": paths, **columns(split, groups, rows)}), **settings)


def csv(folder, split, groups, rows=N, **settings):
    table = {"text": TEXTS[:rows], **columns(split, groups, rows)}
    return TextTable(lines(folder / "all.csv", table), **settings)


def json_lines(folder, split, groups, rows=N, **settings):
    table = {"text": TEXTS[:rows], **columns(split, groups, rows)}
    written = (json.dumps(dict(zip(table, row, strict=True))) for row in zip(*table.values(), strict=True))
    (folder / "all.jsonl").write_text("\n".join(written))
    return TextTable(str(folder / "all.jsonl"), **settings)


def parquet_texts(folder, split, groups, rows=N, **settings):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"text": TEXTS[:rows], **columns(split, groups, rows)}
    parquet.write_table(pa.table(table), folder / "all.parquet")
    return TextTable(str(folder / "all.parquet"), **settings)


def npz(folder, split, groups, rows=N, **settings):
    table = {name + "s" * (name == "label"): np.array(found) for name, found in columns(split, groups, rows).items()}
    np.savez(folder / "all.npz", features=ROWS[:rows], **table)
    return Embeddings(str(folder / "all.npz"), **settings)


def parquet_rows(folder, split, groups, rows=N, **settings):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {**columns(split, groups, rows), **{f"x{i}": ROWS[:rows, i] for i in range(5)}}
    parquet.write_table(pa.table(table), folder / "all.parquet")
    return Embeddings(str(folder / "all.parquet"), **settings)


FORMATS = pytest.mark.parametrize("form", [manifest, csv, json_lines, parquet_texts, npz, parquet_rows])


def parts(dataset):
    """What each part holds, by content."""
    return tuple(set(part.samples.keys().tolist()) for part in (dataset.train, dataset.test))


@FORMATS
def test_a_test_part_is_held_out_where_there_is_none(form, tmp_path):
    found = form(tmp_path, None, None, test=0.3).load()
    train, test = parts(found)
    assert not train & test
    assert len(train) + len(test) == N
    assert 8 <= len(test) <= 30
    assert any(f"{len(test)} of {N} samples are held out by content as test part" in note for note in found.notes)
    assert set(found.test.labels) == set(found.train.labels) == {0, 1, 2}


@FORMATS
def test_the_test_part_stays_when_rows_are_added(form, tmp_path):
    _, before = parts(form(tmp_path, None, None, rows=45, test=0.3).load())
    train, after = parts(form(tmp_path, None, None, test=0.3).load())
    assert before < after
    assert not before & train


@FORMATS
def test_another_seed_holds_out_others(form, tmp_path):
    assert parts(form(tmp_path, None, None, test=0.3).load()) != parts(
        form(tmp_path, None, None, test=0.3, test_seed=1).load()
    )


@FORMATS
def test_whole_groups_are_held_out(form, tmp_path):
    found = form(tmp_path, None, GROUPS, test=0.3).load()
    assert not set(found.train.groups) & set(found.test.groups)
    assert {len(np.flatnonzero(found.test.groups == name)) for name in found.test.groups} == {4}
    assert any("groups are held out by content" in note for note in found.notes)


@FORMATS
def test_groups_are_read_with_their_parts(form, tmp_path):
    found = form(tmp_path, SPLIT, GROUPS).load()
    assert found.train.groups.tolist() == GROUPS[:40].tolist()
    assert found.test.groups.tolist() == GROUPS[40:].tolist()
    assert found.identity().keys() == {"name", "train", "test", "groups"}
    assert found.grouped == "20 test samples in 5 groups: intervals are over groups"
    plain = form(tmp_path, SPLIT, None).load()
    assert plain.grouped == ""
    assert {key: value for key, value in found.identity().items() if key != "groups"} == plain.identity()


@FORMATS
def test_a_group_in_both_parts_is_refused_unless_allowed(form, tmp_path):
    mixed = np.where(np.arange(N) < 42, "train", "test")
    with pytest.raises(DataError, match=r"1 groups are in both parts, such as patient 10\.\n.*shared_groups=true"):
        form(tmp_path, mixed, GROUPS).load()
    found = form(tmp_path, mixed, GROUPS, shared_groups=True).load()
    assert any("the test score says little of groups that are new" in note for note in found.notes)


@FORMATS
def test_a_refusal_says_the_way_on(form, tmp_path):
    with pytest.raises(DataError, match=r"lacks .*split(.|\n)*dataset\.test=0\.2"):
        form(tmp_path, None, None).load()


@FORMATS
def test_what_has_a_test_part_gets_no_other(form, tmp_path):
    with pytest.raises(DataError, match="has a test part already, of 20 samples"):
        form(tmp_path, SPLIT, None, test=0.2).load()


@FORMATS
def test_rows_that_are_all_train_are_parted(form, tmp_path):
    _, expected = parts(form(tmp_path, None, None, test=0.3).load())
    assert parts(form(tmp_path, np.full(N, "train"), None, test=0.3).load())[1] == expected


@pytest.mark.parametrize("form", [manifest, csv, json_lines, parquet_texts, npz])
def test_a_sample_without_a_group_is_named(form, tmp_path):
    groups = GROUPS.copy()
    groups[7] = " "
    with pytest.raises(DataError, match=r"(line (8|9)|row 7).*(group|value is missing)"):
        form(tmp_path, SPLIT, groups).load()


def test_groups_of_archives_in_parts(tmp_path):
    train = SPLIT == "train"
    of = {"train_features": ROWS[train], "train_labels": LABELS[train], "train_group": GROUPS[train]}
    of |= {"test_features": ROWS[~train], "test_labels": LABELS[~train]}
    np.savez(tmp_path / "a.npz", **of)
    with pytest.raises(DataError, match="lacks test_group"):
        Embeddings(str(tmp_path / "a.npz")).load()
    np.savez(tmp_path / "a.npz", **of, test_group=GROUPS[~train])
    assert Embeddings(str(tmp_path / "a.npz")).load().test.groups.tolist() == GROUPS[~train].tolist()


def test_numbers_are_names_of_groups(tmp_path):
    assert npz(tmp_path, SPLIT, np.arange(N) // 4).load().train.groups[:5].tolist() == ["0", "0", "0", "0", "1"]


@pytest.mark.parametrize("inner", [".", "train"])
def test_folders_without_a_test_part(tmp_path, inner):
    pictures(tmp_path / inner)
    found = ImageFolder(str(tmp_path), test=0.3).load()
    assert found.class_names == ("ant", "bee", "cat")
    assert len(found.train) + len(found.test) == N
    assert found.train.samples.read(np.array([0]))[0].shape == (4, 4, 3)
    assert not parts(found)[0] & parts(found)[1]


def test_a_folder_of_train_alone_says_the_way_on(tmp_path):
    pictures(tmp_path / "train")
    with pytest.raises(DataError, match=r"no folder .*test(.|\n)*dataset\.test=0\.2"):
        ImageFolder(str(tmp_path)).load()


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0, -0.1])
def test_a_share_that_is_none_is_refused(tmp_path, share):
    with pytest.raises((DataError, SettingError), match=r"dataset\.test=.*expected"):
        csv(tmp_path, None, None, test=share).load()
