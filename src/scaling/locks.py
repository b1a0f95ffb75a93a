"""Locks between processes, and what to say of places that have none."""

import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from scaling.core.errors import StoreError

#: What to do about a folder of the store or of features.
REMEDY = (
    "Set tracking.uri=sqlite:///PATH/mlflow.db and features.dir=PATH to a local disk; or tracking.uri=http://… to an"
    " MLflow server."
)


def file_lock(path: Path, remedy: str = REMEDY, **settings: Any) -> FileLock:
    """Return the lock that is a file of that path.

    Raises:
        StoreError: there are no locks in its folder.
    """
    if message := lockless(path.parent, remedy):
        raise StoreError(message)
    return FileLock(path, **settings)


def lockless(folder: Path, remedy: str = REMEDY) -> str:
    """Say that files in a folder can't be locked; nothing where they can be, or where none can be made.

    Locks are tried, as libraries tell their absence in many ways: "database is locked", "disk I/O error", ENOLCK.
    """
    if sys.platform == "win32":
        return ""
    import fcntl

    with suppress(OSError), tempfile.NamedTemporaryFile(prefix=".locks-", dir=folder) as probe:
        try:
            for lock in (fcntl.flock, fcntl.lockf):  # whole files, as ours; ranges, as SQLite's
                lock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock(probe, fcntl.LOCK_UN)
        except OSError as error:
            return (
                f"Files in {folder} can't be locked ({error.strerror}), as on some network drives (NFS, SMB).\n{remedy}"
            )
    return ""
