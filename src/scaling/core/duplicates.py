"""Exact copies in a data set: test samples that training has seen, and samples under several labels."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Duplicates:
    """How many samples are exact copies where that matters.

    Attributes:
        samples, tested: numbers of all samples and of test samples.
        copied: test samples that are copies of training samples.
        contradicted: samples that have a copy under another label.
        example: positions of the first copied test sample and of its original in training; None where there is none.
    """

    samples: int
    tested: int
    copied: int
    contradicted: int
    example: tuple[int, int] | None

    @property
    def leakage(self) -> str:
        """What there is to say of copied test samples; empty where there are none."""
        share = f"{self.copied} of {self.tested} ({self.copied / self.tested:.2%})"
        return f"exact copies of training samples among the test samples: {share}" if self.copied else ""

    @property
    def contradictions(self) -> str:
        """What there is to say of samples under several labels; empty where there are none."""
        share = f"{self.contradicted} of {self.samples}"
        return f"samples with an exact copy under another label: {share}" if self.contradicted else ""


def find(
    train: NDArray[np.int64], train_labels: NDArray[np.int64], test: NDArray[np.int64], test_labels: NDArray[np.int64]
) -> Duplicates:
    """Find copies.

    Args:
        train, test: keys of the samples, equal where the samples are; shapes (n,) and (m,).
        train_labels, test_labels: their labels.
    """
    labels = np.concatenate([train_labels, test_labels])
    _, first, content = np.unique(np.concatenate([train, test]), return_index=True, return_inverse=True)
    copied = np.flatnonzero(first[content[len(train) :]] < len(train))  # training stands first
    lowest, highest = np.full(len(first), labels.max()), np.full(len(first), labels.min())
    np.minimum.at(lowest, content, labels)
    np.maximum.at(highest, content, labels)
    return Duplicates(
        samples=len(labels),
        tested=len(test),
        copied=len(copied),
        contradicted=int((lowest < highest)[content].sum()),
        example=(int(copied[0]), int(first[content[len(train) + copied[0]]])) if len(copied) else None,
    )


def keys(samples: Iterable[NDArray[np.generic] | bytes], count: int) -> NDArray[np.int64]:
    """Return 64 bits of each sample's content: equal for equal samples, today and tomorrow, on any machine."""
    found = (blake2b(sample if isinstance(sample, bytes) else sample.tobytes(), digest_size=8) for sample in samples)
    return np.frombuffer(b"".join(each.digest() for each in found), "<i8", count).astype(np.int64)
