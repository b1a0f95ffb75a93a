"""Embeddings from .npz and .parquet: what is read, and what is refused with which words."""

import os
from pathlib import Path

import numpy as np
import pytest

from scaling.core.errors import DataError
from scaling.datasets import Embeddings, load, rows
from scaling.datasets.rows import checked_features, checked_labels
from scaling.modalities.vectors import Vectors
from scaling.tasks import Multilabel

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

N = 12
SPLIT = np.array(["train", "train", "test"] * 4)  # neither part lies in one piece
LABELS = np.array([2, 5, 2, 5, 2, 5] * 2)


def features(n=N, d=3):
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def arrays(**changes):
    """Arrays of a good file, with some changed; None leaves one out."""
    every = {"features": features(), "labels": LABELS, "split": SPLIT, **changes}
    return {name: array for name, array in every.items() if array is not None}


def parts(**changes):
    train = SPLIT == "train"
    every = {
        "train_features": features()[train], "train_labels": LABELS[train],
        "test_features": features()[~train], "test_labels": LABELS[~train], **changes,
    }  # fmt: skip
    return {name: array for name, array in every.items() if array is not None}


@pytest.fixture
def npz(tmp_path):
    """Write arrays and return the source that reads them."""

    def write(given, name="emb.npz", **settings):
        np.savez(tmp_path / name, **given)
        return Embeddings(str(tmp_path / name), **settings)

    return write


@pytest.fixture
def table(tmp_path):
    """Write columns as Parquet and return the source that reads them."""

    def write(columns, name="emb.parquet", **settings):
        written = columns if isinstance(columns, pa.Table) else pa.table(columns)
        parquet.write_table(written, tmp_path / name, **settings)
        return Embeddings(str(tmp_path / name))

    return write


def columns(**changes):
    """Columns of a good table with lists; None leaves one out."""
    every = {"label": LABELS, "split": SPLIT, "features": list(features()), **changes}
    return {name: column for name, column in every.items() if column is not None}


def wide(**changes):
    every = {"f1": features()[:, 0], "label": LABELS, "f0": features()[:, 1], "split": SPLIT, "f2": features()[:, 2]}
    return {name: column for name, column in {**every, **changes}.items() if column is not None}


def refusal(source):
    """Return the message with which a file is refused."""
    with pytest.raises(DataError) as caught:
        source.load()
    message = str(caught.value)
    assert len(message.splitlines()) <= 3, message
    return message


# ---- what is read --------------------------------------------------------------------------------------------


def test_rows_go_to_their_parts_in_order(npz):
    loaded = npz(arrays()).load()
    for split, part in ((loaded.train, "train"), (loaded.test, "test")):
        np.testing.assert_array_equal(split.samples.rows, features()[part == SPLIT])
        assert split.samples.rows.dtype == np.float32
        assert (len(split), len(split.samples)) == (np.sum(part == SPLIT),) * 2
        np.testing.assert_array_equal(split.labels, np.where(LABELS == 5, 1, 0)[part == SPLIT])
    assert (loaded.name, loaded.class_names, loaded.label_space) == ("emb", ("2", "5"), None)


def test_the_name_can_be_set(npz):
    assert npz(arrays(), name="emb.npz").load().name == "emb"
    assert Embeddings(npz(arrays()).path, name="clip").load().name == "clip"


def test_every_form_of_the_same_samples_has_the_same_content(npz, table):
    halves = {"features": pa.FixedSizeListArray.from_arrays(pa.array(features().ravel()), 3)}
    sources = [
        npz(arrays()), npz(parts(), "parts.npz"), table(columns()), table(columns(**halves), "fixed.parquet"),
        table(columns(features=pa.array(list(features()), pa.large_list(pa.float64()))), "large.parquet"),
        table(columns(), "groups.parquet", row_group_size=5),
        table({"labels": LABELS, **columns(label=None)}, "s.parquet"),
    ]  # fmt: skip
    assert len({(loaded.train.content, loaded.test.content) for loaded in (source.load() for source in sources)}) == 1


def test_columns_of_numbers_are_features_in_the_files_order(table):
    loaded = table(wide()).load()
    np.testing.assert_array_equal(loaded.train.samples.rows, features()[SPLIT == "train"])


def test_groups_of_a_table_are_put_together(table):
    whole = table(wide()).load()
    for given, name in ((wide(), "w.parquet"), (columns(), "l.parquet")):
        assert table(given, name, row_group_size=5).load().train.content == whole.train.content
    nan = table(wide(f1=with_nan()[:, 1]), row_group_size=5)
    assert "row 7 of the features holds nan in column 0" in refusal(nan)
    assert "row 5 of f1 has no value" in refusal(table(wide(f1=gap(features()[:, 0].tolist())), row_group_size=5))


def test_an_index_of_pandas_is_no_feature(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(wide(), index=np.arange(100, 100 + N))
    frame["label"] = frame["label"].map({2: "cat", 5: "dog"}).astype("category")
    frame.to_parquet(tmp_path / "emb.parquet")
    assert "__index_level_0__" in parquet.ParquetFile(tmp_path / "emb.parquet").schema_arrow.names
    loaded = Embeddings(str(tmp_path / "emb.parquet")).load()
    assert loaded.train.samples.rows.shape == (8, 3)
    assert loaded.class_names == ("cat", "dog")


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4", "i1", "i8", "u1", "?"])
def test_numbers_of_every_kind_become_32_bit_floats(npz, dtype):
    given = np.rint(features() * 3).clip(0).astype(dtype)
    rows = npz(arrays(features=given)).load().train.samples.rows
    assert rows.dtype == np.float32
    assert rows.dtype.isnative
    np.testing.assert_array_equal(rows, given[SPLIT == "train"].astype("f4"))


def test_an_array_in_column_order_is_read_too(npz):
    split = np.sort(SPLIT)[::-1]  # in one piece, so that nothing but the order needs a copy
    rows, by_column = (npz(arrays(features=f, split=split)).load() for f in (features(), np.asfortranarray(features())))
    assert by_column.train.content == rows.train.content
    assert by_column.train.samples.rows.flags.c_contiguous


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS.astype("u1"), ("2", "5")),
        (LABELS.astype(float), ("2", "5")),
        (LABELS == 5, ("0", "1")),
        (np.where(LABELS == 2, 10, 9), ("9", "10")),  # by number, not by text
        (np.where(LABELS == 2, "b", "a"), ("a", "b")),
        (np.where(LABELS == 2, "ö", "a").astype("U1"), ("a", "ö")),
        (np.array([name.encode() for name in np.where(LABELS == 2, "ö", "a")]), ("a", "ö")),
        (-LABELS, ("-5", "-2")),
    ],
)
def test_labels_are_numbers_or_text(npz, labels, names):
    loaded = npz(arrays(labels=labels)).load()
    assert loaded.class_names == names
    found = np.array(names)[loaded.train.labels]
    given = labels.astype(int) if labels.dtype.kind == "b" else labels
    shown = [x.decode() if isinstance(x, bytes) else str(int(x) if isinstance(x, float) else x) for x in given.tolist()]
    assert found.tolist() == np.array(shown)[SPLIT == "train"].tolist()


def test_class_names_name_the_numbers(npz):
    numbers = np.where(LABELS == 5, 1, 0)
    loaded = npz(arrays(labels=numbers, class_names=np.array(["zebra", "ant"]))).load()
    assert loaded.class_names == ("zebra", "ant")
    np.testing.assert_array_equal(loaded.train.labels, numbers[SPLIT == "train"])


def test_a_split_of_bytes_is_text_too(npz):
    assert npz(arrays(split=SPLIT.astype("S"))).load().train.content == npz(arrays()).load().train.content


def test_parts_that_lie_in_one_piece_are_not_copied(npz):
    loaded = npz(arrays(split=np.sort(SPLIT))).load()
    assert loaded.train.samples.rows.base is loaded.test.samples.rows.base is not None


def test_32_bit_floats_are_checked_but_not_copied():
    given = features()
    assert checked_features(given, "features", Path("x")) is given


# ---- who a file is -------------------------------------------------------------------------------------------


def test_content_changes_with_a_value_and_with_a_label(npz):
    before = npz(arrays()).load()
    changed = features()
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(9))
    after = npz(arrays(features=changed)).load()
    assert after.train.content != before.train.content
    assert after.test.content == before.test.content
    swapped = LABELS.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    after = npz(arrays(labels=swapped)).load()
    assert after.train.sample_content == before.train.sample_content
    assert after.train.content != before.train.content


def test_content_knows_the_shape():
    flat = np.arange(24, dtype=np.float32)
    assert Vectors(flat.reshape(3, 8)).content() != Vectors(flat.reshape(8, 3)).content()


def test_a_moved_file_is_the_same_and_a_renamed_one_is_not_unless_it_is_named(npz, tmp_path):
    source = npz(arrays())
    before, named = source.load().identity(), Embeddings(source.path, "mine").load().identity()
    (tmp_path / "there").mkdir()
    moved = Path(source.path).rename(tmp_path / "there" / "emb.npz")
    assert Embeddings(str(moved)).load().identity() == before
    renamed = moved.rename(tmp_path / "other.npz")
    assert Embeddings(str(renamed)).load().identity() != before
    assert Embeddings(str(renamed), "mine").load().identity() == named


def test_a_file_that_is_written_again_is_loaded_again(npz):
    source = npz(arrays())
    first = load(source)
    assert load(source) is first
    again = npz(arrays(features=features() + 1))
    os.utime(again.path, ns=(1, 1))  # whatever the clock's resolution
    assert load(again).train.content != first.train.content


# ---- what is refused -----------------------------------------------------------------------------------------


def with_nan(value=np.nan):
    given = features().astype(np.float64)
    given[7, 1] = value
    given[9, 0] = value
    return given


def ragged(n=N):
    return [row[:2] if i == 7 else row for i, row in enumerate(features(n))]


OBJECTS = np.array(["cat", None] * 6, dtype=object)

NPZ_CASES = {
    "no labels": (arrays(labels=None), ["lacks labels: it has features, split", "train_features"]),
    "nothing known": ({"x": features()}, ["lacks features, labels, split: it has x"]),
    "a part is missing": (parts(test_labels=None), ["lacks test_labels", "train_features, train_labels, test_f"]),
    "both forms": ({**arrays(), **parts()}, ["arrays of both forms", "Keep either"]),
    "one row a file": (arrays(features=features().ravel()), ["features has the shape (36,)", "Stack one row a sample"]),
    "images": (arrays(features=features().reshape(N, 1, 3)), ["(12, 1, 3)", "features.reshape(len(features), -1)"]),
    "no columns": (arrays(features=features()[:, :0]), ["(12, 0)", "expected (samples, features)"]),
    "text as features": (arrays(features=features().astype(str)), ["features is an array of <U32, expected numbers"]),
    "complex features": (arrays(features=features() * 1j), ["complex64", "expected numbers"]),
    "unequal lengths": (arrays(labels=LABELS[:-1]), ["features has 12, labels has 11, split has 12 rows"]),
    "unequal lengths of a part": (parts(test_labels=LABELS[:3]), ["test_features has 4, test_labels has 3 rows"]),
    "unequal widths": (parts(test_features=features(4, 2)), ["train_features have 3 columns, test_features have 2"]),
    "NaN": (arrays(features=with_nan()), ["row 7 of features holds nan in column 1", "Leave such samples out"]),
    "NaN in a part": (parts(test_features=np.full((4, 3), np.nan)), ["row 0 of test_features holds nan"]),
    "infinite": (arrays(features=with_nan(-np.inf).astype("f4")), ["row 7 of features holds -inf in column 1"]),
    "beyond 32 bits": (arrays(features=with_nan(1e300)), ["row 7", "1e+300", "beyond 32-bit floats", "Scale"]),
    "regression": (arrays(labels=LABELS + 0.5), ["row 0 of labels is 2.5", "whole number or text", "Regression"]),
    "a label is NaN": (arrays(labels=np.where(np.arange(N) == 3, np.nan, LABELS)), ["row 3 of labels is nan"]),
    "an empty label": (arrays(labels=np.where(np.arange(N) == 3, "", "a")), ["row 3 of labels is empty text"]),
    "one-hot labels": (arrays(labels=np.eye(N)), ["every row of labels (N, 12) has exactly one 1", "labels.argmax(1)"]),
    "labels of another kind": (arrays(labels=LABELS * 1j), ["labels is an array of complex128"]),
    "labels of two kinds": (parts(test_labels=np.full(4, "a")), ["train_labels are numbers, test_labels are text"]),
    "one class": (arrays(labels=np.zeros(N, int)), ["all labels are '0'", "At least 2 classes"]),
    "no test sample": (arrays(labels=np.where(SPLIT == "test", 2, LABELS)), ["no test sample of class 5"]),
    "objects as labels": (arrays(labels=OBJECTS), ["labels is an array of Python objects", "labels.astype(str)"]),
    "objects as features": (arrays(features=np.array(ragged(), object)), ["Python objects", "numpy.stack(features)"]),
    "objects as split": (arrays(split=SPLIT.astype(object)), ["split is an array of Python objects", "astype(str)"]),
    "validation": (
        arrays(split=np.where(np.arange(N) == 4, "val", SPLIT)),
        ["row 4 of split is 'val', expected 'train' or 'test'", "no third part", "make them train"],
    ),
    "another case": (arrays(split=np.char.title(SPLIT)), ["row 0 of split is 'Train'", "lower case"]),
    "a split of numbers": (arrays(split=np.arange(N) % 2), ["split is an array of int64", "'train', 'test')."]),
    "a split of another shape": (arrays(split=SPLIT[:, None]), ["split has the shape (12, 1)", "split.ravel()"]),
    "no test row": (arrays(split=np.full(N, "train")), ["none of the 12 rows of split is 'test'"]),
    "no train row": (arrays(split=np.full(N, "test")), ["none of the 12 rows of split is 'train'"]),
    "no row at all": ({name: array[:0] for name, array in arrays().items()}, ["none of the 0 rows of split"]),
    "an empty part": ({**parts(), "test_features": features()[:0], "test_labels": LABELS[:0]}, ["holds no row"]),
    "labels beyond class_names": (
        arrays(class_names=np.array(["a", "b"])), ["labels run from 2 to 5", "class_names has 2 names, for 0 to 1"],
    ),
    "text labels and class_names": (
        arrays(labels=np.where(LABELS == 2, "a", "b"), class_names=np.array(["a", "b"])), ["Leave class_names out"],
    ),
    "a class name twice": (arrays(class_names=np.array(["a", "a"])), ["class_names has 'a' more than once"]),
    "class names of another kind": (arrays(class_names=np.ones(2)), ["class_names is an array of float64"]),
    "class names of another shape": (arrays(class_names=np.array([["a"]])), ["class_names has the shape (1, 1)"]),
    "bytes that are no text": (arrays(labels=np.array([b"\xff", b"a"] * 6)), ["labels holds bytes that are no UTF-8"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NPZ_CASES)
def test_an_archive_that_cannot_be_used_is_refused(case, npz):
    given, words = NPZ_CASES[case]
    source = npz(given)
    message = refusal(source)
    assert source.path in message
    assert all(word in message for word in words), message


def gap(column, row=5):
    return pa.array([None if i == row else value for i, value in enumerate(column)])


TABLE_CASES = {
    "no label": (columns(label=None), ["lacks label: it has split, features", "Expected label, split"]),
    "no split": (wide(split=None), ["lacks split: it has f1, label, f0, f2"]),
    "no features": ({"label": LABELS, "split": SPLIT}, ["lacks features: it has label, split"]),
    "two labels": (columns(labels=LABELS), ["columns label and labels"]),
    "ragged lists": (columns(features=ragged()), ["row 7 of features has 2 numbers, row 0 has 3"]),
    "empty lists": (columns(features=pa.array([[]] * N, pa.list_(pa.float32()))), ["has 0 numbers", "at least 1"]),
    "a list is missing": (columns(features=gap(features().tolist())), ["row 5 of features has no value"]),
    "a value of a list is missing": (
        columns(features=[[1.0, None if i == 6 else 2.0] for i in range(N)]), ["row 6 of features has no value"],
    ),
    "lists of text": (columns(features=[["a"]] * N), ["features is of the type list<", "expected lists of numbers"]),
    "features is a number": (columns(features=np.arange(N)), ["features is of the type int64", "lists of numbers"]),
    "NaN in a list": (columns(features=list(with_nan())), ["row 7 of features holds nan in column 1"]),
    "NaN in a column": (wide(f2=with_nan()[:, 1]), ["row 7 of the features holds nan in column 2"]),
    "beyond 32 bits": (wide(f2=with_nan(1e300)[:, 1]), ["row 7", "1e+300", "beyond 32-bit floats"]),
    "a number is missing": (wide(f1=gap(features()[:, 0].tolist())), ["row 5 of f1 has no value"]),
    "text beside the numbers": (wide(city=np.full(N, "Rome")), ["these hold no numbers: city (", "Leave them out"]),
    "a label is missing": (columns(label=gap(LABELS.tolist())), ["row 5 of label has no value"]),
    "a split is missing": (columns(split=gap(SPLIT.tolist())), ["row 5 of split has no value"]),
    "labels of another kind": (columns(label=[["a"]] * N), ["column label is of the type list<", "expected text or"]),
    "regression": (columns(label=LABELS + 0.5), ["row 0 of label is 2.5"]),
    "validation": (columns(split=np.full(N, "validation")), ["row 0 of split is 'validation'", "no third part"]),
    "no rows": (
        columns(label=LABELS[:0], split=SPLIT[:0], features=pa.array([], pa.list_(pa.float32()))), ["none of the 0"],
    ),
    "one class": (columns(label=np.full(N, "a")), ["all labels are 'a'"]),
    "a name twice": (pa.table([LABELS, SPLIT, LABELS, LABELS], ["label", "split", "x", "x"]), ["x more than once"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE_CASES)
def test_a_table_that_cannot_be_used_is_refused(case, table):
    given, words = TABLE_CASES[case]
    source = table(given)
    message = refusal(source)
    assert message.startswith(source.path)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("damage", ["empty", "text", "short", "holed"])
def test_a_damaged_file_is_refused(npz, table, suffix, damage):
    source = npz(arrays()) if suffix == ".npz" else table(columns())
    file = Path(source.path)
    whole = file.read_bytes()
    half = len(whole) // 2
    changed = {"empty": b"", "text": b"no features\n" * 9, "short": whole[:half], "holed": bytearray(whole)}[damage]
    if damage == "holed":
        changed[60:half] = bytes(half - 60)
    file.write_bytes(changed)
    message = refusal(source)
    assert message.startswith(f"{file} can't be read as a {'Parquet' if suffix == '.parquet' else '.npz'} file: ")
    assert "save it again" in message


def test_a_pickle_is_not_run(tmp_path):
    import pickle

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "emb.npz").write_bytes(pickle.dumps(Trap()))
    assert "can't be read as a .npz file" in refusal(Embeddings(str(tmp_path / "emb.npz")))
    np.savez(tmp_path / "emb.npz", **arrays(labels=np.array([Trap()] * N, dtype=object)))
    assert "Python objects" in refusal(Embeddings(str(tmp_path / "emb.npz")))
    assert not (tmp_path / "ran").exists()


def test_a_single_array_is_refused(tmp_path):
    with (tmp_path / "emb.npz").open("wb") as file:
        np.save(file, features())
    assert "holds a single array" in refusal(Embeddings(str(tmp_path / "emb.npz")))


def test_a_member_that_is_no_array_is_refused(npz):
    import zipfile

    source = npz(arrays(split=None))
    with zipfile.ZipFile(source.path, "a") as archive:
        archive.writestr("split", "train")
    assert "split is no array" in refusal(source)


@pytest.mark.parametrize("path", [None, ""])
def test_a_path_that_is_not_set_is_named(path):
    assert "needs dataset.path=PATH" in refusal(Embeddings(path))


def test_a_file_that_does_not_exist_is_named(tmp_path):
    assert f"dataset.path={tmp_path}/none.npz: there is no such file" in refusal(Embeddings(f"{tmp_path}/none.npz"))


def test_other_files_and_folders_are_refused_with_the_kinds_that_are_read(tmp_path):
    (tmp_path / "emb.csv").write_text("label,split\n")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "bare").write_text("")
    for name, words in (("emb.csv", "ends in .csv"), ("folder.npz", "is a folder"), ("bare", "ends in nothing")):
        message = refusal(Embeddings(str(tmp_path / name)))
        assert words in message
        assert ".npz or .parquet" in message


def test_rows_are_checked_block_by_block(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_ELEMENTS", 6)
    given = features().astype(np.float64)
    np.testing.assert_array_equal(checked_features(given, "features", Path("x")), given.astype(np.float32))
    with pytest.raises(DataError, match="row 7 of features holds nan in column 1"):
        checked_features(with_nan(), "features", Path("x"))


def test_labels_in_two_forms_of_unicode_are_one_class(tmp_path):
    labels = np.array(["b", "a\u0308", "b", "\u00e4"])
    np.savez(tmp_path / "x.npz", features=np.eye(4), labels=labels, split=np.array(["train", "train", "test", "test"]))
    loaded = Embeddings(str(tmp_path / "x.npz")).load()
    assert loaded.class_names == ("\u00e4", "b")
    assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([1, 0], [1, 0])


def test_labels_that_only_look_the_same_are_refused(tmp_path):
    labels = np.array(["b", "b\u200d", "b", "b\u200d"])
    np.savez(tmp_path / "x.npz", features=np.eye(4), labels=labels, split=np.array(["train", "train", "test", "test"]))
    with pytest.raises(DataError, match=r"x\.npz: the classes .*U\+200D.*look the same"):
        Embeddings(str(tmp_path / "x.npz")).load()


def test_class_names_that_unicode_calls_equal_are_one_name_too_many(tmp_path):
    arrays = {"labels": np.array([0, 1, 0, 1]), "split": np.array(["train", "train", "test", "test"])}
    np.savez(tmp_path / "x.npz", features=np.eye(4), class_names=np.array(["a\u0308", "\u00e4"]), **arrays)
    with pytest.raises(DataError, match="more than once"):
        Embeddings(str(tmp_path / "x.npz")).load()


# ---- several labels a sample ------------------------------------------------------------------------------

HAS = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]] * 4)


@pytest.mark.parametrize("kind", [int, bool, float, np.uint8])
def test_a_matrix_says_which_sample_has_which_label(npz, table, kind):
    names = np.array(["cat", "dog", "owl"])
    sources = [
        npz(arrays(labels=HAS.astype(kind), class_names=names)),
        npz(parts(train_labels=HAS[SPLIT == "train"].astype(kind), test_labels=HAS[SPLIT == "test"]), "parts.npz"),
        table({"features": list(features()), "label": list(HAS.astype(kind)), "split": SPLIT}),
    ]
    loaded = [source.load() for source in sources]
    for dataset in loaded:
        assert dataset.kind is Multilabel
        assert dataset.train.targets.tolist() == HAS[SPLIT == "train"].tolist()
        assert dataset.test.targets.tolist() == HAS[SPLIT == "test"].tolist()
    assert [dataset.class_names for dataset in loaded] == [("cat", "dog", "owl"), ("0", "1", "2"), ("0", "1", "2")]
    assert len({(dataset.train.content, dataset.test.content) for dataset in loaded}) == 1


def test_content_changes_with_one_label_of_one_sample(npz):
    other = HAS.copy()
    other[0, 1] = 1
    assert npz(arrays(labels=HAS)).load().train.content != npz(arrays(labels=other), "b.npz").load().train.content


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (arrays(labels=HAS + 1), ["row 0 of labels holds", "in column 0, expected 0 or 1"]),
        (arrays(labels=np.where(HAS, np.nan, 0)), ["row 0 of labels holds", "nan"]),
        (arrays(labels=HAS.astype(str)), ["row 0 of labels holds", "expected 0 or 1", "one number or name a row"]),
        (arrays(labels=HAS, class_names=np.array(["a", "b"])), ["labels have 2 and 3 columns or names"]),
        (parts(train_labels=HAS[SPLIT == "train"], test_labels=HAS[SPLIT == "test", :2]), ["have 2 and 3 columns"]),
        (parts(train_labels=HAS[SPLIT == "train"]), ["Save both"]),
        (parts(test_labels=HAS[SPLIT == "test"]), ["Save both"]),
        (arrays(labels=HAS * (SPLIT == "train")[:, None]), ["no test sample in", "has a label"]),
        (arrays(labels=HAS[:, None]), ["labels has the shape (12, 1, 3)"]),
    ],
)
def test_other_matrices_are_refused(npz, given, said):
    with pytest.raises(DataError) as error:
        npz(given).load()
    for text in said:
        assert text in str(error.value)
    assert str(error.value).count("\n") < 3


def test_lists_of_labels_with_gaps_or_of_several_lengths_are_refused(table):
    for row in ([1, 0], [1, None, 0]):
        rows = [row, *HAS.tolist()[1:]]
        with pytest.raises(DataError, match="the lists of label are not all full and of one length"):
            table({"features": list(features()), "label": rows, "split": SPLIT}).load()


@pytest.mark.parametrize(
    ("kind", "largest"), [("f2", 2**11), ("f4", 2**24), ("f8", 2**53), ("u8", 2**63)], ids=["f2", "f4", "f8", "u8"]
)
def test_labels_that_their_type_rounds_or_cuts_off_are_refused(kind, largest):
    sound = np.array([0, largest // 2], kind)
    assert checked_labels(sound, "labels", Path("a.npz")).tolist() == [0, largest // 2]
    with pytest.raises(DataError, match=r"a.npz: row 1 of labels is .*, too large for a whole number of "):
        checked_labels(np.array([0, largest], kind), "labels", Path("a.npz"))
