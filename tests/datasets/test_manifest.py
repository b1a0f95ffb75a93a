"""Manifests: what a CSV says, however a spreadsheet wrote it."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from scaling.core.errors import DataError
from scaling.datasets import ImageFolder, Manifest
from scaling.tasks import Multilabel


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def root(tmp_path):
    """Two classes, one image of each in each part."""
    root = tmp_path / "images"
    for seed, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        save(root / place / "1.png", seed=seed)
    return root


def table(tmp_path, *rows, header="path,label,split", encoding="utf-8"):
    file = tmp_path / "table.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return str(file)


@pytest.fixture
def rows(root):
    """Lines of a manifest of the same images, one blank line among them."""
    return [
        "images/train/cat/1.png,cat,train", "images/train/dog/1.png,dog,train", "",
        "images/test/cat/1.png,cat,test", "images/test/dog/1.png,dog,test",
    ]  # fmt: skip


def test_content_changes_with_a_label(root, tmp_path, rows):
    before = Manifest(table(tmp_path, *rows)).load()
    swapped = [row.replace(",cat,train", ",x").replace(",dog,train", ",cat,train").replace(",x", ",dog,train")
               for row in rows]  # fmt: skip
    after = Manifest(table(tmp_path, *swapped)).load()
    assert after.train.sample_content == before.train.sample_content
    assert after.train.content != before.train.content


def test_manifest_reads_paths_relative_to_the_csv(tmp_path, rows, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    loaded = Manifest(table(tmp_path, *rows)).load()
    assert loaded.class_names == ("cat", "dog")
    assert loaded.train.labels.tolist() == loaded.test.labels.tolist() == [0, 1]
    assert len(loaded.train.samples.read(np.arange(2))) == 2


def test_manifest_and_folder_of_the_same_images_have_one_content(root, tmp_path, rows):
    table_path = table(tmp_path, *rows)
    assert Manifest(table_path).load().train.content == ImageFolder(str(root)).load().train.content


def test_manifest_takes_columns_in_any_order_and_more_of_them(tmp_path, rows):
    path = table(tmp_path, *(",".join([*row.split(",")[::-1], "x"]) for row in rows if row),
                 header="split,label,path,comment")  # fmt: skip
    assert Manifest(path).load().class_names == ("cat", "dog")


def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path, rows):
    assert len(Manifest(table(tmp_path, *rows, encoding="utf-8-sig")).load().train) == 2


def test_missing_column_is_named_with_those_that_are_there(tmp_path, rows):
    with pytest.raises(DataError, match="lacks the column label, split: it has path, class, part, expected path"):
        Manifest(table(tmp_path, *rows, header="path,class,part")).load()


def test_unknown_split_is_named_with_its_line(tmp_path, rows):
    rows[3] = rows[3].replace(",test", ",val")
    with pytest.raises(DataError, match=r"table\.csv, line 5: split is 'val', expected train or test"):
        Manifest(table(tmp_path, *rows)).load()


def test_missing_file_is_named_with_its_line(tmp_path, rows):
    rows[1] = "images/none.png,dog,train"
    with pytest.raises(DataError, match=rf"line 3: {tmp_path}/images/none\.png does not exist"):
        Manifest(table(tmp_path, *rows)).load()


@pytest.mark.parametrize("row", ["images/test/dog/1.png,dog", "images/test/dog/1.png,,test", ",dog,test"])
def test_missing_value_is_named_with_its_line(tmp_path, rows, row):
    rows[4] = row
    with pytest.raises(DataError, match="line 6: a value is missing"):
        Manifest(table(tmp_path, *rows)).load()


def test_manifest_of_one_class_is_too_few(tmp_path, rows):
    with pytest.raises(DataError, match="names 1 classes, at least 2 are needed"):
        Manifest(table(tmp_path, *(row.replace(",dog,", ",cat,") for row in rows))).load()


def test_manifest_without_a_part_says_which(tmp_path, rows):
    with pytest.raises(DataError, match=r"the test part in .*table\.csv holds no sample"):
        Manifest(table(tmp_path, *rows[:2])).load()


def test_manifest_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(DataError, match="can't be read as a CSV file"):
        Manifest(str(tmp_path / "table.csv")).load()


PLAIN = """path,label,split
images/train/cat/1.png,cat,train
images/train/dog/1.png,dog,train
images/test/cat/1.png,cat,test
images/test/dog/1.png,dog,test
"""
#: Ways to write one table, and what is said of them.
WRITTEN = {
    "semicolons": (PLAIN.replace(",", ";").encode(), "semicolons between columns"),
    "tabs": (PLAIN.replace(",", "\t").encode(), "tabs between columns"),
    "Excel's first line": (("sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n")).encode(), "semicolons"),
    "Excel's Unicode text": (PLAIN.replace(",", "\t").encode("utf-16"), "UTF-16 text, tabs between columns"),
    "UTF-16, big end first": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "UTF-16 text"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "UTF-16 text"),
    "UTF-32": (PLAIN.encode("utf-32"), "UTF-32 text"),
    "UTF-8 with a mark": (PLAIN.encode("utf-8-sig"), None),
    "lines of Windows": (PLAIN.replace("\n", "\r\n").encode(), None),
    "lines of old Macs": (PLAIN.replace("\n", "\r").encode(), None),
    "other case": (PLAIN.replace("path,label,split", "Path, LABEL ,Split").encode(), None),
    "other case of splits": (PLAIN.replace(",train", ", Train").replace(",test", ",TEST ").encode(), None),
    "spaces": (PLAIN.replace(",", " , ").encode(), None),
    "quotes": ("\n".join(f'"{line}"' for line in PLAIN.replace(",", '","').split()).encode(), None),
    "backslashes": (PLAIN.replace("/", "\\").encode(), None),
    "empty cells at the end": (PLAIN.replace("\n", ",,\n").replace("split,,", "split").encode(), None),
    "columns without a name": (PLAIN.replace("\n", ",,\n").encode(), None),
    "empty lines": (PLAIN.replace("\n", "\n\n,,\n").encode(), None),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_table_is_read_however_it_was_written(root, tmp_path, how):
    content, said = WRITTEN[how]
    (tmp_path / "table.csv").write_bytes(content)
    loaded = Manifest(str(tmp_path / "table.csv")).load()
    assert loaded.identity() == {**ImageFolder(str(root)).load().identity(), "name": "manifest"}
    assert loaded.class_names == ("cat", "dog")
    (note,) = loaded.notes or ("",)
    assert (said in note) if said else note == ""


def test_a_table_in_another_encoding_says_where_and_what_to_type(tmp_path, root):
    (tmp_path / "table.csv").write_bytes(PLAIN.replace("dog", "Dögge").encode("cp1252"))
    with pytest.raises(DataError, match=r"at byte \d+, line 3(.|\n)*iconv -f CP1252 -t UTF-8 .*table\.csv") as error:
        Manifest(str(tmp_path / "table.csv")).load()
    assert len(str(error.value).splitlines()) <= 3


def test_a_workbook_says_what_to_save(tmp_path):
    (tmp_path / "table.xlsx").write_bytes(b"PK\3\4\x14\0")
    with pytest.raises(DataError, match=r"workbook(.|\n)*CSV UTF-8"):
        Manifest(str(tmp_path / "table.xlsx")).load()


def test_columns_that_are_not_used_are_named(tmp_path, root):
    lines = PLAIN.splitlines()
    text = "\n".join([f"{lines[0]},patient,Age (y)", *(f"{line},7,8" for line in lines[1:])])
    (tmp_path / "table.csv").write_text(text)
    (note,) = Manifest(str(tmp_path / "table.csv")).load().notes
    assert note.endswith("table.csv: not used: the columns 'patient', 'Age (y)'")


def test_a_column_of_a_needed_name_in_another_case_is_another_one(tmp_path, root):
    lines = PLAIN.splitlines()
    (tmp_path / "table.csv").write_text("\n".join([f"Label,{lines[0]}", *(f"x,{line}" for line in lines[1:])]))
    loaded = Manifest(str(tmp_path / "table.csv")).load()
    assert (loaded.class_names, loaded.notes[0][-8:]) == (("cat", "dog"), " 'Label'")


def test_rows_that_repeat_another_are_counted(tmp_path, root):
    (tmp_path / "table.csv").write_text(PLAIN + PLAIN.splitlines()[1] + "\n")
    assert Manifest(str(tmp_path / "table.csv")).load().notes == (
        f"{tmp_path}/table.csv: 1 rows repeat an earlier one",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN.replace("path,", "Path,PATH,"), "has the column path 2 times"),
        (
            PLAIN.replace("dog/1.png,dog,train", "dog, big/1.png,dog,train"),
            "line 3: got 4 cells, expected the header's 3",
        ),
        (PLAIN.replace("path,label", "file;label"), "lacks the column path"),
        (PLAIN.replace("test\n", "val\n"), "split is 'val', expected train or test"),
        (PLAIN.replace("images/train/cat/1.png", '"images'), "line 5: not CSV"),
        ("", "it has none"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, root, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Manifest(str(tmp_path / "table.csv")).load()


def test_absolute_paths_are_read(tmp_path, root):
    (tmp_path / "table.csv").write_text(PLAIN.replace("images/", f"{root}/"))
    assert len(Manifest(str(tmp_path / "table.csv")).load().train) == 2


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_paths_are_found_in_either_form_of_unicode(tmp_path, root, on_disk, in_table):
    (root / "train" / "dog").rename(root / "train" / unicodedata.normalize(on_disk, "Dögge"))
    written = PLAIN.replace("train/dog/", unicodedata.normalize(in_table, "train/Dögge/"))
    (tmp_path / "table.csv").write_text(written)
    assert len(Manifest(str(tmp_path / "table.csv")).load().train) == 2


def test_labels_in_two_forms_of_unicode_are_one_class(tmp_path, root):
    written = PLAIN.replace(",dog,train", ",ku\u0308he,train").replace(",dog,test", ",k\u00fche ,test")
    (tmp_path / "table.csv").write_text(written)
    assert Manifest(str(tmp_path / "table.csv")).load().class_names == ("cat", "k\u00fche")


def test_labels_that_only_look_the_same_are_refused(tmp_path, root):
    (tmp_path / "table.csv").write_text(PLAIN.replace(",dog,test", ",do\u200bg,test"))
    with pytest.raises(DataError, match=r"U\+200B.*look\s+the same"):
        Manifest(str(tmp_path / "table.csv")).load()


def test_a_link_that_leads_nowhere_is_named_with_its_line(tmp_path, root):
    (root / "train" / "cat" / "1.png").unlink()
    (root / "train" / "cat" / "1.png").symlink_to("../.git/annex/objects/x.png")
    (tmp_path / "table.csv").write_text(PLAIN)
    with pytest.raises(DataError, match=r"line 2: .*1\.png is a link to \.\./\.git/annex(.|\n)*git annex get"):
        Manifest(str(tmp_path / "table.csv")).load()


@pytest.fixture
def several(root):
    """Lines of a manifest with several labels a row, and none in one."""
    return [
        "images/train/cat/1.png,cat|small,train", "images/train/dog/1.png,,train",
        "images/test/cat/1.png,dog | cat,test", "images/test/dog/1.png,dog,test",
    ]  # fmt: skip


def test_several_labels_stand_between_separators(tmp_path, several):
    loaded = Manifest(table(tmp_path, *several), task="multilabel").load()
    assert loaded.task == Multilabel(("cat", "dog", "small"))
    assert loaded.train.targets.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert loaded.test.targets.tolist() == [[1, 1, 0], [0, 1, 0]]
    said = " ".join(loaded.remarks)
    assert "manifest: 1 of 2 training and 0 of 2 test samples have no label: they count as" in said
    assert "no test sample has small: it has no average precision" in said
    assert "no training sample has dog: it can't be learnt" in said


def test_without_the_task_a_separator_is_a_part_of_a_name_and_an_empty_cell_is_refused(tmp_path, several, rows):
    with pytest.raises(DataError, match=r"line 3: a value is missing \(label\); path, label, split are needed"):
        Manifest(table(tmp_path, *several)).load()
    joined = [row.replace(",cat,", ",cat|x,") for row in rows]
    loaded = Manifest(table(tmp_path, *joined)).load()
    assert loaded.class_names == ("cat|x", "dog")
    assert any("1 classes have | in their names; if that stands between labels, set" in note for note in loaded.notes)


def test_one_label_is_not_enough_and_a_path_is_still_needed(tmp_path, several):
    with pytest.raises(DataError, match="names 1 classes, at least 2 are needed"):
        Manifest(table(tmp_path, several[0].replace("|small", ""), several[1]), task="multilabel").load()
    with pytest.raises(DataError, match=r"line 2: a value is missing \(path\)"):
        Manifest(table(tmp_path, ",cat|dog,train"), task="multilabel").load()


def test_repeated_rows_and_copies_under_other_labels_are_told(tmp_path, several):
    again = [*several, several[0], "images/train/cat/1.png,dog,test"]
    loaded = Manifest(table(tmp_path, *again), task="multilabel").load()
    assert any("1 rows repeat an earlier one" in note for note in loaded.notes)
    assert loaded.duplicates.copied == 1
    assert loaded.duplicates.contradicted == 3
