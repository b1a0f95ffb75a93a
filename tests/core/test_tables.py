"""CSV files as programs of several countries write them."""

import gzip

import pytest

from scaling.core.errors import DataError
from scaling.core.tables import read_table

KNOWN = ("curve", "n", "error")


def table(tmp_path, text, numbers=("n", "error")):
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(tmp_path / "t.csv", KNOWN, numbers)


def test_a_plain_table_is_read_without_a_word(tmp_path):
    found = table(tmp_path, 'Curve, n ,ERROR,My note\n\n"a, b",100,0.5,\n \n,,,\nc,2,3\n')
    assert found.columns == ("curve", "n", "error", "My note")
    assert found.rows == ((3, ["a, b", "100", "0.5", ""]), (6, ["c", "2", "3"]))
    assert (found.line, found.decimal_comma, found.note) == (1, False, "")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("curve;n;error\na,b;100;0.5\n", "semicolons between columns"),
        ("curve\tn\terror\na,b\t100\t0.5\n", "tabs between columns"),
        ("curve|n|error\na,b|100|0.5\n", "bars between columns"),
        ('"curve";"n";"error"\n"a,b";"100";"0.5"\n', "semicolons between columns"),
        ('"sep=;"\r\ncurve;n;error\r\na,b;100;0.5\r\n', "semicolons between columns"),
        ("curve;n;error\na,b;100;0.5\n".encode("utf-16"), "UTF-16 text, semicolons between columns"),
        ('curve,n,error\n"a,b",100,0.5\n'.encode("utf-16-be"), "UTF-16 text"),
    ],
)
def test_what_stands_between_columns_is_told_by_the_header(tmp_path, text, note):
    found = table(tmp_path, text)
    assert (found.columns, [cells for _, cells in found.rows]) == (KNOWN, [["a,b", "100", "0.5"]])
    assert found.note == f"{tmp_path}/t.csv is read as it was written: {note}"


def test_compressed_tables_are_read(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"curve;n;error\na;1;2\n"))
    assert read_table(tmp_path / "t.csv.gz", KNOWN).rows == ((2, ["a", "1", "2"]),)


@pytest.mark.parametrize("rows", ["a;100;0,25\na;1,000;,5", "a;100;1,5e-3", "a;1000,125;0,2", "a;1;-0,1"])
def test_decimal_commas_are_read(tmp_path, rows):
    found = table(tmp_path, f"curve;n;error\n{rows}\n")
    assert found.decimal_comma
    assert found.note.endswith("semicolons between columns, decimal commas")


def test_commas_in_names_are_no_decimals(tmp_path):
    assert not table(tmp_path, "curve;n;error\n0,5;100;0.25\n").decimal_comma


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a;1,000;12", r"row 2, column n: got '1,000', which can be read in two ways(.|\n)*1000, 0\.25"),
        ("a;1.000;0,25", r"row 2, column n: got '1\.000', .*elsewhere the file has 0,25"),
        ("a;10;0,25\na;20;0.2", r"row 3, column error: got '0\.2'"),
    ],
)
def test_numbers_that_can_be_read_in_two_ways_are_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message) as error:
        table(tmp_path, f"curve;n;error\n{rows}\n")
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize("rows", ['"a, b", "100", "0.5"', '"a, b",100, 0.5'])
def test_spaces_before_quotes_are_read(tmp_path, rows):
    found = table(tmp_path, f'curve, "n", "error"\n{rows}\n')
    assert (found.columns, found.rows) == (KNOWN, ((2, ["a, b", "100", "0.5"]),))


def test_compression_is_told_by_the_content(tmp_path):
    plain = b"curve,n,error\na,100,0.5\n"
    assert table(tmp_path, gzip.compress(plain)).rows == ((2, ["a", "100", "0.5"]),)
    (tmp_path / "t.csv.gz").write_bytes(plain)
    assert read_table(tmp_path / "t.csv.gz", KNOWN).rows == ((2, ["a", "100", "0.5"]),)
