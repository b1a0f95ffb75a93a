"""Spoken languages: fetched from Debian's package, split by content, and counted."""

import os
import subprocess
from pathlib import Path
from shutil import which

import numpy as np
import pytest

from scaling.core.errors import DataError
from scaling.datasets import SpokenLanguage, spoken_language

soundfile = pytest.importorskip("soundfile")
FOLDER = Path("usr/share/klettres")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two languages with 30 clips each, and an apt-get that downloads it."""
    if which("dpkg-deb") is None:
        pytest.skip("there is no dpkg-deb")
    inside, rng = tmp_path / "inside", np.random.default_rng(0)
    for language in ("cs", "nl"):
        (inside / FOLDER / language / "alpha").mkdir(parents=True)
        for place in range(30):
            wave = 0.1 * rng.standard_normal(800)
            soundfile.write(inside / FOLDER / language / "alpha" / f"{place}.ogg", wave, 8000)
    (inside / "DEBIAN").mkdir()
    about = ("Package: klettres-data", "Version: 1", "Architecture: all", "Maintainer: a <a@b.org>", "Description: -")
    (inside / "DEBIAN" / "control").write_text("\n".join([*about, ""]))
    subprocess.run(["dpkg-deb", "-b", inside, tmp_path / "klettres-data.deb"], check=True, capture_output=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(f'#!/bin/sh\n[ "$1 $2" = "download klettres-data" ] && cp {tmp_path}/*.deb .\n')
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(spoken_language, "COUNTS", (2, 60))
    monkeypatch.setattr(spoken_language, "INSTALLED", tmp_path / "nowhere")
    return tools / "apt-get"


def test_the_package_is_fetched_once_and_split_by_content(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = SpokenLanguage("data").load()
    assert first.class_names == ("cs", "nl")
    assert len(first.train) + len(first.test) == 60
    assert 3 < len(first.test) < 25
    assert [path.name for path in Path("data").iterdir()] == ["spoken_language"]
    package.unlink()
    again = SpokenLanguage("data").load()
    assert (again.train.content, again.test.content) == (first.train.content, first.test.content)


def test_what_is_damaged_or_not_fetched_says_what_to_do(package, tmp_path):
    SpokenLanguage(str(tmp_path / "data")).load()
    next((tmp_path / "data").rglob("*.ogg")).unlink()
    with pytest.raises(DataError, match="59 clips in 2 languages, expected 60 in 2"):
        SpokenLanguage(str(tmp_path / "data")).load()
    with pytest.raises(DataError, match=r"download=false\.\nInstall Debian's package klettres-data"):
        SpokenLanguage(str(tmp_path / "other"), download=False).load()
    package.write_text("#!/bin/sh\necho no such package >&2; exit 100\n")
    with pytest.raises(DataError, match="apt-get: no such package"):
        SpokenLanguage(str(tmp_path / "other")).load()
    assert not (tmp_path / "other").exists()
