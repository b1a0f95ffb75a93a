"""Downloads that go through libraries, which verify checksums; what fails leaves nothing behind."""

import contextlib
import io
import os
import warnings
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from zipfile import BadZipFile

from scaling.core.errors import DataError, reason_of


def fetch_with_torchvision(dataset: str, data_dir: str, remedy: str) -> None:
    """Let a torchvision data set class download into `data_dir`.

    Raises:
        DataError: the download failed; `remedy` says what else supplies the data.
    """
    from torchvision import datasets

    attempt(lambda: getattr(datasets, dataset)(data_dir, download=True), dataset, data_dir, remedy)


def fetch_archive(url: str, md5: str, data_dir: str, remedy: str) -> None:
    """Download an archive, verify its MD5 and unpack it into `data_dir`.

    Raises:
        DataError: the download failed; `remedy` says what else supplies the data.
    """
    from torchvision.datasets.utils import download_and_extract_archive

    name = url.rsplit("/", 1)[-1]
    attempt(lambda: download_and_extract_archive(url, data_dir, md5=md5), name, data_dir, remedy)


def attempt(download: Callable[[], object], what: str, data_dir: str, remedy: str) -> None:
    """Call a function that downloads into `data_dir`; new folders that stay empty are removed.

    Raises:
        DataError: it failed.
    """
    folder = Path(data_dir)
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        raise DataError(f"{what} can't be downloaded: {existing} is not writable.\n{remedy}")
    before = {path for path in (folder, *folder.rglob("*")) if path.is_dir()}
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):  # on each try
            download()
    except (OSError, RuntimeError, EOFError, HTTPException, BadZipFile, KeyError) as error:
        for path in sorted((folder, *folder.rglob("*")), reverse=True):  # inner ones first
            if path.is_dir() and path not in before and not any(path.iterdir()):
                path.rmdir()
        raise DataError(
            f"{what} is not in {data_dir} and its download failed ({reason_of(error)}).\n{remedy}"
        ) from error
