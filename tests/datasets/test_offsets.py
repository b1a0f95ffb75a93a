"""Columns that 32-bit floats can't hold as they are: shifted in the file's own numbers, refused, or left alone."""

import numpy as np
import pytest

from scaling.api import evaluate_point
from scaling.core.errors import DataError
from scaling.datasets import Embeddings, rows
from scaling.datasets.offsets import listed

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

N, D = 300, 3
LABELS = np.arange(N) % 3
SPLIT = np.where(np.arange(N) % 4 < 3, "train", "test")
TRAIN = SPLIT == "train"


def features():
    """Three overlapping classes in double precision."""
    rng = np.random.default_rng(0)
    return 2 * np.eye(3)[LABELS] + rng.normal(size=(N, D))


def as_npz(values, path):
    np.savez(path / "e.npz", features=values, labels=LABELS, split=SPLIT)
    return Embeddings(str(path / "e.npz"))


def in_parts(values, path):
    np.savez(
        path / "p.npz", train_features=values[TRAIN], train_labels=LABELS[TRAIN], test_features=values[~TRAIN],
        test_labels=LABELS[~TRAIN],
    )  # fmt: skip
    return Embeddings(str(path / "p.npz"), "e")


def as_lists(values, path):
    flat = pa.array(values.ravel())
    columns = {"label": LABELS, "split": SPLIT, "features": pa.FixedSizeListArray.from_arrays(flat, D)}
    parquet.write_table(pa.table(columns), path / "e.parquet", row_group_size=70)
    return Embeddings(str(path / "e.parquet"))


def as_columns(values, path):
    columns = {**{f"f{i}": values[:, i] for i in range(D)}, "label": LABELS, "split": SPLIT}
    parquet.write_table(pa.table(columns), path / "w.parquet", row_group_size=70)
    return Embeddings(str(path / "w.parquet"), "e")


FORMS = [as_npz, in_parts, as_lists, as_columns]


def held(dataset):
    """The rows of both parts, in the file's order."""
    found = np.empty((N, D), np.float32)
    found[TRAIN], found[~TRAIN] = dataset.train.samples.rows, dataset.test.samples.rows
    return found


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_ELEMENTS", 100)


@pytest.mark.parametrize("write", FORMS)
@pytest.mark.parametrize("offset", [1e5, 1e9, -1e12])
def test_an_offset_in_double_precision_costs_nothing(write, offset, tmp_path):
    moved = features() + offset
    dataset = write(moved, tmp_path).load()
    np.testing.assert_array_equal(held(dataset), (moved - moved.min(0)).astype(np.float32))
    assert len(dataset.train.samples.shifted) == len(dataset.test.samples.shifted) == D


@pytest.mark.parametrize("write", FORMS)
def test_a_column_alone_is_shifted_and_named(write, tmp_path):
    moved = features()
    moved[:, 1] += 1e9
    source = write(moved, tmp_path)
    dataset = source.load()
    np.testing.assert_array_equal(held(dataset)[:, [0, 2]], moved[:, [0, 2]].astype(np.float32))
    np.testing.assert_array_equal(held(dataset)[:, 1], (moved[:, 1] - moved[:, 1].min()).astype(np.float32))
    name = "f1" if write is as_columns else "1"
    assert dataset.train.samples.shifted == dataset.test.samples.shifted == (name,)
    assert dataset.notes == (
        f"{source.path}: in column {name} of the features, 32-bit floats can't tell values so far from 0 apart: the"
        " smallest value was subtracted.",
    )


@pytest.mark.parametrize("write", FORMS)
@pytest.mark.parametrize(
    ("kind", "offset"), [("int64", 2**25), ("int64", -(2**60)), ("uint32", 2**31), ("uint64", 2**63)]
)
def test_whole_numbers_keep_their_last_digit(write, kind, offset, tmp_path):
    small = np.rint(40 * features()).astype(np.int64)
    small -= small.min(0)
    whole = small.astype(kind) + np.array(offset).astype(kind)
    np.testing.assert_array_equal(held(write(whole, tmp_path).load()), small)


@pytest.mark.parametrize("write", FORMS)
def test_ordinary_files_and_what_32_bits_hold_are_left_alone(write, tmp_path):
    single = (features() + 1e5).astype(np.float32)
    noise = np.where(features() > 0, 1.0, np.nextafter(1.0, 2))
    mixed = np.column_stack([features()[:, 0], single[:, 1], noise[:, 2]])
    ids = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, (N, D))
    seconds = 1.7e9 + 3e7 * np.random.default_rng(0).random((N, D))
    for values in (features(), 1000 + features(), single, single.astype(float), mixed, ids, seconds, features() > 0):
        dataset = write(values, tmp_path).load()
        np.testing.assert_array_equal(held(dataset), values.astype(np.float32))
        assert dataset.train.samples.shifted == dataset.notes == ()


@pytest.mark.parametrize("write", FORMS)
def test_numbers_too_small_for_32_bits_are_refused_by_column(write, tmp_path):
    tiny = features()
    tiny[:, 2] *= 1e-50
    with pytest.raises(DataError, match=r"in column f?2 of .* differ by .*e-50 at most.*\nScale the features up"):
        write(tiny, tmp_path).load()


def test_parts_of_different_types_are_shifted_by_the_same_number(tmp_path):
    moved = np.rint(40 * features()) + 2.0**26
    np.savez(
        tmp_path / "e.npz", train_features=moved[TRAIN], train_labels=LABELS[TRAIN],
        test_features=moved[~TRAIN].astype(np.int64), test_labels=LABELS[~TRAIN],
    )  # fmt: skip
    np.testing.assert_array_equal(held(Embeddings(str(tmp_path / "e.npz")).load()), moved - moved.min(0))


def test_a_shift_leaves_one_fingerprint_for_all_offsets_and_none_in_common_with_the_unshifted(tmp_path):
    contents = {
        as_npz(np.rint(8 * features()) / 8 + offset, tmp_path).load().train.content for offset in (0, 1e9, 1e10)
    }
    assert len(contents) == 2


@pytest.mark.parametrize("settings", [("adaptation=linear_probe",), ("adaptation=knn", "adaptation.metric=euclidean")])
def test_scores_are_those_of_the_same_features_without_the_offset(settings, tmp_path):
    scores = [
        evaluate_point("dataset=embeddings", f"dataset.path={as_npz(values, tmp_path).path}", "n=full", *settings)
        for values in (features(), features() + 1e9, 1e20 * features(), 1e-30 * features(), 1e-20 * (features() + 1e9))
    ]
    assert scores[0].test_accuracy > 0.8
    assert {(score.train_accuracy, score.test_accuracy) for score in scores} == {
        (scores[0].train_accuracy, scores[0].test_accuracy)
    }


def test_columns_are_named_up_to_five():
    assert listed(["a"]) == "column a"
    assert listed(["a", "b"]) == "columns a, b"
    assert listed([str(i) for i in range(7)]) == "columns 0, 1, 2, 3, 4 and 2 more"
