"""Data sets of the library `datasets`: saved folders, folders of files, and what can't be loaded."""

import importlib.machinery
import sys
from types import ModuleType

import pytest

from scaling.core.errors import DataError
from scaling.datasets import HuggingFace, hugging_face


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(hugging_face, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs the Python package datasets.\nInstall it: .*scaling-curves\[hub\]"):
        HuggingFace("ag_news").load()


def test_a_library_that_runs_code_is_refused(monkeypatch):
    old = ModuleType("datasets")
    old.__spec__, old.__version__ = importlib.machinery.ModuleSpec("datasets", None), "3.6.0"
    monkeypatch.setitem(sys.modules, "datasets", old)
    with pytest.raises(DataError, match="datasets 4 or newer, got 3"):
        HuggingFace("ag_news").load()


def test_a_path_is_needed():
    with pytest.raises(DataError, match=r"dataset\.path=NAME_OR_FOLDER"):
        HuggingFace(None).load()


@pytest.fixture
def datasets(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    library = pytest.importorskip("datasets")
    library.disable_progress_bars()
    return library


def split(datasets, labels, names=("neg", "pos"), text="text", label="label"):
    features = datasets.Features({text: datasets.Value("string"), label: datasets.ClassLabel(names=list(names))})
    texts = [f"text {number} of {len(labels)}" for number in range(len(labels))]
    return datasets.Dataset.from_dict({text: texts, label: labels}, features=features)


def saved(datasets, tmp_path, **splits):
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    return str(tmp_path / "saved")


def test_a_saved_folder_is_read_with_its_classes_in_their_order(datasets, tmp_path):
    names = ("zebra", "ant")
    path = saved(datasets, tmp_path, train=split(datasets, [0, 1, 1], names), test=split(datasets, [1, 0], names))
    loaded = HuggingFace(path).load()
    assert (loaded.name, loaded.class_names, loaded.notes) == ("saved", names, ())
    assert loaded.train.samples.texts == tuple(f"text {number} of 3" for number in range(3))
    assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([0, 1, 1], [1, 0])


def test_a_shuffled_split_keeps_texts_and_labels_together(datasets, tmp_path):
    train = split(datasets, [0, 1, 1, 0, 1, 0])
    path = saved(datasets, tmp_path, train=train.shuffle(seed=1), test=train)
    loaded = HuggingFace(path).load()
    told = dict(zip(loaded.test.samples.texts, loaded.test.labels, strict=True))
    assert [told[text] for text in loaded.train.samples.texts] == loaded.train.labels.tolist()
    assert loaded.train.samples.texts != loaded.test.samples.texts


@pytest.mark.parametrize("blind", [{}, {"labels": [-1, -1]}])
def test_validation_is_the_test_part_where_test_has_no_labels(datasets, tmp_path, blind):
    others = {"test": split(datasets, blind["labels"], text="sentence")} if blind else {}
    splits = {"train": [0, 1, 1], "validation": [1, 0]}
    made = {name: split(datasets, labels, text="sentence") for name, labels in splits.items()}
    path = saved(datasets, tmp_path, **made, **others)
    loaded = HuggingFace(path).load()
    assert loaded.test.samples.texts == ("text 0 of 2", "text 1 of 2")
    assert f"{path}: the split validation is the test part: " in loaded.notes[0]


def test_columns_and_splits_can_be_named(datasets, tmp_path):
    made = {name: split(datasets, [0, 1], text="body", label="stars") for name in ("all", "held_out", "other")}
    path = saved(datasets, tmp_path, **made)
    columns = {"text_column": "body", "label_column": "stars"}
    loaded = HuggingFace(path, **columns, train_split="all", test_split="held_out", name="stars").load()
    assert loaded.name == "stars"
    assert loaded.notes == (f"{path}: not used: the splits other",)
    with pytest.raises(DataError, match="lacks text: it has body, stars") as error:
        HuggingFace(path, train_split="all", test_split="other").load()
    assert "dataset.text_column=NAME" in str(error.value)


def test_a_text_may_have_several_labels(datasets, tmp_path):
    names = ("zebra", "ant", "never")
    labels = datasets.Sequence(datasets.ClassLabel(names=list(names)))
    features = datasets.Features({"text": datasets.Value("string"), "labels": labels})
    made = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "labels": [[0, 1], [], [1]]}, features=features)
    path = saved(datasets, tmp_path, train=made, test=made)
    loaded = HuggingFace(path, task="multilabel").load()
    assert (loaded.task.kind, loaded.class_names) == ("multilabel", ("ant", "zebra"))
    assert loaded.train.targets.tolist() == [[1, 1], [0, 0], [1, 0]]
    with pytest.raises(DataError, match=r"train row 0: label is \['zebra', 'ant'\](.|\n)*dataset\.task=multilabel"):
        HuggingFace(path).load()


def test_a_folder_of_data_files_is_read(datasets, tmp_path):
    for part, labels in (("train", [0, 1, 1]), ("test", [1, 0])):
        (tmp_path / "files").mkdir(exist_ok=True)
        split(datasets, labels).to_parquet(str(tmp_path / "files" / f"{part}.parquet"))
    assert HuggingFace(str(tmp_path / "files")).load().test.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"train": [0, 1], "test": [-1, -1]}, "no test part: its split test has no labels"),
        ({"train": [0, 1]}, "no test part: it has train"),
        ({"unsupervised": [0, 1]}, "no split train: it has unsupervised"),
        ({"train": [0, -1], "test": [0, 1]}, "train row 1: label has no value"),
        ({"train": [0, 0], "test": [0, 1]}, "no training sample of class pos"),
    ],
)
def test_what_is_wrong_with_splits_is_said(datasets, tmp_path, splits, words):
    path = saved(datasets, tmp_path, **{name: split(datasets, labels) for name, labels in splits.items()})
    with pytest.raises(DataError) as error:
        HuggingFace(path).load()
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_a_data_set_without_splits_is_refused(datasets, tmp_path):
    split(datasets, [0, 1]).save_to_disk(str(tmp_path / "single"))
    with pytest.raises(DataError, match=r"has no splits\.\nSave a DatasetDict"):
        HuggingFace(str(tmp_path / "single")).load()


def test_code_beside_data_is_never_run(datasets, tmp_path):
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(DataError, match="can't be loaded"):
        HuggingFace(str(folder)).load()
    assert not (tmp_path / "ran").exists()


def test_a_name_that_cannot_be_reached_is_one_message(datasets):
    with pytest.raises(DataError, match=r"dataset\.path=nobody/nothing can't be loaded: ") as error:
        HuggingFace("nobody/nothing").load()
    assert len(str(error.value).splitlines()) <= 3


def test_lists_of_words_and_tags_are_sentences(datasets, tmp_path):
    names = ["O", "B-PER", "I-PER"]
    tags = datasets.ClassLabel(names=names)
    kinds = {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(tags)}

    def sentences(words, codes):
        return datasets.Dataset.from_dict({"tokens": words, "ner_tags": codes}, features=datasets.Features(kinds))

    train = sentences([["Ada", "L."], [], ["sang"]], [[1, 2], [], [0]])
    path = saved(datasets, tmp_path, train=train, test=sentences([["met", "Ada"]], [[0, 1]]))
    loaded = HuggingFace(path, task="token_classification").load()
    assert loaded.class_names == tuple(names)
    assert loaded.train.targets.tolist() == [[1, 2], [0, -1]]
    assert loaded.train.samples.words(0) == ["Ada", "L."]
    broken = saved(datasets, tmp_path / "other", train=train, test=sentences([["a", "b"]], [[0, 2]]))
    with pytest.raises(DataError, match=r"test row 0, word 1: I-PER \('b'\) continues no span: it follows O"):
        HuggingFace(broken, task="token_classification").load()
    short = saved(datasets, tmp_path / "short", train=train, test=sentences([["a", "b"]], [[0]]))
    with pytest.raises(DataError, match="test row 0: expected a list of words and one of as many tags"):
        HuggingFace(short, task="token_classification").load()
    with pytest.raises(DataError, match="lacks text: it has tokens, ner_tags"):
        HuggingFace(path).load()


def test_a_test_part_is_held_out_of_train_where_asked(datasets, tmp_path):
    labels = [i % 2 for i in range(80)]
    path = saved(datasets, tmp_path, train=split(datasets, labels))
    with pytest.raises(DataError, match=r"has no test part(.|\n)*dataset\.test=0\.2"):
        HuggingFace(path).load()
    loaded = HuggingFace(path, test=0.2).load()
    assert len(loaded.train) + len(loaded.test) == 80
    assert 5 <= len(loaded.test) <= 30
    assert not set(loaded.train.samples.texts) & set(loaded.test.samples.texts)


def test_groups_are_read_and_may_not_be_in_both_splits(datasets, tmp_path):
    def grouped(first, number):
        part = split(datasets, [i % 2 for i in range(number)])
        return part.add_column("group", [first + i // 2 for i in range(number)])

    path = saved(datasets, tmp_path, train=grouped(0, 8), test=grouped(4, 4))
    loaded = HuggingFace(path).load()
    assert loaded.train.groups.tolist() == ["0", "0", "1", "1", "2", "2", "3", "3"]
    assert loaded.notes == ()
    path = saved(datasets, tmp_path / "other", train=grouped(0, 8), test=grouped(3, 4))
    with pytest.raises(DataError, match="1 groups are in both parts, such as 3"):
        HuggingFace(path).load()
    assert HuggingFace(path, shared_groups=True).load().test.groups.tolist() == ["3", "3", "4", "4"]
