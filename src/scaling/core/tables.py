"""CSV files as programs of several countries write them: what is unambiguous is read, and said."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.core.errors import DataError

#: How a compressed file begins, whatever its name.
GZIP = b"\x1f\x8b"
HEADER = "The first line names the columns, with commas, semicolons, tabs or bars between them."
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
#: How a file begins that says its encoding; UTF-32 first: its mark begins as one of UTF-16 does.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig",
}  # fmt: skip
#: The first line with which a spreadsheet names its delimiter.
DELIMITER_LINE = re.compile(r'"?sep=.?"?[;,\t|]*(?=\r?\n)', re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
#: A number with a decimal comma in one country, one of thousands in another.
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class CsvTable:
    """What a CSV file holds.

    Attributes:
        line: that of the header, from 1 up.
        columns: the header; names that were looked for are spelled as they were looked for.
        rows: each with its line, and as many cells as it has in the file; blank lines are left out.
        decimal_comma: whether numbers are written as 0,25.
        note: how the file was read, where that is not UTF-8 with commas between columns; else empty.
    """

    path: Path
    line: int
    columns: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]
    decimal_comma: bool
    note: str


def read_table(path: Path, known: Sequence[str], numbers: Collection[str] = ()) -> CsvTable:
    """Read a CSV file, compressed or not.

    Args:
        known: columns that are looked for, in letters of any case; they tell what stands between columns.
        numbers: those of them that hold numbers.

    Raises:
        DataError: it can't be read, is no CSV, or has numbers that can be read in two ways.
    """
    text, encoding = read_text(path, "CSV")
    text = DELIMITER_LINE.sub("", text, count=1) if DELIMITER_LINE.match(text) else text
    styles = [(mark, spaced) for spaced in (False, True) for mark in DELIMITERS]
    style = max(styles, key=lambda style: sum(name in known for name in _header(text, style, known)))
    delimiter, (lines, quoted) = style[0], _lines(text, style, path)
    line = lines[0][0] if lines else 1
    columns, rows = _header(text, style, known), tuple(lines[1:])
    cells = [(number, dict(zip(columns, row, strict=False))) for number, row in rows] if numbers else []
    decimal_comma = _decimal_comma(path, [(n, c, row[c].strip()) for n, row in cells for c in numbers if c in row])
    said = [
        *([] if encoding.startswith("utf-8") else [f"{encoding[:6].upper()} text"]),
        *([] if delimiter == "," else [f"{DELIMITERS[delimiter]} between columns"]),
        *([] if quoted else ["quotes that belong to the text"]),
        *(["decimal commas"] if decimal_comma else []),
    ]
    note = f"{path} is read as it was written: {', '.join(said)}" if said else ""
    return CsvTable(path, line, columns, rows, decimal_comma, note)


def _lines(text: str, style: tuple[str, bool], path: Path) -> tuple[list[tuple[int, list[str]]], bool]:
    """Return rows that are not blank with their lines, and whether quotes stand around cells.

    Between tabs they may be part of the text instead, where each line has as many cells as the header then.
    """
    csv.field_size_limit(2**31 - 1)  # texts are longer than Python's 131 072 characters

    def rows(**quotes: Any) -> list[tuple[int, list[str]]]:
        reader = _reader(text, style, **quotes)
        try:
            return [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None

    try:
        return rows(), True
    except DataError:
        plain = rows(quoting=csv.QUOTE_NONE) if style[0] == "\t" else []
        if not plain or any(len(cells) != len(plain[0][1]) for _, cells in plain):
            raise
        return plain, False


def read_text(path: Path, kind: str) -> tuple[str, str]:
    """Return the text of a file, compressed or not, and its encoding.

    Raises:
        DataError: it can't be read, or is not text of this kind.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path}: can't be read ({reason}).") from None
    if content.startswith(b"PK\3\4"):
        raise DataError(f"{path}: a workbook or an archive, no text.\nSave it as {kind} UTF-8, and name that file.")
    # A header begins with a letter of ASCII: where its zero byte stands tells UTF-16 that has no mark.
    unmarked = {b"\0": "utf-16-be"}.get(content[:1], "utf-16-le" if content[1:2] == b"\0" else "utf-8")
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), unmarked)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start}, line {line}): it can't be read as"
            f" a {kind} file.\nOther encodings can't be told apart. Save it as {kind} UTF-8; where it comes from"
            f" Windows: iconv -f CP1252 -t UTF-8 {path} > NEW{path.suffix}"
        ) from None
    return text, encoding


def _reader(text: str, style: tuple[str, bool], **quotes: Any) -> Any:
    """Return a reader for a delimiter, and for spaces before quotes or not."""
    file = io.StringIO(text, newline="")
    return csv.reader(file, delimiter=style[0], skipinitialspace=style[1], strict=True, **quotes)


def _header(text: str, style: tuple[str, bool], known: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns; nothing where this style makes no CSV of the header."""
    reader = _reader(text, style)
    try:
        names: list[str] = next((row for row in reader if any(map(str.strip, row))), [])
    except csv.Error:
        return ()
    return as_known([name.strip() for name in names], known)


def as_known(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns; those that are looked for and differ in capitals alone are spelled as looked for.

    >>> as_known(["Text", "id"], ["text"])
    ('text', 'id')
    """
    spelling = {name.casefold(): name for name in known if name not in names}
    return tuple(spelling.get(name.casefold(), name) for name in names)


def _decimal_comma(path: Path, cells: Sequence[tuple[int, str, str]]) -> bool:
    """Say whether cells (line, column, text) have decimal commas.

    Raises:
        DataError: they have points too, or can all be numbers of thousands.
    """
    commas = [cell for cell in cells if DECIMAL_COMMA.fullmatch(cell[2])]
    points = [cell for cell in cells if "." in cell[2]]
    sure = any(not THOUSANDS.fullmatch(text) for *_, text in commas)
    if commas and (points or not sure):
        line, column, text = points[0] if sure else commas[0]
        why = f"elsewhere the file has {commas[0][2]}" if sure else "the comma may part decimals or thousands"
        raise DataError(
            f"{path}, row {line}, column {column}: got {text!r}, which can be read in two ways: {why}.\n"
            "Write numbers with a decimal point and nothing between thousands: 1000, 0.25."
        )
    return bool(commas)
