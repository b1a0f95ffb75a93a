"""Hashed n-grams: stateless, of one width, and enough for a task of words."""

import numpy as np
import pytest
from tests.encoders import settings

from scaling.core.errors import AdaptationError, SettingError
from scaling.modalities.texts import Texts
from scaling.models import HashedNgrams, build
from scaling.runs.job import Job, evaluate_job

TEXTS = Texts(("a good film", "a bad film", "", "A GOOD film", "a good film a good film"))


def rows(model=HashedNgrams(), texts=TEXTS):  # noqa: B008 frozen
    batch = model.processor().reader(texts).read(np.arange(len(texts)))
    return model.encode(build(model).network, batch).numpy()


def test_rows_are_of_the_width_and_of_unit_length_but_for_empty_texts():
    found = rows()
    assert found.shape == (5, 4096)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0, 1, 1], atol=1e-6)
    assert rows(HashedNgrams(width=64)).shape == (5, 64)


def test_what_is_counted_and_how():
    found = rows()
    np.testing.assert_array_equal(found[0], found[3])  # capitals don't count
    assert found[0] @ found[1] < 0.8
    assert 0.95 < found[0] @ found[4] < 1  # a word that comes twice counts less than twice as much
    one = np.abs(rows(texts=Texts(("of", "of it it")))).round(6)
    assert np.unique(one[0]).tolist() == [0, 0.5]  # the word, " of", "of " and " of "
    rare, often = np.unique(one[1])[1:]
    assert often / rare == pytest.approx(np.log(3) / np.log(2), rel=1e-4)


def test_a_row_follows_from_its_text_alone():
    np.testing.assert_array_equal(rows()[1], rows(texts=Texts(("a bad film",)))[0])


def test_held_texts_order_and_identity():
    reader = HashedNgrams().processor().reader(TEXTS)
    held = reader.held(np.array([1, 3]))
    np.testing.assert_array_equal(held(np.array([1]))["rows"], reader.read(np.array([3]))["rows"])
    assert reader.order(np.array([1, 3])).tolist() == [1, 3]
    assert reader.notes() == []
    assert HashedNgrams().identity() != HashedNgrams(width=64).identity()
    assert HashedNgrams(id="other").identity() == HashedNgrams().identity()


@pytest.mark.parametrize("width", [0, -1, True])
def test_widths_that_are_none(width):
    with pytest.raises(SettingError, match=r"model\.width="):
        HashedNgrams(width=width)


@pytest.mark.parametrize("adaptation", ["knn", "linear_probe"])
def test_a_task_of_words_is_learnt(place, adaptation):
    found = evaluate_job(Job(settings("model=hashed_ngrams", f"adaptation={adaptation}")))
    assert found.score.test_score > 0.6
    assert found.model_size["model/parameters"] == 0


def test_there_is_nothing_to_train_nor_a_head(place):
    for adaptation in ("finetune", "as_is"):
        with pytest.raises(AdaptationError):
            Job(settings("model=hashed_ngrams", f"adaptation={adaptation}")).check()
