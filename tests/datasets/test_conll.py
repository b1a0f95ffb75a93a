"""Column files: what is a sentence, in which scheme its tags are, and what is wrong with them, line by line."""

import gzip

import numpy as np
import pytest

from scaling.core.errors import DataError
from scaling.datasets import Conll, load
from scaling.datasets.conll import sentences

IOB2 = "Ada B-PER\nLovelace I-PER\nmet O\nBabbage B-PER\n\nIn O\nRio B-LOC\nAda B-PER\nsang O\n"
IOB1 = "Ada I-PER\nLovelace I-PER\nmet O\nBabbage I-PER\n\nIn O\nRio I-LOC\nAda I-PER\nsang O\n"
BIOES = "Ada B-PER\nLovelace E-PER\nmet O\nBabbage S-PER\n\nIn O\nRio S-LOC\nAda S-PER\nsang O\n"
BILOU = BIOES.replace("E-", "L-").replace("S-", "U-")
NAMES = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
CODES = [[3, 4, 0, 3], [0, 1, 3, 0]]
#: Two spans of one type side by side: the one place where IOB1 needs B-.
ADJACENT = "\nAda I-PER\nRio B-PER\nsang I-PER\n"


def folder(tmp_path, train, test=None, suffix=".txt"):
    tmp_path.mkdir(exist_ok=True)
    for part, text in (("train", train), ("test", train if test is None else test)):
        (tmp_path / f"{part}{suffix}").write_bytes(text if isinstance(text, bytes) else text.encode())
    return Conll(str(tmp_path))


def read(tmp_path, *texts, **settings):
    return folder(tmp_path, *texts, **settings).load()


def refusal(tmp_path, *texts, **settings):
    with pytest.raises(DataError) as error:
        read(tmp_path, *texts, **settings)
    assert len(str(error.value).splitlines()) <= 3
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (IOB2, ""),
        (IOB1 + ADJACENT, "its tags are IOB1, and read as IOB2"),
        (BIOES, "its tags are BIOES, and read as IOB2"),
        (BILOU, "its tags are BIOES, and read as IOB2"),
    ],
)
def test_schemes_are_told_apart_and_say_the_same(tmp_path, text, note):
    found = read(tmp_path / "people", text)
    assert found.class_names == NAMES
    assert found.train.targets[:2].tolist() == CODES
    assert found.train.samples.words(1) == ["In", "Rio", "Ada", "sang"]
    assert found.notes == ((f"people: {note}",) if note else ())
    if text.endswith(ADJACENT):
        assert found.train.targets[2].tolist() == [3, 3, 4, -1]


def test_ends_of_documents_comments_windows_line_ends_and_blanks_are_no_words(tmp_path):
    plain = read(tmp_path / "a", IOB2)
    written = "-DOCSTART- -X-\n\n# a comment\n" + IOB2.replace("\n\n", " \t \n\n\n# id = 2\n").replace("\n", " \t\r\n")
    awkward = read(tmp_path / "b", b"\xef\xbb\xbf" + written.rstrip().encode(), IOB2)
    assert awkward.train.content == plain.train.content
    tabs = read(tmp_path / "c", IOB2.replace(" ", "\t"), suffix=".conll")
    assert tabs.identity()["train"] == plain.identity()["train"]


def test_a_hash_is_a_word_where_a_tag_stands_beside_it(tmp_path):
    (tmp_path / "x").write_text("# O\n#rio B-LOC\n# newpar id 3\n# one more\nthe O\n", encoding="utf-8")
    (only,) = sentences(tmp_path / "x")
    assert only.words == ["#", "#rio", "the"]
    assert only.place(2).endswith("x, line 5")


def test_columns_are_the_first_and_the_last_unless_they_are_named(tmp_path):
    four = IOB2.replace(" ", " NN x ")
    assert read(tmp_path / "a", four).train.targets.tolist() == CODES
    turned = "\n".join(" ".join(line.split()[::-1]) for line in IOB2.split("\n"))
    source = folder(tmp_path / "b", turned)
    found = Conll(source.path, word_column=1, tag_column=0).load()
    assert found.train.content == read(tmp_path / "c", IOB2).train.content
    with pytest.raises(DataError, match=r"dataset\.tag_column=5: .* has 2 columns, from 0 up \(line 1"):
        Conll(source.path, tag_column=5).load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ada B-PER\nLovelace\n", "train.txt, line 2: columns: 1, expected 2 as in line 1: 'Lovelace'"),
        ("Ada\tB-PER\n\nmet\t\n", "train.txt, line 3: columns: 1, expected 2 as in line 1"),
        ("Ada B-PER\nmet x O\n", "train.txt, line 2: columns: 3, expected 2"),
        ("Ada\n", "train.txt, line 1: columns: 1, expected at least 2, a word and its tag: 'Ada'"),
        (
            "Ada B-PER\n\n\nmet I-PER\nx B-PER",
            "train.txt, line 4: I-PER ('met') continues no span: it follows the",
        ),
        ("Ada B-PER\nx O\nRio I-LOC\nx B-LOC", "train.txt, line 3: I-LOC ('Rio') continues no span: it follows O"),
        ("Ada B-PER\nRio I-LOC\nx O\nx B-LOC", "line 2: I-LOC ('Rio') continues no span: it follows B-PER"),
        (
            "Ada B-PER\nmet O\nRio S-LOC\n",
            "line 1: B-PER ('Ada') is the last word of its span, which should",
        ),
        (
            "Rio S-LOC\n\nAda B-PER\nL I-PER\n",
            "line 4: I-PER ('L') is the last word of its span, which should",
        ),
        ("Rio S-LOC\nAda E-LOC\n", "line 2: E-LOC ('Ada') continues no span: it follows S-LOC"),
        ("Ada NNP\n", "train.txt, line 1: the tag 'NNP' is none of a span: expected O, or B-"),
        (
            "met O\n",
            "test.txt, line 1: the type PER ('Ada') stands in the test part alone; the training part has no",
        ),
        (
            "Ada B-PER\n",
            "test.txt, line 7: the type LOC ('Rio') stands in the test part alone; the training part",
        ),
        ("\n\n", "the train part holds no sentence"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, said):
    assert said in refusal(tmp_path, text, IOB2)


def test_a_scheme_that_is_named_reads_further_words_as_beginnings(tmp_path):
    source = folder(tmp_path, "x O\nRio I-LOC\nx O\nAda B-LOC\n")
    assert "dataset.scheme=iob1" in refusal(tmp_path, "x O\nRio I-LOC\nx O\nAda B-LOC\n")
    assert Conll(source.path, scheme="iob1").load().train.targets.tolist() == [[0, 1, 0, 1]]


def test_missing_and_ambiguous_files_are_named(tmp_path):
    source = folder(tmp_path, IOB2)
    (tmp_path / "test.txt").rename(tmp_path / "dev.txt")
    with pytest.raises(DataError, match=r"no file is called test; it has dev\.txt, train\.txt"):
        source.load()
    assert len(Conll(source.path, test_file="dev.txt").load().test) == 2
    (tmp_path / "test.a").write_text(IOB2)
    (tmp_path / "test.b").write_text(IOB2)
    with pytest.raises(DataError, match="several files are called test"):
        source.load()
    with pytest.raises(DataError, match=r"needs dataset\.path=PATH"):
        Conll(None).load()


def test_compressed_files_are_read_and_files_written_again_are_loaded_again(tmp_path):
    source = folder(tmp_path, gzip.compress(IOB2.encode()), suffix=".txt.gz")
    assert load(source).train.targets.tolist() == CODES
    folder(tmp_path, gzip.compress((IOB2 + "\nRio B-LOC\n").encode()), suffix=".txt.gz")
    assert len(load(source).train) == 3


def test_types_are_spelled_alike_and_sentences_keep_odd_words(tmp_path):
    found = read(tmp_path, "Rio\u00a0Branco\tB-Ort\nx\tB-O\u0308rt\n", "a\tB-\u00d6rt\nb\tB-Ort\n")
    assert found.class_names[1::2] == ("B-Ort", "B-\u00d6rt")
    assert found.train.samples.words(0) == ["Rio\u00a0Branco", "x"]
    np.testing.assert_array_equal(found.test.targets, [[3, 1]])
