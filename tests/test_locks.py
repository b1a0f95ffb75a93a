"""Places without locks, injected for real: system calls that fail below one folder, as on NFS without lockd."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling import locks
from scaling.core.errors import StoreError
from scaling.features.store import FeatureStore
from scaling.tracking import RunStore

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EIO, errno.EPERM, errno.EACCES, errno.EINVAL)
#: Lets flock() and fcntl() fail for files below LOCKLESS with LOCKLESS_ERRNO.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int lockless(int fd) {
    char link[64], path[4096], *root = getenv("LOCKLESS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!root || length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, root, strlen(root))) return 0;
    errno = atoi(getenv("LOCKLESS_ERRNO"));
    return 1;
}
int flock(int fd, int operation) {
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return lockless(fd) ? -1 : real(fd, operation);
}
#define CONTROL(NAME) int NAME(int fd, int command, ...) { \
    va_list list; va_start(list, command); void *argument = va_arg(list, void *); va_end(list); \
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, #NAME); \
    if ((command == F_SETLK || command == F_SETLKW || command == F_GETLK) && lockless(fd)) return -1; \
    return real(fd, command, argument); }
CONTROL(fcntl)
CONTROL(fcntl64)
"""
STORE = "from scaling.tracking import RunStore; RunStore('sqlite:///mlruns/mlflow.db').experiment_id"
#: SQLite alone, as where flock is given by the kernel and ranges are not.
RANGES = """
from scaling.tracking import RunStore
store = RunStore('sqlite:///mlruns/mlflow.db')
type(store)._lock = __import__('contextlib').nullcontext()
type(store).locked = lambda self: self._lock
store.experiment_id
"""
FEATURES = """
from pathlib import Path
from scaling.features.store import FeatureStore
with FeatureStore(Path('.features')).create({'a': 1}, 2, 3, {}).computing():
    raise SystemExit('computed without a lock')
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> Path:
    if not sys.platform.startswith("linux") or (compiler := shutil.which("cc")) is None:
        pytest.skip("needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM, encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], cwd=folder, check=True)
    return folder / "shim.so"


@pytest.mark.parametrize("code", NO_LOCKS[:3], ids=errno.errorcode.get)
@pytest.mark.parametrize("program", [STORE, RANGES, FEATURES], ids=["store", "sqlite", "features"])
def test_a_place_without_locks_is_named_with_what_to_set(shim, tmp_path, program, code):
    environment = {"LD_PRELOAD": str(shim), "LOCKLESS": str(tmp_path), "LOCKLESS_ERRNO": str(code)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    message = done.stderr[done.stderr.index("StoreError: ") :]
    assert f"can't be locked ({os.strerror(code)})" in message
    assert all(words in message for words in ("tracking.uri=sqlite:///PATH", "features.dir=PATH", "http://"))
    assert not any(words in message for words in ("another program", "space", "permission"))


@pytest.fixture(params=NO_LOCKS, ids=errno.errorcode.get)
def lockless(request, monkeypatch) -> str:
    def fail(*arguments):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", fail)
    return os.strerror(request.param)


def refusal(action) -> str:
    with pytest.raises(StoreError) as caught:
        action()
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_store_and_features_say_the_same(lockless, tmp_path):
    entry = FeatureStore(tmp_path / "features").create({"a": 1}, 2, 3, {})
    told = [
        refusal(lambda: RunStore(f"sqlite:///{tmp_path}/mlflow.db").experiment_id),
        refusal(lambda: entry.computing().__enter__()),
        refusal(lambda: FeatureStore(tmp_path / "features").prune(0)),
    ]
    assert all(text.startswith("Files in ") and text.endswith(locks.REMEDY) and lockless in text for text in told)


def test_what_is_stored_is_read_without_a_lock(lockless, tmp_path):
    entry = FeatureStore(tmp_path / "features").create({"a": 1}, 2, 3, {})
    entry.write(np.arange(2), np.ones((2, 3), np.float32))
    assert entry.read(np.arange(2))[1].all()


def test_a_temporary_folder_without_locks_says_what_to_set(lockless, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert "TMPDIR=" in refusal(lambda: RunStore("http://127.0.0.1:1").experiment_id)


def test_a_place_with_locks_or_one_that_cannot_be_written_to_has_nothing_to_say(tmp_path):
    assert locks.lockless(tmp_path) == ""
    assert locks.lockless(tmp_path / "absent") == ""
    assert list(tmp_path.iterdir()) == []
