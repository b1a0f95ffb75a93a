"""The installed wheel works in another directory, with the configs inside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import DIGITS

from scaling import __version__

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the wheel's content, which comes before the checkout on the path.

    The wheel is made of the source archive, as `make wheel` does, and nothing is fetched.
    """
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("scaling_curves-*.whl")
    assert [path.name for path in folder.glob("*.tar.gz")] == [f"{'-'.join(wheel.name.split('-')[:2])}.tar.gz"]
    install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-index"]
    subprocess.run([*install, "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def from_wheel(site, place, code):
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_runs_a_sweep_and_a_report_in_another_directory(site, place):
    arguments = ["-m", *DIGITS, "n=50,100"]
    code = (
        "import sys, scaling, scaling.config\n"
        f"assert scaling.__file__.startswith({str(site)!r}), scaling.__file__\n"
        "assert scaling.config.config_path() == 'pkg://scaling.conf'\n"
        f"sys.argv = ['scaling-run', *{arguments!r}]\n"
        "from scaling.run import main; main()\n"
        "sys.argv = ['scaling-report']\n"
        "from scaling.report import main; main()\n"
    )
    done = from_wheel(site, place, code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (place / "reports/scaling/report.html").is_file()


def test_the_wheel_carries_every_config_and_template(site):
    inside = {str(path.relative_to(site / "scaling")) for path in (site / "scaling").rglob("*") if path.is_file()}
    configs = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "conf").rglob("*.yaml")}
    assert configs <= inside
    assert {"py.typed", "templates/report.html.j2", "templates/page.js", "core/extrapolation/gate.npz"} <= inside


def test_the_wheel_brings_the_console_command(site, place):
    (metadata,) = site.glob("scaling_curves-*.dist-info/entry_points.txt")
    assert "scaling = scaling.cli:main" in metadata.read_text(encoding="utf-8")
    done = from_wheel(
        site, place, "import sys; from scaling.cli import main; sys.argv = ['scaling', '--version']; main()"
    )
    assert done.stdout == f"scaling-curves {__version__}\n", done.stderr
