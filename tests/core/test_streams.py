"""Standard streams: writing never fails, whatever stands behind them, and tells no secret."""

import io
import os
import subprocess
import sys

import pytest

from scaling.core.streams import SafeStream, encodable, guard

#: Prints, as a library would, from within a command.
PRINTING = """
from scaling.core.streams import guard
guard()
import sys
print("🏃 View run – at: http://me:hunter2@host")
sys.stderr.write("🏃 on stderr\\n")
sys.stdout.flush()
raise SystemExit(0)
"""


def encoded(encoding, text):
    behind = io.BytesIO()
    stream = SafeStream(io.TextIOWrapper(behind, encoding=encoding))
    assert stream.write(text) == len(text)
    stream.flush()
    return behind.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "🏃 0.81 – 0.82 ± ü"), ("cp1252", "? 0.81 - 0.82 +- ü"), ("ascii", "? 0.81 - 0.82 +- ?")],
)
def test_what_an_encoding_lacks_is_replaced(encoding, shown):
    assert encoded(encoding, "🏃 0.81 – 0.82 ± ü") == shown


def test_what_can_be_encoded_is_kept():
    assert encodable("– ±", "cp1252") == "– ±"


def test_no_secret_passes():
    assert encoded("utf-8", "at http://me:hunter2@host") == "at http://***@host"


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("close", [False, True])
def test_a_stream_whose_reader_is_gone_takes_everything(close):
    behind = Broken()
    if close:
        behind.close()
    stream = SafeStream(behind)
    stream.writelines(["a", "b"])
    print("c", file=stream, flush=True)


def test_a_stream_is_guarded_once(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    guard()
    first = sys.stdout
    guard()
    assert sys.stdout is first


def test_what_a_stream_is_asked_else_its_terminal_answers():
    stream = SafeStream(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert stream.encoding == "ascii"
    assert not stream.isatty()


@pytest.mark.parametrize(
    "redirection", ["> /dev/full", "2> /dev/full", ">&-", "2>&-", "<&- >&- 2>&-", "| true", "| head -c1"]
)
def test_a_command_whose_output_goes_nowhere_ends_well(redirection):
    line = f'exec 9>&1; ( "{sys.executable}" -c "$CODE"; echo "ended with $?" >&9 ) {redirection}'
    environment = {**os.environ, "CODE": PRINTING, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(["sh", "-c", line], capture_output=True, env=environment, check=False)
    assert b"ended with 0" in done.stdout
    assert b"Exception ignored" not in done.stderr
    assert b"hunter2" not in done.stdout


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    code = (
        "from scaling.core.streams import guard; guard(); import os; file = open('result', 'w');"
        "os.write(1, b'told by a library'); file.write('0.8')"
    )
    line = f'"{sys.executable}" -c "{code}" >&-'
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True, env=os.environ)
    assert (tmp_path / "result").read_text() == "0.8"
