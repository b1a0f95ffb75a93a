"""The audit of a data set on the command line: what is found in a made-up one, short, and kept by content."""

import sys

import numpy as np
import pytest

from scaling import audit as audits
from scaling.audit import audit, known_near, near_across
from scaling.core.audit import NEAR
from scaling.core.errors import SettingError
from scaling.data import _own, main
from scaling.datasets import Digits, Embeddings, load


def saved(folder, train, labels, test, test_labels):
    path = folder / "toy.npz"
    np.savez(path, train_features=train, train_labels=labels, test_features=test, test_labels=test_labels)
    return path


@pytest.fixture
def toy(tmp_path):
    """100 + 20 vectors; copies across and within, a near one, a contradiction, a dead column, a rare class."""
    rng = np.random.default_rng(0)
    train, test = (rng.normal(size=(k, 32)).astype(np.float32) for k in (100, 20))
    train[:, 3] = test[:, 3] = 1.0
    labels, test_labels = np.arange(100) // 49, np.arange(20) % 3
    train[10], train[60] = train[11], train[11]  # rows of the classes 0, 0 and 1
    test[4], test[5] = train[50], train[70] + 0.001
    test_labels[4] = labels[50]
    return saved(tmp_path, train, labels, test, test_labels)


def found(path, folder, n=50, near=NEAR):
    return {check.name: check for check in audit(load(Embeddings(str(path))), n, folder, near)}


def test_everything_that_is_wrong_is_found(toy, tmp_path):
    checks = found(toy, tmp_path / "features")
    assert checks["copies across the parts"].text == "1 of 20 test samples are training samples too"
    assert checks["copies within train"].text == "2 of 100 samples repeat an earlier one"
    assert checks["one sample, two labels"].text == "3 of 120 have a copy under another label"
    assert checks["rare classes"].text == "n=50 holds fewer than two samples of 2"
    assert checks["order of labels"].text.startswith("labels of train stand in order")
    assert checks["features"].text.endswith("1 of 32 never change")
    near = checks["near duplicates across"]
    assert near.text == "1 of 20 test samples, cosine from 0.98 on"
    assert near.examples == ("1.000  test 5  train 70",)
    assert all(check.state == "look" for name, check in checks.items() if name != "near duplicates in train")
    assert checks["near duplicates in train"].state == "fine"


def test_nothing_is_found_in_good_data(tmp_path):
    rng = np.random.default_rng(1)
    path = saved(
        tmp_path, rng.normal(size=(90, 8)), rng.permutation(90) % 3, rng.normal(size=(30, 8)), np.arange(30) % 3
    )
    assert {check.state for check in found(path, tmp_path / "features").values()} == {"fine"}


def test_an_answer_is_kept_by_content(toy, tmp_path, monkeypatch):
    first = found(toy, tmp_path / "features")
    monkeypatch.setattr(audits, "near_pairs", None)
    assert found(toy, tmp_path / "features") == first
    with pytest.raises(TypeError):
        found(toy, tmp_path / "features", near=0.5)


def test_the_command_prints_it(toy, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["data", "embeddings", f"dataset.path={toy}", "audit=true", "n=50", "near=0.9"])
    main()
    shown = capsys.readouterr().out
    assert "LOOK  near duplicates across: 1 of 20 test samples, cosine from 0.9 on" in shown


def test_without_stored_features_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["data", "digits", "audit=true"])
    main()
    assert "-     near duplicates: no features of it are stored yet; a first run stores them" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["audit=perhaps"], ["near=2"], ["near=close"]])
def test_a_word_that_is_none_is_refused(words):
    with pytest.raises(SettingError, match="expected"):
        _own(words)


def test_a_sweep_says_and_keeps_the_closest_pair(command, capsys, toy):
    said = "near duplicates across the parts: 1 of 20 test samples, cosine from 0.98 on; the closest:"
    said += " 1.000 test 5 train 70"
    run = ("scaling.run", "dataset=embeddings", f"dataset.path={toy}", "adaptation=knn", "n=50")
    assert command(*run, "plan=true") == 0
    assert "near duplicates" not in capsys.readouterr().out
    assert command(*run) == 0
    assert f"note: toy: {said}" in capsys.readouterr().out.replace("\n", " ")
    assert command(*run) == 0  # nothing is to be run
    assert "near duplicates" not in capsys.readouterr().out
    assert command("scaling.report") == 0
    assert f"data: toy: {said}" in " ".join(capsys.readouterr().out.split())


def test_without_features_the_short_form_writes_nothing(tmp_path):
    assert near_across(load(Digits()), tmp_path / "features") == ""
    assert not (tmp_path / "features").exists()


def test_the_short_form_is_found_again_where_features_are_new(toy, tmp_path, monkeypatch):
    data, looked = load(Embeddings(str(toy))), []
    monkeypatch.setattr(audits, "_features", lambda *given: looked.append(given) or iter(()))
    assert near_across(data, tmp_path) == near_across(data, tmp_path) == known_near(data, tmp_path) == ""
    assert len(looked) == 1
    monkeypatch.setattr(audits, "_present", lambda entries: {"train": ["other", 5]})
    near_across(data, tmp_path)
    assert len(looked) == 2
