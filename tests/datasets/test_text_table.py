"""Tables of texts: what each format says, and what is wrong with a table in at most three lines."""

import gzip
import json
import math

import numpy as np
import pandas as pd
import pytest

from scaling.core.errors import DataError
from scaling.datasets import TextTable, load
from scaling.modalities.texts import Texts

ROWS = [
    ("a fine day", "good", "train"), ("what a mess,\nreally", "bad", "train"), ("never again", "bad", "train"),
    ("like it", "good", "test"), ('"awful", they said', "bad", "test"),
]  # fmt: skip
FRAME = pd.DataFrame(ROWS, columns=["text", "label", "split"])


def write(frame, path):
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return str(path)


def contents(dataset):
    return {
        part: [
            (text, dataset.class_names[label]) for text, label in zip(split.samples.texts, split.labels, strict=True)
        ]
        for part, split in (("train", dataset.train), ("test", dataset.test))
    }


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_says_the_same(tmp_path, suffix):
    loaded = TextTable(write(FRAME, tmp_path / f"reviews{suffix}")).load()
    assert (loaded.name, loaded.class_names, loaded.label_space) == ("reviews", ("bad", "good"), None)
    assert contents(loaded) == {
        part: [(text, label) for text, label, split in ROWS if split == part] for part in ("train", "test")
    }
    assert loaded.train.samples.read(np.array([1])) == ["what a mess,\nreally"]
    assert loaded.identity() == TextTable(write(FRAME, tmp_path / "reviews.csv")).load().identity()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_compressed_tables_are_read(tmp_path, suffix):
    plain = tmp_path / f"plain{suffix}"
    write(FRAME, plain)
    (tmp_path / f"texts{suffix}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    loaded = TextTable(str(tmp_path / f"texts{suffix}.gz")).load()
    assert loaded.name == "texts"
    assert loaded.train.content == TextTable(str(plain)).load().train.content


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_columns_have_names_of_ones_own_and_others_are_noted(tmp_path, suffix):
    frame = FRAME.rename(columns={"text": "Review", "label": "stars", "split": "part"}).assign(id=range(5))
    path = write(frame, tmp_path / f"t{suffix}")
    loaded = TextTable(path, text_column="review", label_column="stars", split_column="part").load()
    assert contents(loaded)["test"][0] == ("like it", "good")
    assert loaded.notes == (f"{path}: not used: the columns 'id'",)


def test_an_index_of_pandas_is_no_column(tmp_path):
    write(FRAME.set_index(pd.Index(range(5), name="row")), tmp_path / "t.parquet")
    assert TextTable(str(tmp_path / "t.parquet")).load().notes == ()


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("values", "names"), [([10, 9], ("9", "10")), ([1.0, 0.0], ("0", "1")), ([True, False], ("false", "true"))]
)
def test_labels_may_be_numbers_in_their_order(tmp_path, suffix, values, names):
    frame = FRAME.assign(label=FRAME["label"].map(dict(zip(("bad", "good"), values, strict=True))))
    assert TextTable(write(frame, tmp_path / f"t{suffix}")).load().class_names == names


def test_labels_may_be_categories(tmp_path):
    frame = FRAME.astype({"label": "category", "split": "category"})
    assert TextTable(write(frame, tmp_path / "t.parquet")).load().class_names == ("bad", "good")


def test_texts_longer_than_pythons_limit_of_cells_are_read(tmp_path):
    frame = FRAME.assign(text=[f"{text} " + "long " * 40_000 for text in FRAME["text"]])
    assert len(TextTable(write(frame, tmp_path / "t.csv")).load().train.samples.texts[0]) > 200_000


def test_quotes_between_tabs_may_be_part_of_the_text(tmp_path):
    path = tmp_path / "t.tsv"
    lines = [
        "text\tlabel\tsplit",
        *("\t".join((f'"{text[:4]}" and so on', label, split)) for text, label, split in ROWS),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    loaded = TextTable(str(path)).load()
    assert loaded.train.samples.texts[0] == '"a fi" and so on'
    assert "quotes that belong to the text" in loaded.notes[0]


def test_a_line_separator_inside_a_json_text_is_no_end_of_line(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [{"text": f"{text}\u2028end", "label": label, "split": split} for text, label, split in ROWS]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    assert TextTable(str(path)).load().train.samples.texts[0] == "a fine day\u2028end"


def test_repeats_and_leaks_are_told(tmp_path):
    frame = pd.concat([FRAME, FRAME.iloc[:1], FRAME.iloc[:1].assign(split="test")])
    path = write(frame, tmp_path / "t.csv")
    loaded = TextTable(path).load()
    assert f"{path}: 1 texts repeat an earlier one of their part" in loaded.notes
    assert any("exact copies of training samples among the test samples: 1 of 3" in note for note in loaded.remarks)


def test_a_table_that_is_written_again_is_loaded_again(tmp_path):
    path = tmp_path / "t.csv"
    source = TextTable(write(FRAME, path))
    before = load(source)
    write(pd.concat([FRAME, FRAME.iloc[:1]]), path)
    assert len(load(source).train) == len(before.train) + 1


SEVERAL = [["good", "long"], [], ["bad"], ["good"], ["bad", "long"]]
WRITTEN = {
    ".csv": ["|".join(labels) for labels in SEVERAL], ".jsonl": [*SEVERAL[:1], None, *SEVERAL[2:]],
    ".parquet": SEVERAL,
}  # fmt: skip


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_text_may_have_several_labels_or_none(tmp_path, suffix):
    path = write(FRAME.astype(object).assign(label=WRITTEN[suffix]), tmp_path / f"t{suffix}")
    loaded = TextTable(path, task="multilabel").load()
    assert (loaded.task.kind, loaded.class_names) == ("multilabel", ("bad", "good", "long"))
    found = [
        [loaded.class_names[place] for place in np.flatnonzero(row)]
        for split in (loaded.train, loaded.test)
        for row in split.targets
    ]
    assert found == SEVERAL
    assert any("1 of 3 training and 0 of 2 test samples have no label" in note for note in loaded.remarks)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([None] * 5, "no row has a label"),
        (["good", None, "", "good", "good"], "all labels are 'good'"),
        (["good", "nan", "bad", "good", "bad"], "line 2: label has no value ('nan')"),
        ([["good", None], "bad", "bad", "good", "bad"], "line 1: label has no value"),
        ([["good", 0.5], "bad", "bad", "good", "bad"], "line 1: label is 0.5"),
    ],
)
def test_what_is_wrong_with_several_labels_is_said(tmp_path, labels, words):
    path = write(FRAME.astype(object).assign(label=labels), tmp_path / "t.jsonl")
    with pytest.raises(DataError) as error:
        TextTable(path, task="multilabel").load()
    assert words in str(error.value)


def test_separators_in_names_of_classes_are_noted(tmp_path):
    path = write(FRAME.replace({"good": "good|fine"}), tmp_path / "t.csv")
    loaded = TextTable(path).load()
    assert loaded.class_names == ("bad", "good|fine")
    assert "set dataset.task=multilabel" in loaded.notes[0]


def changed(row, **values):
    frame = FRAME.astype(object)
    for column, value in values.items():
        frame.at[row, column] = value
    return frame


BAD = {
    "no text column": (".csv", FRAME.rename(columns={"text": "body"}), ["lacks the column text", "body, label, split"]),
    "no text key": (".jsonl", FRAME.rename(columns={"text": "body"}), ["lacks text", "body, label, split"]),
    "no text field": (".parquet", FRAME.rename(columns={"text": "body"}), ["lacks text", "body, label, split"]),
    "no split": (".csv", FRAME.drop(columns="split"), ["lacks the column split"]),
    "empty text": (".csv", changed(1, text=""), ["line 3", "text"]),
    "blank text in JSON": (".jsonl", changed(1, text=" "), ["line 2", "the text is empty"]),
    "null text": (".parquet", changed(1, text=None), ["row 1", "text has no value", "Leave such rows out"]),
    "no label": (".csv", changed(2, label=None), ["line 5", "label has no value ('')", "Leave such rows out"]),
    "a label called nan": (".csv", changed(2, label="NaN"), ["line 5", "label has no value ('NaN')"]),
    "null label": (".jsonl", changed(2, label=None), ["line 3", "label has no value"]),
    "NaN label": (".parquet", FRAME.assign(label=[0, 1, math.nan, 0, 1]), ["row 2", "label has no value"]),
    "a label in test alone": (".csv", changed(3, label="odd"), ["no training sample of class odd"]),
    "a label in training alone": (".jsonl", changed(1, label="odd"), ["no test sample of class odd"]),
    "numbers among texts": (".jsonl", changed(2, text=12), ["line 3", "text is 12, expected text"]),
    "numbers for texts": (".parquet", FRAME.assign(text=range(5)), ["row 0", "text is 0, expected text"]),
    "numbers among labels": (".jsonl", changed(2, label=1), ["line 3", "label 1 is a whole number", "line 1"]),
    "fractions as labels": (".jsonl", FRAME.assign(label=[0.5, 1, 0, 1, 0]), ["line 1", "label is 0.5", "a class"]),
    "lists as labels": (".parquet", FRAME.assign(label=[["a"]] * 5), ["row 0", "label is ['a']", "task=multilabel"]),
    "a third part": (".csv", changed(1, split="val"), ["split is 'val', expected train or test", "no third part"]),
    "a number for a part": (".jsonl", changed(1, split=1), ["line 2", "split is 1, expected train or test"]),
    "no row": (".csv", FRAME.iloc[:0], ["holds no row"]),
    "no row of JSON": (".jsonl", FRAME.iloc[:0], ["holds no row"]),
    "no row of Parquet": (".parquet", FRAME.iloc[:0], ["holds no row"]),
    "one class": (".csv", FRAME.assign(label="good"), ["all labels are 'good'", "2 classes"]),
    "no test": (".csv", FRAME.iloc[:3], ["test part", "holds no sample"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_table_is_said(tmp_path, case):
    suffix, frame, words = BAD[case]
    path = tmp_path / f"t{suffix}"
    if suffix == ".jsonl":  # as Python writes it: columns of mixed types are not made one
        path.write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")), encoding="utf-8")
    else:
        write(frame, path)
    with pytest.raises(DataError) as error:
        TextTable(str(path)).load()
    message = str(error.value)
    assert all(word in message for word in words), message
    assert str(path) in message
    assert len(message.splitlines()) <= 3


FILES = {
    "Latin-1 CSV": ("t.csv", "text,label,split\nfine,good,train\ncafé,bad,train\n".encode("latin-1"), "line 3"),
    "Latin-1 JSON": ("t.jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}\n', "line 2"),
    "half a line of JSON": ("t.jsonl", b'{"text": "a", "label": 1}\n\n{"text": "b', "line 3: not JSON"),
    "a list of JSON": ("t.json", b'[{"text": "a"}]', "line 1: a list, expected an object"),
    "half a character": ("t.jsonl", b'{"text": "\\ud83d", "label": 1, "split": "train"}', "line 1: the text holds"),
    "empty CSV": ("t.csv", b"", "lacks the column text, label, split: it has none"),
    "empty JSON": ("t.jsonl", b"\n", "holds no row"),
    "empty Parquet": ("t.parquet", b"", "can't be read as a Parquet file"),
    "no Parquet": ("t.parquet", b"PAR1 but no more", "can't be read as a Parquet file"),
    "too many cells": ("t.csv", b"text,label,split\na, b,good,train\n", "line 2: got 4 cells, expected the header's 3"),
    "an open quote": ("t.csv", b'text,label,split\n"a,good,train\n', "not CSV"),
    "a workbook": ("t.csv", b"PK\3\4", "workbook"),
    "another kind": ("t.xlsx", b"PK\3\4", "expected a file that ends in .csv"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_what_is_wrong_with_a_file_is_said(tmp_path, case):
    name, content, words = FILES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        TextTable(str(tmp_path / name)).load()
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_bytes_that_are_no_utf_8_in_parquet_are_named_by_row(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    texts = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    table = pa.table({"text": texts, "label": ["a", "b"], "split": ["train", "train"]})
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match="row 1: text is not UTF-8 text"):
        TextTable(str(tmp_path / "t.parquet")).load()


@pytest.mark.parametrize("path", [None, "nowhere.csv", "."])
def test_a_file_is_needed(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"dataset\.path="):
        TextTable(path).load()


def test_lengths_are_said():
    assert Texts(("a" * 1234, "b", "c" * 3)).described() == "median 3, longest 1,234 characters"
