"""Each extra of the package is known, and what it opens can be imported where it is installed."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from tests.extras import OPENS

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: found for name, found in PROJECT["optional-dependencies"].items() if name not in ("dev", "docs")}


def test_what_every_extra_opens_is_listed():
    assert OPENS.keys() == EXTRAS.keys()


def installed(extra):
    try:
        return all(distribution(Requirement(requirement).name) for requirement in EXTRAS[extra])
    except PackageNotFoundError:
        return False


def test_what_the_installed_extras_open_can_be_imported():
    here = [extra for extra in OPENS if installed(extra)]
    done = subprocess.run([sys.executable, "tests/extras.py", *here], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(here)
