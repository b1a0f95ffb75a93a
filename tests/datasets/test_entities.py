"""Entities in tweets: the split is a sentence's own, and another file is told by its counts."""

import pytest

from scaling.core.errors import DataError
from scaling.datasets import Entities, entities

TEXT = "\n\n".join(f"no\tO\nword{number}\tB-thing\nat\tO" for number in range(60)) + "\n"


def write(tmp_path, monkeypatch, text, counts):
    (tmp_path / "entities").mkdir(exist_ok=True)
    (tmp_path / "entities" / entities.FILE).write_text(text, encoding="utf-8")
    monkeypatch.setattr(entities, "COUNTS", counts)
    return Entities(str(tmp_path), download=False)


def test_the_split_depends_on_a_sentence_alone(tmp_path, monkeypatch):
    before = write(tmp_path, monkeypatch, TEXT, (60, 180)).load()
    turned = "\n\n".join(TEXT.strip().split("\n\n")[40::-1])
    after = write(tmp_path, monkeypatch, turned, (41, 123)).load()
    assert before.class_names == ("O", "B-thing", "I-thing")
    assert 0 < len(before.test) < 20
    for part in ("train", "test"):
        assert set(after.split(part).samples.texts) < set(before.split(part).samples.texts)


def test_another_file_and_a_missing_one_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="holds 60 sentences of 180 words, expected 2394 of 46469"):
        write(tmp_path, monkeypatch, TEXT, (2394, 46469)).load()
    with pytest.raises(DataError, match=r"dataset\.download=false.\nWhere there is a network: python -m scaling.data"):
        Entities(str(tmp_path / "nowhere"), download=False).load()
