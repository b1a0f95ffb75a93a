"""Tweets: repeats, contradictions, and a split that depends on a text alone."""

import numpy as np
import pytest

from scaling.core.errors import DataError
from scaling.datasets import Tweets, tweets

LABELS = ("negative", "neutral", "positive")


def rows(count=120):
    made = [(LABELS[number % 3], f"tweet no {number}, caf\xe9\rand more") for number in range(count)]
    return [*made, *made[:2], ("negative", "both"), ("positive", "both")]


def write(tmp_path, monkeypatch, written):
    folder = tmp_path / "tweets"
    folder.mkdir(exist_ok=True)
    lines = ["sentiment,confidence,text", *(f'{label},1,"{text}"' for label, text in written)]
    (folder / tweets.FILE).write_bytes("\n".join(lines).encode("latin-1"))
    counts = {label: sum(found == label for found, _ in written) for label in LABELS}
    monkeypatch.setattr(tweets, "COUNTS", counts)
    return Tweets(str(tmp_path), download=False)


def test_repeats_and_contradictions_are_left_out(tmp_path, monkeypatch):
    loaded = write(tmp_path, monkeypatch, rows()).load()
    assert (len(loaded.train) + len(loaded.test), loaded.class_names) == (120, LABELS)
    assert loaded.notes == ("tweets: 3 repeats of a text are left out, and 1 texts that have several labels",)
    texts = {*loaded.train.samples.texts, *loaded.test.samples.texts}
    assert "tweet no 0, caf\xe9\rand more" in texts
    assert "both" not in texts


def test_the_split_is_a_texts_own(tmp_path, monkeypatch):
    before = write(tmp_path, monkeypatch, rows()).load()
    after = write(tmp_path, monkeypatch, rows(240)[::-1]).load()
    for part in ("train", "test"):
        assert set(before.split(part).samples.texts) < set(after.split(part).samples.texts)


def test_a_fifth_is_the_test_part():
    parts = np.array([tweets.part_of(f"text {number}") for number in range(5000)])
    assert np.mean(parts == "test") == pytest.approx(0.2, abs=0.02)
    lie = {text: tweets.part_of(text) for text in "abcdefghij"}
    assert [text for text, part in lie.items() if part == "test"] == ["a", "c", "i", "j"]  # for good


def test_another_file_is_told_by_its_counts(tmp_path, monkeypatch):
    source = write(tmp_path, monkeypatch, rows())
    monkeypatch.setattr(tweets, "COUNTS", {"negative": 16_186, "neutral": 15_018, "positive": 6_954})
    with pytest.raises(
        DataError, match=r"124 tweets.*\nexpected 16186 negative, 15018 neutral, 6954 positive"
    ) as error:
        source.load()
    assert len(str(error.value).splitlines()) <= 3


def test_downloads_can_be_forbidden(tmp_path):
    with pytest.raises(
        DataError, match=r"dataset\.download=false.\nWhere there is a network: python -m scaling.data tweets"
    ):
        Tweets(str(tmp_path), download=False).load()
