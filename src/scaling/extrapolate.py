"""The command `python -m scaling.extrapolate POINTS.csv TARGETS.csv OUT.csv`: extrapolate anyone's learning curves.

POINTS has the columns curve,n,error and may have stderr; several rows of one n are repeats. TARGETS has curve,n.
OUT gets curve,n,error,lower,upper,form in the order of TARGETS, with a central 90 % interval. Where TARGETS has
curve,error instead, OUT gets curve,error,n,lower,upper,form with the n that it takes, inf where the curve is not
believed to come down to it. Values are
accuracies, in OUT too, where POINTS has a column accuracy in place of error, or with --accuracy; with --percent they
are percentages. A name that ends in .gz is read and written compressed.
"""

import argparse
import csv
import gzip
import io
import math
import os
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scaling.core.errors import DataError, ScalingError
from scaling.core.extrapolation import Forecast, Prediction, forecast
from scaling.core.extrapolation.observations import LARGEST_ERROR, LARGEST_N
from scaling.core.extrapolation.requirement import needed
from scaling.core.streams import guard
from scaling.core.tables import HEADER, read_table
from scaling.core.words import look

#: A warning names at most this many curves.
MOST_NAMES = 5
#: What each flag of a forecast tells the reader.
WARNINGS = {
    "loss": "has values above 1 and is taken for a loss, without an upper bound; --percent makes percentages of them",
    "few_sizes": "has fewer than 3 sizes, which show no trend: form=constant, the last value with a wide interval",
    "flat": "is flat: form=constant, the last value with a wide interval",
    "zero_error": "has no error at all: form=constant, with a wide interval",
    "ends_in_zero": "ends without any error: the bound beyond it is a fixed rule's",
    "rises": "its error rises at its largest n by more than 5 % and its known noise: read its extrapolation with care",
    "peaks": "its error rises on its way by more than 5 % and its known noise",
    "looks_like_accuracy": "looks like an accuracy: it rises with n; it is read as an error without --accuracy",
    "looks_like_error": "looks like an error: it falls with n; errors stand in a column error, without --accuracy",
}
#: Flags that `form` repeats.
SHOWN = ("loss", "rises", "peaks", "looks_like_accuracy", "looks_like_error")


@dataclass(frozen=True)
class Unit:
    """What the values are, and of what whole: 1, or 100 of percentages."""

    accuracy: bool = False
    percent: bool = False

    @property
    def whole(self) -> float:
        """What all samples are."""
        return 100.0 if self.percent else 1.0

    @property
    def name(self) -> str:
        """The column of the values."""
        return "accuracy" if self.accuracy else "error"

    def flipped(self, share: float) -> float:
        """Turn an error into what the values are, both as shares, or back."""
        return 1 - share if self.accuracy else share

    def written(self, made: Prediction, i: int) -> tuple[str, ...]:
        """Write the i-th prediction and its bounds, the lower first."""
        values = [
            self.flipped(float(value)) * self.whole for value in (made.error[i], made.lower90[i], made.upper90[i])
        ]
        return tuple(map(repr, (values[0], *sorted(values[1:]))))

    def flags(self, fitted: Forecast) -> list[str]:
        """Return what is to be told of a curve; one that rises may have been given as what it is not."""
        named = {"rises_overall": "looks_like_error" if self.accuracy else "looks_like_accuracy"}
        return [named.get(flag, flag) for flag in fitted.flags]


@dataclass
class Points:
    """The rows of one curve."""

    n: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    stderr: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """A row of TARGETS: the curve, both cells as they were written, and what is known: n, or the error."""

    row: int
    curve: str
    written: tuple[str, str]
    known: float


@dataclass(frozen=True)
class Row:
    """A row of a CSV file with its number, the header's being 1."""

    path: Path
    number: int
    cells: dict[str, str]
    decimal_comma: bool = False

    def fail(self, column: str, expected: str) -> DataError:
        """Return the error that says what this cell holds and what was expected."""
        return DataError(
            f"{self.path}, row {self.number}, column {column}: got {self.cells[column]!r}, expected {expected}."
        )

    def number_of(self, column: str, expected: str) -> float:
        """Read a finite number."""
        try:
            value = float(self.cells[column].replace(",", "." if self.decimal_comma else ","))
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

    def curve(self) -> str:
        """Read a curve's name; how its letters are encoded, and spaces around it, make no other curve."""
        return unicodedata.normalize("NFC", self.cells["curve"].strip())

    def share(self, column: str, unit: Unit) -> float:
        """Read an error, an accuracy or a standard error, as a share of the whole or a loss."""
        bounded = unit.percent or (unit.accuracy and column != "stderr")
        most = unit.whole if bounded else LARGEST_ERROR
        expected = f"a finite number from 0 to {most:g}" + (", without %" if unit.percent else "; or say --percent")
        value = self.number_of(column, expected)
        if not 0 <= value <= most:
            raise self.fail(column, expected)
        return value / unit.whole

    def aim(self, unit: Unit) -> float:
        """Read a target, as an error; none at all is none that can be measured."""
        error = unit.flipped(self.share(unit.name, unit))
        if not error > 0:
            raise self.fail(unit.name, f"{'below' if unit.accuracy else 'above'} {unit.flipped(0.0) * unit.whole:g}")
        return error


def rows(path: Path, required: Sequence[str], values: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a CSV file; how it was read is said where that is not as ours are written.

    Args:
        required: columns that have to be there.
        values: columns of which one has to be there.

    Raises:
        DataError: an unreadable file, a header without the required columns or with one twice, a ragged row.
    """
    known = (*required, *values, "stderr")
    table = read_table(path, known, [name for name in known if name != "curve"])
    header = table.columns
    if not header:
        raise DataError(f"{path}: empty, expected a header with the columns {','.join([*required, *values[:1]])}.")
    for name in (*required, *(values[:1] if not {*values} & {*header} else ())):
        if name not in header:
            raise DataError(f"{path}, row {table.line}: no column {name}; got {','.join(header)}.\n{HEADER}")
    for name in header:
        if name in known and header.count(name) > 1:
            raise DataError(f"{path}, row {table.line}: column {name} stands there {header.count(name)} times.")
    if table.note:
        print(f"note: {table.note}", file=sys.stderr)
    for number, cells in table.rows:
        if len(cells) != len(header):
            at = header[min(len(cells), len(header) - 1)]
            raise DataError(
                f"{path}, row {number}, column {at}: got {len(cells)} cells, expected the header's {len(header)}.\n"
                "Put cells that hold a comma in quotes, or part columns by semicolons."
            )
        yield Row(path, number, dict(zip(header, cells, strict=True)), table.decimal_comma)


def read_points(path: Path, asked: Unit) -> tuple[dict[str, Points], Unit]:
    """Read POINTS as errors, and say what they were given as; an empty stderr is an unknown one."""
    curves: dict[str, Points] = defaultdict(Points)
    unit = asked
    for row in rows(path, ("curve", "n"), ("error", "accuracy")):
        column = "accuracy" if "error" not in row.cells or (asked.accuracy and "accuracy" in row.cells) else "error"
        unit = replace(asked, accuracy=asked.accuracy or column == "accuracy")
        points = curves[row.curve()]
        points.n.append(row.size())
        points.error.append(unit.flipped(row.share(column, unit)))
        points.stderr.append(row.share("stderr", unit) if row.cells.get("stderr", "").strip() else math.nan)
    return dict(curves), unit


def read_targets(path: Path, curves: dict[str, Points], points: Path, unit: Unit) -> tuple[list[Target], str]:
    """Read TARGETS, each of a curve that POINTS has, and say which column they are in: n where there is one."""
    targets, column = [], "n"
    for row in rows(path, ("curve",), ("n", unit.name)):
        if (curve := row.curve()) not in curves:
            near = [name for name in curves if bare(name) == bare(curve)]
            also = f", such as {near[0]!r}" if near else ""
            raise row.fail("curve", f"one of the {len(curves)} curves of {points}{also}")
        column = "n" if "n" in row.cells else unit.name
        known = row.size() if column == "n" else row.aim(unit)
        targets.append(Target(row.number, curve, (row.cells["curve"], row.cells[column]), known))
    return targets, column


def bare(name: str) -> str:
    """Leave out of a name what is easily written otherwise: case, spaces, quotes, and forms of one letter."""
    return re.sub(r"[\s\"'‘’“”]+", "", look(name).casefold())


def alike(curves: Iterable[str]) -> Iterator[str]:
    """Yield a line for curves whose names may have been meant as one."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in curves:
        groups[bare(name)].append(name)
    for names in groups.values():
        if len(names) > 1:
            written = ", ".join(map(repr, names))
            yield f"{written}: {len(names)} curves, whose names differ in case, spaces or quotes alone"


def swapped(curves: dict[str, Points]) -> Iterator[str]:
    """Yield a line for each curve whose n and errors seem to have changed places."""
    for name, points in curves.items():
        if not all(map(float.is_integer, points.n)) and all(x > 1 and x.is_integer() for x in points.error):
            yield f"{name}: its errors are whole numbers and its n are none: were the columns swapped?"


def form(fitted: Forecast, unit: Unit) -> str:
    """Name what was fitted, with what the reader must know: "experts", "constant", "experts (loss; rises)"."""
    shown = [flag for flag in unit.flags(fitted) if flag in SHOWN]
    return f"{fitted.form} ({'; '.join(shown)})" if shown else fitted.form


def extrapolate(
    curves: dict[str, Points], targets: Sequence[Target], unit: Unit, column: str = "n"
) -> tuple[list[tuple[str, ...]], dict[str, Forecast]]:
    """Answer every target.

    Args:
        column: what the targets name: sizes, or values that are to be reached.

    Returns:
        The rows of OUT in the order of the targets, and the forecast of each curve that was asked for.
    """
    asked: dict[str, list[int]] = defaultdict(list)
    for position, target in enumerate(targets):
        asked[target.curve].append(position)
    answers: list[tuple[str, ...]] = [()] * len(targets)
    fits: dict[str, Forecast] = {}
    for curve, positions in asked.items():
        points, bounded = curves[curve], True if unit.accuracy or unit.percent else None
        fitted = fits[curve] = forecast(points.n, points.error, points.stderr, bounded=bounded)
        known = [targets[position].known for position in positions]
        if column == "n":
            made = fitted.predict(known)
            cells = [unit.written(made, i) for i in range(len(known))]
        else:
            cells = [tuple(map(repr, needed(fitted, error).interval)) for error in known]
        for position, values in zip(positions, cells, strict=True):
            answers[position] = (*targets[position].written, *values, form(fitted, unit))
    return answers, fits


def warnings(fits: dict[str, Forecast], unit: Unit) -> Iterator[str]:
    """Yield a line for each kind of unusual curve."""
    for flag, meaning in WARNINGS.items():
        names = [curve for curve, fitted in fits.items() if flag in unit.flags(fitted)]
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            yield f"{', '.join(names[:MOST_NAMES])}{more}: {meaning}"


def write(path: Path, answers: Sequence[tuple[str, ...]], header: Sequence[str]) -> None:
    """Write OUT whole or not at all: beside it first, then renamed."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerows([header, *answers])
    content = text.getvalue().encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    # A pipe can't be replaced, only written to; nor must a link be, as /dev/stdout is one, whatever it leads to.
    special = path.is_symlink() or (path.exists() and not path.is_file())
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
    parser.add_argument("--accuracy", action="store_true", help="the values are accuracies, and so are the answers")
    parser.add_argument("--percent", action="store_true", help="the values are percentages, and so are the answers")
    arguments = parser.parse_args()
    try:
        curves, unit = read_points(arguments.points, Unit(arguments.accuracy, arguments.percent))
        targets, column = read_targets(arguments.targets, curves, arguments.points, unit)
        answers, fits = extrapolate(curves, targets, unit, column)
        asked = ("n", unit.name) if column == "n" else (unit.name, "n")
        write(arguments.out, answers, ("curve", *asked, "lower", "upper", "form"))
    except ScalingError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    for line in (*warnings(fits, unit), *alike(curves), *swapped(curves)):
        print(f"warning: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
