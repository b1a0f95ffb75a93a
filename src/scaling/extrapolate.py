"""The command `python -m scaling.extrapolate POINTS.csv TARGETS.csv OUT.csv`: extrapolate anyone's learning curves.

POINTS has the columns curve,n,error and may have stderr; several rows of one n are repeats. TARGETS has curve,n.
OUT gets curve,n,error,lower,upper,form in the order of TARGETS, with a central 90 % interval. A name that ends in
.gz is read and written compressed.
"""

import argparse
import csv
import gzip
import io
import math
import os
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scaling.core.errors import DataError, ScalingError
from scaling.core.extrapolation import Forecast, forecast
from scaling.core.extrapolation.observations import LARGEST_ERROR, LARGEST_N
from scaling.core.streams import guard

COLUMNS = ("curve", "n", "error", "lower", "upper", "form")
#: A warning names at most this many curves.
MOST_NAMES = 5
#: What each flag of a forecast tells the reader.
WARNINGS = {
    "loss": "has values above 1 and is taken for a loss (or a percentage), without an upper bound",
    "few_sizes": "has fewer than 3 sizes, which show no trend: form=constant, the last value with a wide interval",
    "flat": "is flat: form=constant, the last value with a wide interval",
    "zero_error": "has no error at all: form=constant, with a wide interval",
    "ends_in_zero": "ends without any error: the upper bound beyond it is a fixed rule's",
    "rises": "rises at its largest n by more than 5 % and its known noise: read its extrapolation with care",
    "peaks": "rises on its way by more than 5 % and its known noise",
}
#: Flags that `form` repeats.
SHOWN = ("loss", "rises", "peaks")


@dataclass
class Points:
    """The rows of one curve."""

    n: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    stderr: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """A row of TARGETS: the curve, n as it was written, and its value."""

    row: int
    curve: str
    written: str
    n: float


@dataclass(frozen=True)
class Row:
    """A row of a CSV file with its number, the header's being 1."""

    path: Path
    number: int
    cells: dict[str, str]

    def fail(self, column: str, expected: str) -> DataError:
        """Return the error that says what this cell holds and what was expected."""
        return DataError(
            f"{self.path}, row {self.number}, column {column}: got {self.cells[column]!r}, expected {expected}."
        )

    def number_of(self, column: str, expected: str) -> float:
        """Read a finite number."""
        try:
            value = float(self.cells[column])
        except ValueError:
            raise self.fail(column, expected) from None
        # float() also reads "nan", "inf" and "1_000", none of which a CSV file means as a number.
        if not math.isfinite(value) or "_" in self.cells[column]:
            raise self.fail(column, expected)
        return value

    def size(self) -> float:
        """Read n."""
        expected = f"a number above 0 and at most {LARGEST_N:g}"
        n = self.number_of("n", expected)
        if not 0 < n <= LARGEST_N:
            raise self.fail("n", expected)
        return n

    def not_negative(self, column: str) -> float:
        """Read an error or a standard error."""
        expected = f"a finite number from 0 to {LARGEST_ERROR:g}"
        value = self.number_of(column, expected)
        if not 0 <= value <= LARGEST_ERROR:
            raise self.fail(column, expected)
        return value


def read_text(path: Path) -> str:
    """Read a file, compressed or not."""
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start}).") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path}: can't be read ({reason}).") from None


def rows(path: Path, required: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a CSV file.

    Raises:
        DataError: an unreadable file, a header without the required columns or with one twice, a ragged row.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        numbered = ((number, cells) for number, cells in enumerate(reader, start=1) if cells)
        first, names = next(numbered, (1, []))
        header = [name.strip() for name in names]
        if not header:
            raise DataError(f"{path}: empty, expected a header with the columns {','.join(required)}.")
        for name in required:
            if name not in header:
                raise DataError(f"{path}, row {first}: no column {name}; got {','.join(header)}.")
        for name in header:
            if name in (*required, "stderr") and header.count(name) > 1:
                raise DataError(f"{path}, row {first}: column {name} stands there {header.count(name)} times.")
        for number, cells in numbered:
            if len(cells) != len(header):
                at = header[min(len(cells), len(header) - 1)]
                raise DataError(
                    f"{path}, row {number}, column {at}: got {len(cells)} cells, expected the header's {len(header)}."
                )
            yield Row(path, number, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None


def read_points(path: Path) -> dict[str, Points]:
    """Read POINTS; an empty stderr is an unknown one."""
    curves: dict[str, Points] = defaultdict(Points)
    for row in rows(path, ("curve", "n", "error")):
        points = curves[row.cells["curve"]]
        points.n.append(row.size())
        points.error.append(row.not_negative("error"))
        points.stderr.append(row.not_negative("stderr") if row.cells.get("stderr", "").strip() else math.nan)
    return dict(curves)


def read_targets(path: Path, curves: dict[str, Points], points: Path) -> list[Target]:
    """Read TARGETS, each of a curve that POINTS has."""
    targets = []
    for row in rows(path, ("curve", "n")):
        if row.cells["curve"] not in curves:
            raise row.fail("curve", f"one of the {len(curves)} curves of {points}")
        targets.append(Target(row.number, row.cells["curve"], row.cells["n"], row.size()))
    return targets


def form(fitted: Forecast) -> str:
    """Name what was fitted, with what the reader must know: "experts", "constant", "experts (loss; rises)"."""
    shown = [flag for flag in fitted.flags if flag in SHOWN]
    return f"{fitted.form} ({'; '.join(shown)})" if shown else fitted.form


def extrapolate(
    curves: dict[str, Points], targets: Sequence[Target]
) -> tuple[list[tuple[str, ...]], dict[str, Forecast]]:
    """Answer every target.

    Returns:
        The rows of OUT in the order of the targets, and the forecast of each curve that was asked for.
    """
    asked: dict[str, list[int]] = defaultdict(list)
    for position, target in enumerate(targets):
        asked[target.curve].append(position)
    answers: list[tuple[str, ...]] = [()] * len(targets)
    fits: dict[str, Forecast] = {}
    for curve, positions in asked.items():
        points = curves[curve]
        fitted = fits[curve] = forecast(points.n, points.error, points.stderr)
        made = fitted.predict([targets[position].n for position in positions])
        for i, position in enumerate(positions):
            values = (made.error[i], made.lower90[i], made.upper90[i])
            written = targets[position].written
            answers[position] = (curve, written, *(repr(float(value)) for value in values), form(fitted))
    return answers, fits


def warnings(fits: dict[str, Forecast]) -> Iterator[str]:
    """Yield a line for each kind of unusual curve."""
    for flag, meaning in WARNINGS.items():
        names = [curve for curve, fitted in fits.items() if flag in fitted.flags]
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            yield f"{', '.join(names[:MOST_NAMES])}{more}: {meaning}"


def write(path: Path, answers: Sequence[tuple[str, ...]]) -> None:
    """Write OUT whole or not at all: beside it first, then renamed."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerows([COLUMNS, *answers])
    content = text.getvalue().encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    # A pipe or /dev/stdout can't be replaced, only written to.
    special = path.exists() and not path.is_file()
    beside = path if special else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            beside.write_bytes(content)
            if not special:
                beside.replace(path)
        finally:
            if not special:
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror}).") from None


def main() -> None:
    """Run the command."""
    guard()
    parser = argparse.ArgumentParser(
        prog="python -m scaling.extrapolate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("points", type=Path, metavar="POINTS.csv", help="measured points: curve,n,error[,stderr]")
    parser.add_argument("targets", type=Path, metavar="TARGETS.csv", help="what to predict: curve,n")
    parser.add_argument("out", type=Path, metavar="OUT.csv", help="the answers: curve,n,error,lower,upper,form")
    arguments = parser.parse_args()
    try:
        curves = read_points(arguments.points)
        targets = read_targets(arguments.targets, curves, arguments.points)
        answers, fits = extrapolate(curves, targets)
        write(arguments.out, answers)
    except ScalingError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    for line in warnings(fits):
        print(f"warning: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
