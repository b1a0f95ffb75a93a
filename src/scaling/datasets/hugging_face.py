"""Texts through Hugging Face's library `datasets`: from its hub, or from a folder on this machine. No code is run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from scaling.core.errors import DataError
from scaling.datasets.base import Dataset
from scaling.datasets.conll import tagged_dataset
from scaling.datasets.labelled_texts import Row, text_dataset
from scaling.datasets.parting import GROUP, Parting
from scaling.datasets.rows import lacks
from scaling.datasets.tags import Tagged, parsed

TEXT_COLUMNS = ("text", "sentence", "content")
LABEL_COLUMNS = ("label", "labels")
#: The same of sentences with a tag a word.
WORD_COLUMNS, TAG_COLUMNS = ("tokens", "words"), ("ner_tags", "tags", "labels")
#: Where test texts are looked for; test sets of benchmarks often come without labels.
TEST_SPLITS = ("test", "validation", "valid", "val", "dev")
#: The task kind of sentences.
SENTENCES = "token_classification"
#: From here on the library runs no code that lies beside the data.
OLDEST = 4
#: How it writes that a label is not given away.
WITHHELD = (None, -1)


@dataclass(frozen=True)
class HuggingFace(Parting):
    """A data set of the hub, a folder that `save_to_disk` wrote, or a folder of data files.

    Attributes:
        config: which of several data sets that lie under one name.
        revision: branch, tag or commit on the hub.
        text_column, label_column: None takes the first of `TEXT_COLUMNS` and `LABEL_COLUMNS` that is there, or of
            `WORD_COLUMNS` and `TAG_COLUMNS`.
        test_split: None takes the first of `TEST_SPLITS` that has labels.
        group_column: names the samples that belong together, where it is there.
        name: the name shown to people; None takes the last part of the path, and the config.
        label_space: what the labels mean, where a model's own head should be evaluated on them.
        task: "multilabel" takes a list of labels, or what stands between |, for labels, and nothing for none at all;
            "token_classification" lists of words and of tags.
    """

    path: str | None
    config: str | None = None
    revision: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    train_split: str = "train"
    test_split: str | None = None
    group_column: str = GROUP
    name: str | None = None
    label_space: str | None = None
    task: Literal["classification", "multilabel", "token_classification"] = "classification"

    def load(self) -> Dataset:
        """Load the splits, and take texts and labels out of them.

        Raises:
            DataError: the library is missing or can't load it, or a split, column, value or class is missing.
        """
        if not self.path:
            raise DataError("This data set needs dataset.path=NAME_OR_FOLDER.")
        splits = self._loaded()
        if self.train_split not in splits:
            raise DataError(
                f"{self.path} has no split {self.train_split}: it has {', '.join(splits)}.\n"
                "Name the one to train on: dataset.train_split=NAME"
            )
        features = splits[self.train_split].features
        usual = (WORD_COLUMNS, TAG_COLUMNS) if self.task == SENTENCES else (TEXT_COLUMNS, LABEL_COLUMNS)
        text = self._column(features, "text", self.text_column, usual[0])
        label = self._column(features, "label", self.label_column, usual[1])
        test, note = ("", "") if self.test is not None else self._test(splits, label)
        parts = {"train": self.train_split, **({"test": test} if test else {})}
        group = self.group_column if self.group_column in features and self.task != SENTENCES else None
        # Those of a ClassLabel, or of a list of them; values are numbers.
        names = getattr(getattr(features[label], "feature", features[label]), "names", None)
        named = dict(enumerate(names or ()))
        others = [column for column in features if column not in (text, label, group)]
        unused = [split for split in splits if split not in parts.values()]
        notes = [
            *([note] if note else []),
            *([f"{self.path}: not used: the columns {', '.join(map(repr, others))}"] if others else []),
            *([f"{self.path}: not used: the splits {', '.join(unused)}"] if unused else []),
        ]
        name = self.name or "_".join(filter(None, (Path(self.path).name, self.config)))
        if self.task == SENTENCES:
            if self.test is not None:
                raise DataError("dataset.test holds no part out of sentences: give a split with tags of its own.")
            tagged = {
                part: list(_tagged(f"{self.path}, {split}", _pairs(splits[split], text, label), named))
                for part, split in parts.items()
            }
            return tagged_dataset(name, self.path, tagged, label_space=self.label_space, notes=notes)
        rows = [
            Row(f"{self.path}, {split} row {number}", written, _named(code, named), part, *of)
            for part, split in parts.items()
            for number, (written, code, *of) in enumerate(_pairs(splits[split], text, label, *filter(None, [group])))
        ]
        return text_dataset(
            name, self.path, rows, self.label_space, names, notes, self.task, parting=self, in_groups=group is not None
        )

    def _loaded(self) -> Mapping[str, Any]:
        """Return the splits by name."""
        if find_spec("datasets") is None:
            raise DataError(
                "hugging_face needs the Python package datasets.\nInstall it: pip install 'scaling-curves[hub]'"
            )
        import datasets

        if int(datasets.__version__.split(".")[0]) < OLDEST:
            raise DataError(
                f"hugging_face needs datasets {OLDEST} or newer, got {datasets.__version__}: earlier ones run code that"
                " lies beside data.\nInstall it: pip install 'scaling-curves[hub]'"
            )
        path = str(self.path)
        folder = Path(path).expanduser()
        saved = any((folder / file).is_file() for file in ("dataset_dict.json", "state.json"))
        shown = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()
        try:
            found = (
                datasets.load_from_disk(str(folder))
                if saved
                else datasets.load_dataset(
                    str(folder) if folder.is_dir() else path, self.config, revision=self.revision
                )
            )
        except Exception as error:  # the library hands on whatever its readers raise
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise DataError(
                f"dataset.path={path} can't be loaded: {said}\n"
                "Expected the name of a data set on the hub, or a folder that save_to_disk wrote."
            ) from error
        finally:
            if shown:
                datasets.enable_progress_bars()
        if not isinstance(found, dict):
            raise DataError(f"{path} has no splits.\nSave a DatasetDict with the splits train and test.")
        return found

    def _column(self, features: Mapping[str, Any], what: str, asked: str | None, usual: Sequence[str]) -> str:
        """Return the column that a setting names, or the first usual one."""
        found = next((name for name in ([asked] if asked else usual) if name in features), None)
        if found is None:
            remedy = f"a column {asked or ' or '.join(usual)}; name another with dataset.{what}_column=NAME"
            raise lacks(Path(str(self.path)), [asked or usual[0]], list(features), remedy)
        return found

    def _test(self, splits: Mapping[str, Any], label: str) -> tuple[str, str]:
        """Return the split that is the test part, and what to say of it."""
        if self.test_split is not None and self.test_split not in splits:
            raise DataError(f"{self.path} has no split {self.test_split}: it has {', '.join(splits)}.")
        there = [name for name in ([self.test_split] if self.test_split else TEST_SPLITS) if name in splits]
        blind = [name for name in there if all(code in WITHHELD for _, code in _pairs(splits[name], label, label))]
        found = next((name for name in there if name not in blind), None)
        if found is None:
            said = f"its split {blind[0]} has no labels" if blind else f"it has {', '.join(splits)}"
            raise DataError(
                f"{self.path} has no test part: {said}.\n"
                "Name a split with labels (dataset.test_split=NAME), or hold a fifth of train out: dataset.test=0.2"
            )
        if found == (self.test_split or "test"):
            return found, ""
        why = f"{blind[0]} has no labels" if blind else "there is no test"
        return found, f"{self.path}: the split {found} is the test part: {why}"


def _named(code: Any, names: Mapping[int, str]) -> Any:
    """Return the name of a number, or those of a list of numbers, where they have names; None where one has none."""
    if isinstance(code, list):
        return [_named(each, names) for each in code]
    return names.get(code) if names else code


def _pairs(split: Any, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield the values of columns, row by row; other columns, such as pictures, are not decoded."""
    found = split.select_columns(list(dict.fromkeys(columns)))[:]
    return zip(*(found[column] for column in columns), strict=True)


def _tagged(where: str, rows: Iterator[tuple[Any, ...]], named: Mapping[Any, str]) -> Iterator[Tagged]:
    """Yield sentences; those without words are left out.

    Args:
        named: the tags that numbers stand for, where they do.
    """
    for number, (words, codes) in enumerate(rows):
        place = partial("{}, word {}".format, f"{where} row {number}")
        if not isinstance(words, list) or not isinstance(codes, list) or len(words) != len(codes):
            raise DataError(
                f"{where} row {number}: expected a list of words and one of as many tags, got {str(words)[:40]!r} and"
                f" {str(codes)[:40]!r}.\nName the columns: dataset.text_column=NAME dataset.label_column=NAME"
            )
        tags = [parsed(str(named.get(code, code)), place(word)) for word, code in enumerate(codes)]
        if words:
            yield Tagged([str(word) for word in words], tags, place)
