"""Texts and their tokens: padding, order, what is cut off, and what changes a batch."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from tests.encoders import POSITIONS, WORDS, encoder, sentences, tokenizer, write

from scaling.core.errors import ModelError, SettingError
from scaling.modalities import texts as module
from scaling.modalities.texts import Texts
from scaling.models import TransformersModel

LONG = " ".join(["film"] * 40)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("bert"))


def tokens(folder, **settings):
    return TransformersModel(name=str(folder), id="small", **settings).processor()


def ids(*words):
    return [WORDS.index(word) for word in ("[CLS]", *words, "[SEP]")]


def test_content_and_keys_are_of_the_letters_alone():
    one, two = Texts(("a", "b", "a")), Texts(("a", "b", "c"))
    assert one.content() != two.content()
    assert one.content() == Texts(("a", "b", "a")).content()
    keys = one.keys()
    assert keys[0] == keys[2] != keys[1]
    assert one.read(np.array([2, 1])) == ["a", "b"]


def test_a_batch_is_padded_to_its_own_longest(folder):
    reader = tokens(folder).reader(Texts(("good film", LONG, "", "a sad meal", "unheard")))
    batch = reader.read(np.array([0, 3]))
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["input_ids"].tolist() == [[*ids("good", "film"), 0], ids("a", "sad", "meal")]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert reader.read(np.array([2]))["input_ids"].tolist() == [ids()]
    assert reader.read(np.array([4]))["input_ids"].tolist() == [ids("[UNK]")]
    assert reader.read(np.array([1, 0]))["input_ids"].shape == (2, POSITIONS)
    assert not reader.slow


def test_what_is_held_is_read_by_place(folder):
    texts = Texts(sentences(20)[0])
    reader, indices = tokens(folder).reader(texts), np.array([3, 9, 12])
    read = reader.held(indices)
    for name, values in read(np.array([2, 0])).items():
        assert values.tolist() == reader.read(indices[[2, 0]])[name].tolist()
    assert sum(row is not None for row in reader.rows) == 3
    assert 0 < reader.kept_bytes < 20 * 8 * POSITIONS + 1


def test_the_longest_come_first_and_ties_as_they_were(folder):
    reader = tokens(folder).reader(Texts(("a", "a a a", "the", "a a", "was was was")))
    assert reader.order(np.arange(5)).tolist() == [1, 4, 3, 0, 2]
    assert reader.order(np.array([2, 3])).tolist() == [3, 2]
    assert reader.order(np.array([], np.int64)).tolist() == []


def test_texts_count_by_their_tokens_and_short_ones_as_one(folder, monkeypatch):
    monkeypatch.setattr(module, "UNIT", 4)
    reader = tokens(folder).reader(Texts(("a", LONG, "a a a a a")))
    assert reader.lengths(np.array([1, 2, 0])).tolist() == [POSITIONS / 4, 7 / 4, 1]


def test_each_text_is_tokenised_once_by_all_readers_of_the_same_texts(folder, monkeypatch):
    texts, seen = Texts(sentences(10)[0]), []
    encoded = module.Tokenised._encoded
    monkeypatch.setattr(module.Tokenised, "_encoded", lambda self, part: seen.extend(part) or encoded(self, part))
    processor = tokens(folder)
    processor.reader(texts).order(np.arange(6))
    threads = [threading.Thread(target=processor.reader(texts).read, args=(np.arange(10),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(texts.texts)
    assert processor.reader(Texts(texts.texts)) is not processor.reader(texts)
    assert tokens(folder, max_length=5).reader(texts) is not processor.reader(texts)


@pytest.mark.parametrize("fast", [True, False])
def test_texts_that_are_cut_off_are_counted(folder, fast, monkeypatch):
    fits = " ".join(["film"] * (POSITIONS - 2))
    processor = tokens(folder)
    monkeypatch.setattr(type(processor.tokenizer()), "is_fast", fast, raising=False)
    reader = processor.reader(Texts((LONG, fits, f"{fits} a", "good", LONG)))
    assert reader.notes() == []
    reader.read(np.arange(4))
    assert reader.notes() == [
        f"2 of 4 texts are longer than the {POSITIONS} tokens that small reads: the rest of them is not seen"
    ]
    assert reader.read(np.array([0]))["input_ids"].tolist() == [ids(*["film"] * (POSITIONS - 2))]


def test_halves_of_surrogate_pairs_are_read_as_unknown_signs(folder):
    reader = tokens(folder).reader(Texts(("good \ud83d film",)))
    assert reader.read(np.array([0]))["input_ids"].tolist() == [ids("good", "[UNK]", "film")]


def test_types_of_tokens_are_handed_to_models_that_take_them(tmp_path):
    encoder(tmp_path)
    tokenizer(tmp_path, model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    batch = tokens(tmp_path).reader(Texts(("a good film", "a"))).read(np.arange(2))
    assert set(batch) == {"input_ids", "token_type_ids", "attention_mask"}
    assert batch["token_type_ids"].tolist() == [[0] * 5] * 2


def test_the_identity_is_of_the_tokenizer_and_the_limit_wherever_it_lies(folder, tmp_path):
    same = tokens(encoder(tmp_path / "same"))
    assert same.identity() == tokens(folder).identity()
    assert tokens(folder, max_length=9).identity() != same.identity()
    write(tmp_path / "same" / "added_tokens.json", {"new": 24})
    assert tokens(tmp_path / "same").identity() != same.identity()
    assert "small" not in str(same.identity())


def test_texts_are_not_augmented(folder):
    processor = tokens(folder)
    processor.check_augment(())
    with pytest.raises(SettingError, match=r"augment=\['crop'\]: there is no augmentation of texts\.\n.*\[\]"):
        processor.check_augment(("crop",))
    batch = processor.reader(Texts(("a",))).read(np.array([0]))
    assert processor.prepare(processor.augmented(batch, (), np.array([0]))) is batch


def test_a_damaged_tokenizer_is_named(folder, tmp_path):
    processor = tokens(encoder(tmp_path / "damaged"))
    (tmp_path / "damaged" / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged: its tokenizer can't be loaded"):
        replace(processor, digest="other").tokenizer()
