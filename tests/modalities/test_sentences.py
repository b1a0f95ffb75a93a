"""Sentences and their words: where each begins among the tokens, and how long sentences are read."""

import numpy as np
import pytest
import torch
from tests.encoders import POSITIONS, WORDS, encoder

from scaling.core.errors import ModelError
from scaling.features.forward import first_sample
from scaling.features.store import FeatureStore
from scaling.modalities.sentences import Sentences, window_starts
from scaling.modalities.texts import FIRST
from scaling.models import HashedNgrams, TransformersModel, build
from scaling.models.size import flops

SENTENCES = Sentences.of([["good!bad", "film"], ["a"], ["the", "meal", "was", "great"]])
LONG = Sentences.of([[WORDS[4 + number % 20] for number in range(61)], ["a", "film"]])


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("bert"))


def model(folder, **settings):
    return TransformersModel(name=str(folder), id="small", **settings)


def read(folder, samples, *indices, **settings):
    return model(folder, **settings).processor().reader(samples).read(np.array(indices))


def begun(batch):
    """The tokens that words begin with, in order."""
    rows, words = (batch[FIRST] >= 0).nonzero(as_tuple=True)
    return [WORDS[token] for token in batch["input_ids"][rows, batch[FIRST][rows, words]].tolist()]


def features(source, samples, *indices):
    with torch.no_grad():
        return source.encode(build(source).network, source.processor().reader(samples).read(np.array(indices)))


def test_sentences_are_known_by_their_words():
    assert SENTENCES.words(0) == ["good!bad", "film"]
    assert SENTENCES.parts(np.array([2, 1])) == ["the", "meal", "was", "great", "a"]
    assert Sentences.of([["a b"]]).content() != Sentences.of([["a", "b"]]).content()
    assert SENTENCES.described() == "7 words, median 2, longest 4 a sentence"
    assert Sentences.of([["a\nb", "c"]]).words(0) == ["a b", "c"]


def test_a_word_is_the_token_that_it_begins_with(folder):
    batch = read(folder, SENTENCES, 2, 0, 1)
    assert batch["input_ids"].shape == (3, 6)
    assert batch[FIRST].tolist() == [[1, 2, 3, 4], [1, 4, -1, -1], [1, -1, -1, -1]]
    assert begun(batch) == ["the", "meal", "was", "great", "good", "film", "a"]


def test_long_sentences_are_read_in_windows_and_no_word_is_left_out(folder):
    batch = read(folder, LONG, 0, 1)
    assert begun(batch) == [*LONG.words(0), "a", "film"]
    assert batch["input_ids"].shape == (6, POSITIONS)
    counts = (batch[FIRST] >= 0).sum(1).tolist()
    assert counts[1:3] == [11, 11]  # half of the 22 that a window has room for
    middle = batch[FIRST][1][:11]
    assert (middle.min(), middle.max()) == (7, 17)  # of 1 to 22: the next window shares those from 12 on
    (note,) = model(folder).processor().reader(LONG).notes()
    assert note == (
        f"1 of 2 sentences are longer than the {POSITIONS} tokens that small reads: they are read in windows that"
        " overlap by half"
    )
    assert begun(read(folder, LONG, 0, max_length=3)) == LONG.words(0)


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 12, 13, 50])
def test_windows_cover_all(tokens):
    starts = window_starts(tokens, 8)
    assert {place for start in starts for place in range(start, min(start + 8, tokens))} == set(range(tokens))
    assert starts[-1] + 8 == max(tokens, 8)
    assert (np.diff(starts) <= 4).all()


def test_a_tokenizer_without_offsets_reads_the_same(folder, monkeypatch):
    processor = model(folder).processor()
    fast = processor.reader(SENTENCES).read(np.arange(3))
    monkeypatch.setattr(type(processor.tokenizer()), "is_fast", False)
    slow = SENTENCES.tokenised(processor).read(np.arange(3))
    for name, values in fast.items():
        assert values.tolist() == slow[name].tolist()


def test_a_word_of_which_nothing_is_left_is_read_from_its_neighbour(folder):
    lost = Sentences.of([["a", " ", "film"], [" "], ["film", " "]])
    batch = read(folder, lost, 0, 1, 2)
    assert begun(batch) == ["a", "film", "film", "[UNK]", "film", "film"]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("BertModel", {}),
        ("BertForTokenClassification", {"num_labels": 3}),
        ("BertForSequenceClassification", {"num_labels": 3}),
        ("DistilBertForTokenClassification", {"num_labels": 3}),
    ],
)
def test_features_of_words_are_the_last_layers(tmp_path, kind, told):
    import transformers

    source = model(encoder(tmp_path / "network", kind, **told))
    found = features(source, SENTENCES, 0, 1, 2)
    assert found.shape == (7, 16)
    whole = transformers.AutoModel.from_pretrained(tmp_path / "network").eval()
    batch = source.processor().reader(SENTENCES).read(np.array([2]))
    first = batch.pop(FIRST)
    with torch.no_grad():
        expected = whole(**batch).last_hidden_state[0, first[0]]
    torch.testing.assert_close(found[3:], expected, atol=1e-5, rtol=1e-5)
    backbone = build(source)
    assert (backbone.head is None) == (kind == "BertModel")
    counted = flops(source, backbone.network, first_sample(source, SENTENCES))
    assert counted is not None
    assert counted > 0


def test_a_head_over_words_is_one_over_the_mean_for_whole_texts(tmp_path):
    source = model(encoder(tmp_path / "tagger", "BertForTokenClassification", num_labels=3))
    plain = model(encoder(tmp_path / "plain", "BertModel"), pooling="mean")
    texts = type(SENTENCES).__mro__[1](("a good film", "bad"))
    assert features(source, texts, 0, 1).shape == features(plain, texts, 0, 1).shape == (2, 16)


def test_hashed_ngrams_are_a_row_a_word():
    found = features(HashedNgrams(), SENTENCES, 1, 2)
    assert found.shape == (5, 4096)
    np.testing.assert_array_equal(found[1], features(HashedNgrams(), Sentences.of([["the"]]), 0)[0])


def test_a_network_that_puts_out_other_rows_is_refused(tmp_path):
    from scaling.features.batches import Batches, BatchSizer
    from scaling.features.forward import StoreWriter
    from scaling.features.layout import Layout

    entry = FeatureStore(tmp_path / "store").create({"of": "words"}, 7, 2, {})
    batches = Batches(lambda indices: {}, np.arange(3), BatchSizer([3]), 0)
    writer = StoreWriter(entry, batches, lambda count: None, Layout(np.array([2, 1, 4])))
    with pytest.raises(ModelError, match="puts out 3 rows of features for 3 samples, expected 7"):
        writer.on_predict_batch_end(None, None, (torch.arange(3), torch.zeros(3, 2)), None)
