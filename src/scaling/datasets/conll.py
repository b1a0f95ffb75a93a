"""Sentences in column files, as CoNLL's tasks have them: a word with its tag a line, blank lines between sentences."""

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scaling.core.errors import DataError
from scaling.core.tables import read_text
from scaling.core.words import class_names
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.folders import PARTS, required_path
from scaling.datasets.tags import OUTSIDE, SHOWN, TAG, Scheme, Tag, Tagged, normalised, parsed, scheme_of
from scaling.modalities.sentences import Sentences
from scaling.tasks.token_classification import Decoding, TokenClassification, padded, tag_names

#: What marks where a document begins; it is no word.
DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class Conll:
    """Column files in a folder: one called train and one called test, whatever their suffix.

    Attributes:
        train_file, test_file: names of the files in the folder; None finds them.
        word_column, tag_column: from 0 up; negative ones are counted from the end.
        scheme: how spans are written; None tells it by the tags of both files.
        name: the name shown to people; None takes the folder's.
        label_space: what the tags mean, where a model's own head should be evaluated on them.
        decoding: how tags are told, see `TokenClassification`.
    """

    path: str | None
    name: str | None = None
    train_file: str | None = None
    test_file: str | None = None
    word_column: int = 0
    tag_column: int = -1
    scheme: Scheme | None = None
    label_space: str | None = None
    decoding: Decoding = "free"

    def load(self) -> Dataset:
        """Read and check both files.

        Raises:
            DataError: a file is missing or can't be read, a line lacks a column, a tag doesn't continue the span that
                it should, or a type stands in the test part alone.
        """
        folder = required_path(self.path, "dataset.path")
        parts = {part: list(sentences(self._file(part), self.word_column, self.tag_column)) for part in PARTS}
        name = self.name or folder.resolve().name
        return tagged_dataset(name, folder, parts, self.scheme, self.label_space, self.decoding)

    def state(self) -> Hashable:
        """Return the files' times and sizes: files that were written again are loaded again."""
        return tuple((status.st_mtime_ns, status.st_size) for part in PARTS for status in [self._file(part).stat()])

    def _file(self, part: str) -> Path:
        folder = required_path(self.path, "dataset.path")
        named = {"train": self.train_file, "test": self.test_file}[part]
        files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
        found = [path for path in files if path.name == named or (named is None and _stem(path) == part)]
        if len(found) != 1:
            there = ", ".join(path.name for path in files[:8]) or "no file"
            raise DataError(
                f"dataset.path={self.path}: {'several files are' if found else 'no file is'} called {named or part};"
                f" it has {there}.\nExpected a folder with a file train and a file test, of any suffix; or name it:"
                f" dataset.{part}_file=NAME"
            )
        return found[0]


def sentences(path: Path, word_column: int = 0, tag_column: int = -1) -> Iterator[Tagged]:
    """Yield the sentences of a column file.

    Columns stand between tabs, or, in lines without any, between spaces. A line that begins with # is a comment unless
    it has as many columns as the others and its last one is a tag.

    Raises:
        DataError: a line has fewer or more columns than the first, or no such column, or no tag.
    """
    text, _ = read_text(path, "column")
    first, columns = 0, list[str]()
    lines: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        cells = _cells(line)
        if not cells or cells[0].startswith(DOCUMENT):
            yield from _sentence(path, lines, word_column, tag_column)
            lines = []
        elif not _is_comment(cells, len(columns)):
            if not columns:
                first, columns = number, cells
                _check_columns(path, number, cells, word_column, tag_column)
            if len(cells) != len(columns) or not (cells[word_column] and cells[tag_column]):
                raise DataError(
                    f"{path}, line {number}: columns: {sum(map(bool, cells))}, expected {len(columns)} as in line"
                    f" {first}: {line.strip()[:60]!r}.\nEach line needs a word and its tag; a blank line ends a"
                    " sentence."
                )
            lines.append((number, cells))
    yield from _sentence(path, lines, word_column, tag_column)


def tagged_dataset(
    name: str, source: object, parts: dict[str, list[Tagged]], scheme: Scheme | None = None,
    label_space: str | None = None, decoding: Decoding = "free", notes: Sequence[str] = (),
) -> Dataset:  # fmt: skip
    """Bring tags into one scheme, number them, and make the data set of it.

    Args:
        parts: the sentences of the training and of the test part.

    Raises:
        DataError: a part is empty, a tag doesn't continue its span, or a type stands in the test part alone.
    """
    for part, found in parts.items():
        if not found:
            raise DataError(f"{source}: the {part} part holds no sentence.\nEach line needs a word and its tag.")
    written = scheme or scheme_of(sentence for part in parts.values() for sentence in part)
    tags = {part: [normalised(sentence, written) for sentence in found] for part, found in parts.items()}
    spelled = class_names(sorted({tag.type for rows in tags.values() for row in rows for tag in row} - {""}), source)
    known = {spelled[tag.type] for row in tags["train"] for tag in row if tag.type}
    for sentence, row in zip(parts["test"], tags["test"], strict=True):
        for number, tag in enumerate(row):
            if tag.type and spelled[tag.type] not in known:
                raise DataError(
                    f"{sentence.place(number)}: the type {tag.type} ({sentence.words[number]!r}) stands in the test"
                    f" part alone; the training part has {', '.join(sorted(known)) or 'no span'}.\n"
                    "It can't be learnt: leave it out, or move some of its sentences."
                )
    types = tuple(dict.fromkeys(spelled.values()))
    numbers = {tag: number for number, tag in enumerate(tag_names(types))}
    longest = max(len(row) for rows in tags.values() for row in rows)

    def split(part: str) -> Split:
        rows = [[numbers[_spelling(tag, spelled)] for tag in row] for row in tags[part]]
        return Split(Sentences.of([sentence.words for sentence in parts[part]]), padded(rows, longest))

    said = [*notes, *([] if written == "iob2" else [f"{name}: its tags are {SHOWN[written]}, and read as IOB2"])]
    train, test = map(split, PARTS)
    kind = partial(TokenClassification, decoding=decoding)
    made = Dataset(name, tag_names(types), train, test, label_space, str(source), tuple(said), kind)
    return verify(made)


def _stem(path: Path) -> str:
    return path.name.partition(".")[0].lower()


def _cells(line: str) -> list[str]:
    """Return what stands in the columns of a line; nothing of a blank one."""
    line = line.strip()
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else re.split(" +", line) if line else []


def _is_comment(cells: Sequence[str], columns: int) -> bool:
    if not cells[0].startswith("#"):
        return False
    tagged = cells[-1] == OUTSIDE or TAG.fullmatch(cells[-1])
    return not tagged or len(cells) < 2 or columns not in (0, len(cells))


def _check_columns(path: Path, number: int, cells: Sequence[str], word_column: int, tag_column: int) -> None:
    if len(cells) < 2:
        raise DataError(
            f"{path}, line {number}: columns: 1, expected at least 2, a word and its tag: {cells[0][:60]!r}.\n"
            "Put a tab or a space between them."
        )
    for setting, column in (("word_column", word_column), ("tag_column", tag_column)):
        if not -len(cells) <= column < len(cells):
            raise DataError(
                f"dataset.{setting}={column}: {path} has {len(cells)} columns, from 0 up (line {number}:"
                f" {' '.join(cells)[:60]!r})."
            )


def _sentence(path: Path, lines: Sequence[tuple[int, list[str]]], word: int, tag: int) -> Iterator[Tagged]:
    """Yield the sentence of some lines, where there are any."""
    if lines:
        numbers = [number for number, _ in lines]
        tags = [parsed(cells[tag], _place(path, numbers, place)) for place, (_, cells) in enumerate(lines)]
        yield Tagged([cells[word] for _, cells in lines], tags, partial(_place, path, numbers))


def _place(path: Path, numbers: Sequence[int], place: int) -> str:
    return f"{path}, line {numbers[place]}"


def _spelling(tag: Tag, spelled: dict[str, str]) -> str:
    return tag.letter if tag.letter == OUTSIDE else f"{tag.letter}-{spelled[tag.type]}"
