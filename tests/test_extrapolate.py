"""The command: CSV in, CSV out, and what it says of bad input."""

import csv
import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling.core.errors import DataError
from scaling.extrapolate import Points, rows, swapped

POINTS = "curve,n,error\n" + "".join(f"a,{n},{0.05 + 2 * n**-0.5:.6f}\n" for n in (100, 200, 400, 800))
TARGETS = "curve,n\na,1600\na,3200\n"


@pytest.fixture
def extrapolate(command, place, capsys):
    """Run the command on texts; return exit code, rows of OUT (None without one) and what was said."""

    def run(points=POINTS, targets=TARGETS, names=("points.csv", "targets.csv", "out.csv"), options=()):
        for name, text in zip(names, (points, targets), strict=False):
            if text is not None:
                content = text if isinstance(text, bytes) else text.encode()
                Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        code = command("scaling.extrapolate", *names, *options)
        out = Path(names[2])
        rows = None
        if out.exists():
            text = (gzip.decompress(out.read_bytes()) if names[2].endswith(".gz") else out.read_bytes()).decode()
            rows = list(csv.DictReader(text.splitlines(keepends=True)))
        return code, rows, capsys.readouterr().err

    return run


def test_every_target_is_answered_in_order(extrapolate):
    code, rows, said = extrapolate()
    assert (code, said) == (0, "")
    assert list(rows[0]) == ["curve", "n", "error", "lower", "upper", "form"]
    assert [(row["curve"], row["n"]) for row in rows] == [("a", "1600"), ("a", "3200")]
    for row, truth in zip(rows, (0.05 + 2 * 1600**-0.5, 0.05 + 2 * 3200**-0.5), strict=True):
        assert float(row["lower"]) <= truth <= float(row["upper"])
        assert float(row["error"]) == pytest.approx(truth, rel=0.15)
        assert row["form"] == "experts"


def test_a_target_error_is_answered_by_the_n_that_it_takes(extrapolate):
    code, rows, said = extrapolate(targets="curve,error\na,0.1\n a ,0.12\na,0.01\n")
    assert (code, said) == (0, "")
    assert list(rows[0]) == ["curve", "error", "n", "lower", "upper", "form"]
    assert [(row["curve"], row["error"]) for row in rows] == [("a", "0.1"), (" a ", "0.12"), ("a", "0.01")]
    for row, truth in zip(rows, ((2 / 0.05) ** 2, (2 / 0.07) ** 2), strict=False):
        assert float(row["lower"]) <= truth <= float(row["upper"])
        assert abs(np.log2(float(row["n"]) / truth)) < 1
    assert rows[2]["n"] == "inf"


def test_a_target_in_the_unit_of_the_points(extrapolate):
    shares = POINTS.replace("error", "accuracy")
    for n in (100, 200, 400, 800):
        shares = shares.replace(f"{0.05 + 2 * n**-0.5:.6f}", f"{95 - 200 * n**-0.5:.4f}")
    _, plain, _ = extrapolate(targets="curve,error\na,0.1\n")
    code, rows, _ = extrapolate(shares, "curve,accuracy\na,90\n", options=("--percent",))
    assert (code, list(rows[0])[:3]) == (0, ["curve", "accuracy", "n"])
    assert float(rows[0]["n"]) == pytest.approx(float(plain[0]["n"]), rel=1e-2)
    code, rows, said = extrapolate(shares, "curve,accuracy\na,100\n", ("q.csv", "s.csv", "r.csv"), ("--percent",))
    assert (code, rows) == (1, None)
    assert "row 2, column accuracy: got '100', expected below 100" in said


def test_it_runs_as_a_process_of_its_own_and_loads_nothing_heavy(place):
    Path("p.csv").write_text(POINTS)
    Path("t.csv").write_text(TARGETS)
    code = (
        "import sys; sys.argv = ['', 'p.csv', 't.csv', 'o.csv']\n"
        "from scaling.extrapolate import main; main()\n"
        "print(*sorted({'torch', 'pandas', 'mlflow', 'matplotlib', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
    again = [sys.executable, "-m", "scaling.extrapolate", "p.csv", "t.csv", "p2.csv"]
    subprocess.run(again, check=True)
    assert Path("p2.csv").read_bytes() == Path("o.csv").read_bytes()
    assert {path.name for path in place.iterdir()} == {"p.csv", "t.csv", "o.csv", "p2.csv"}


def test_compressed_files_give_the_same(extrapolate):
    _, plain, _ = extrapolate()
    _, packed, _ = extrapolate(names=("p.csv.gz", "t.csv.gz", "o.csv.gz"))
    assert packed == plain


def test_names_with_commas_and_quotes_and_n_as_it_was_written(extrapolate):
    name = '"net, ""b"" | 5"'
    points = POINTS.replace("a,", f"{name},")
    _, rows, _ = extrapolate(points, f"n,curve\n1.6e3,{name}\n 1600.0,{name}\n")
    assert [(row["curve"], row["n"]) for row in rows] == [('net, "b" | 5', "1.6e3"), ('net, "b" | 5', " 1600.0")]
    assert rows[0]["error"] == rows[1]["error"]


@pytest.mark.parametrize(
    ("written", "notes"),
    [
        (lambda text: text.replace(",", ";").replace(".", ","), 2),
        (lambda text: text.replace(",", "\t").replace(".", ",").replace("\n", "\r\n").encode("utf-16"), 2),
        (lambda text: text.replace("curve,n", " Curve,N").replace(",error", ", ERROR "), 0),
        (lambda text: text.encode("utf-8-sig"), 0),
    ],
)
def test_tables_of_other_countries_and_programs_give_the_same(extrapolate, written, notes):
    plain = extrapolate()[1]
    code, rows, said = extrapolate(written(POINTS), written(TARGETS))
    assert (code, rows) == (0, plain)
    assert said.count("note: ") == len(said.splitlines()) == notes


def test_n_that_can_be_a_thousand_or_one_is_refused(extrapolate):
    code, rows, said = extrapolate("curve;n;error\na;1,000;12\n")
    assert (code, rows) == (1, None)
    assert "column n: got '1,000', which can be read in two ways" in said


def test_renaming_shuffling_and_splitting_change_no_digit(extrapolate):
    rng = np.random.default_rng(0)
    curves = {c: 0.05 * i + 2 * np.array([50.0, 100, 200, 400]) ** -0.5 for i, c in enumerate("abc")}
    lines = [
        f"{c},{n},{value + rng.normal(0, 0.01):.4f}\n"
        for c, values in curves.items()
        for n, value in zip((50, 100, 200, 400), values, strict=True)
        for _ in range(2)
    ]
    targets = [f"{c},{n}\n" for c in "abc" for n in (300, 800, 3200)]

    def answers(points, wanted, back=lambda name: name):
        _, rows, _ = extrapolate("curve,n,error\n" + "".join(points), "curve,n\n" + "".join(wanted))
        return {(back(row["curve"]), row["n"]): tuple(row.values())[2:] for row in rows}

    whole = answers(lines, targets)
    shuffled = answers(rng.permutation(lines).tolist(), rng.permutation(targets).tolist())
    renamed = answers([f"x{line}" for line in lines], [f"x{line}" for line in targets], lambda name: name[1:])
    split = {}
    for target in targets:
        split |= answers([line for line in lines if line[0] == target[0]], [target])
    assert whole == shuffled == renamed == split


def test_the_answers_for_a_loss_say_so(extrapolate):
    code, rows, said = extrapolate("curve,n,error\nl,10,4\nl,20,3.5\nl,40,3.2\nl,80,3\n", "curve,n\nl,160\n")
    assert code == 0
    assert rows[0]["form"] == "experts (loss)"
    assert float(rows[0]["error"]) > 2
    assert said.startswith("warning: l: has values above 1")


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ("a,100,0.3\n", "fewer than 3 sizes"),
        ("a,100,0.5\na,200,0.3\n", "fewer than 3 sizes"),
        ("a,100,0.3\na,200,0.3\na,400,0.3\n", "is flat"),
        ("a,100,0\na,200,0\na,400,0\n", "no error at all"),
    ],
)
def test_what_shows_no_trend_is_answered_with_a_warning(extrapolate, points, what):
    code, rows, said = extrapolate(f"curve,n,error\n{points}", "curve,n\na,800\n")
    last = float(points.split(",")[-1])
    assert (code, rows[0]["form"], float(rows[0]["error"])) == (0, "constant", pytest.approx(last, abs=1e-12))
    assert float(rows[0]["upper"]) > last
    assert what in said


def test_targets_inside_the_points_and_far_beyond(extrapolate):
    code, rows, _ = extrapolate(targets="curve,n\na,1\na,100\na,300\na,1e30\n")
    assert code == 0
    values = np.array([[float(row[key]) for key in ("lower", "error", "upper")] for row in rows])
    assert (np.diff(values, axis=1) >= 0).all()
    assert ((values >= 0) & (values <= 1)).all()
    assert values[1, 1] == pytest.approx(0.25, abs=0.02)


def test_nothing_asked_is_nothing_answered(extrapolate):
    assert extrapolate(targets="curve,n\n")[:2] == (0, [])


SIZES = (100, 200, 400, 800, 1600)
RISING = (0.80, 0.84, 0.865, 0.88, 0.89)
FAR = "curve,n\na,100000\n"


def table(values, column="error", name="a"):
    return f"curve,n,{column}\n" + "".join(f"{name},{n},{value:.6g}\n" for n, value in zip(SIZES, values, strict=True))


def figures(row, column):
    return np.array([float(row[key]) for key in ("lower", column, "upper")])


@pytest.mark.parametrize("whole", [1, 100])
@pytest.mark.parametrize(
    "values", [RISING, (0.95, 0.96, 0.97, 0.975, 0.978), (0.10, 0.3, 0.29, 0.5, 0.7), (0.9, 0.91, 0.915, 0.917, 0.916)]
)
def test_accuracies_in_the_place_of_errors_are_named_and_marked(extrapolate, values, whole):
    code, (row,), said = extrapolate(table([whole * value for value in values]), FAR)
    assert code == 0
    assert "looks_like_accuracy" in row["form"]
    assert "a: looks like an accuracy" in said
    assert "--accuracy" in said
    assert ("--percent" in said) == (whole == 100)


@pytest.mark.parametrize(
    "values",
    [
        (0.2, 0.16, 0.135, 0.12, 0.11),
        (0.5, 0.5, 0.5, 0.5, 0.5),
        (0.3, 0.2, 0.15, 0.1, 0.4),  # diverges at its end
        (0.2, 0.25, 0.3, 0.15, 0.1),  # a peak on its way
        (0.9, 0.9001, 0.8999, 0.9002, 0.9003),  # chance
        (4, 3.5, 3.2, 3, 2.9),
    ],
)
def test_errors_look_like_errors(extrapolate, values):
    _, (row,), said = extrapolate(table(values), FAR)
    assert "looks_like" not in row["form"]
    assert "looks like" not in said


def test_a_rise_within_the_noise_looks_like_nothing(extrapolate):
    points = "curve,n,error,stderr\n" + "".join(f"a,{n},{0.30 + 0.005 * i},0.05\n" for i, n in enumerate(SIZES))
    assert "looks like" not in extrapolate(points, FAR)[2]


def test_accuracies_are_answered_by_accuracies(extrapolate):
    _, (of_errors,), _ = extrapolate(table([1 - value for value in RISING]), FAR)
    expected = 1 - figures(of_errors, "error")[::-1]
    for points, options in ((table(RISING, "accuracy"), ()), (table(RISING), ("--accuracy",))):
        code, (row,), said = extrapolate(points, FAR, options=options)
        assert (code, said, row["form"]) == (0, "", "experts")
        assert list(row) == ["curve", "n", "accuracy", "lower", "upper", "form"]
        found = figures(row, "accuracy")
        assert found == pytest.approx(expected, abs=1e-9)
        assert 0.89 < found[1] < 1
        assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("column", ["error", "accuracy"])
def test_percentages_are_shares_times_a_hundred(extrapolate, column):
    values = RISING if column == "accuracy" else [1 - value for value in RISING]
    header, rows = table(values, column).split("\n", 1)
    with_noise = f"{header},stderr\n" + rows.replace("\n", ",0.004\n")
    hundred = table([100 * value for value in values], column).split("\n", 1)[1].replace("\n", ",0.4\n")
    _, (shares,), _ = extrapolate(with_noise, FAR)
    code, (row,), said = extrapolate(f"{header},stderr\n{hundred}", FAR, options=("--percent",))
    assert (code, said, row["form"]) == (0, "", "experts")
    assert figures(row, column) == pytest.approx(100 * figures(shares, column), rel=1e-9)


def test_percentages_have_an_upper_bound(extrapolate):
    _, (row,), _ = extrapolate(table([60, 70, 80, 88, 95]), FAR, options=("--percent",))
    assert row["form"].startswith("experts (")
    assert "loss" not in row["form"]
    assert float(row["upper"]) <= 100


def test_of_errors_and_accuracies_the_one_that_is_asked_for_is_taken(extrapolate):
    both = "curve,n,error,accuracy\n" + "".join(f"a,{n},{1 - v:.6g},{v}\n" for n, v in zip(SIZES, RISING, strict=True))
    assert extrapolate(both, FAR)[1] == extrapolate(table([1 - value for value in RISING]), FAR)[1]
    assert extrapolate(both, FAR, options=("--accuracy",))[1] == extrapolate(table(RISING, "accuracy"), FAR)[1]


def test_errors_in_the_place_of_accuracies_are_named_too(extrapolate):
    _, (row,), said = extrapolate(table((0.2, 0.16, 0.135, 0.12, 0.11), "accuracy"), FAR)
    assert "looks_like_error" in row["form"]
    assert "a: looks like an error" in said


@pytest.mark.parametrize("name", [" a", "a ", "\ta", "\u00a0a"])
def test_spaces_around_a_name_make_no_other_curve(extrapolate, name):
    lines = POINTS.splitlines(keepends=True)
    odd = "".join(line.replace("a,", f"{name},", 1) if i % 2 else line for i, line in enumerate(lines))
    _, plain, _ = extrapolate()
    _, rows, said = extrapolate(odd, f"curve,n\na,1600\n{name},3200\n")
    assert said == ""
    assert [row["curve"] for row in rows] == ["a", name]  # as TARGETS has it
    assert [list(row.values())[1:] for row in rows] == [list(row.values())[1:] for row in plain]


def test_a_letter_in_two_unicode_forms_makes_one_curve(extrapolate):
    one, two = "\u00fc", "u\u0308"
    lines = POINTS.replace("a,", f"{one},").splitlines(keepends=True)
    lines[2] = lines[2].replace(one, two)
    _, rows, said = extrapolate("".join(lines), f"curve,n\n{two},1600\n")
    assert (said, rows[0]["curve"]) == ("", two)
    assert rows[0]["error"] == extrapolate()[1][0]["error"]


def test_names_that_differ_in_case_or_quotes_are_two_curves_and_named(extrapolate):
    points = (
        POINTS
        + POINTS.split("\n", 1)[1].replace("a,", "A,")
        + "net 1,5,0.3\n'net 1',5,0.4\nnet-1,5,0.5\n\u200bnet 1,5,1\n"
    )
    code, _, said = extrapolate(points)
    assert code == 0
    assert "warning: 'a', 'A': 2 curves, whose names differ in case, spaces or quotes alone" in said
    assert """'net 1', "'net 1'", '\\u200bnet 1': 3 curves""" in said
    assert "net-1" not in said


def test_a_target_that_is_nearly_a_curve_says_which(extrapolate):
    assert (
        "got 'A', expected one of the 1 curves of points.csv, such as 'a'." in extrapolate(targets="curve,n\nA,5\n")[2]
    )


HEAD = "curve,n,error\n"


@pytest.mark.parametrize(
    ("points", "targets", "message"),
    [
        (HEAD + "a,100,nan\n", TARGETS, "points.csv, row 2, column error: got 'nan', expected a finite number"),
        (HEAD + "a,100,0.1\na,200,\n", TARGETS, "points.csv, row 3, column error: got ''"),
        (HEAD + "a,100,-0.1\n", TARGETS, "points.csv, row 2, column error: got '-0.1'"),
        (HEAD + "a,100,1e101\n", TARGETS, "row 2, column error: got '1e101', expected a finite number from 0 to"),
        ("\n\n" + HEAD + "a,100,-1\n", TARGETS, "points.csv, row 4, column error: got '-1'"),
        ("curve,n,error,stderr\na,10,0.1,1e200\n", TARGETS, "points.csv, row 2, column stderr: got '1e200'"),
        (HEAD + "a,100,inf\n", TARGETS, "points.csv, row 2, column error: got 'inf'"),
        (HEAD + "a,0,0.1\n", TARGETS, "points.csv, row 2, column n: got '0', expected a number above 0"),
        (HEAD + "a,-5,0.1\n", TARGETS, "points.csv, row 2, column n: got '-5'"),
        (HEAD + "a,1e31,0.1\n", TARGETS, "points.csv, row 2, column n: got '1e31'"),
        (HEAD + "a,1_0,0.1\n", TARGETS, "points.csv, row 2, column n: got '1_0'"),
        ("curve,n,error,stderr\na,10,0.1,-1\n", TARGETS, "points.csv, row 2, column stderr: got '-1'"),
        ("curve,n,error,stderr\na,10,0.1,nan\n", TARGETS, "points.csv, row 2, column stderr: got 'nan'"),
        (POINTS, "curve,n\na,1600\nb,1600\n", "targets.csv, row 3, column curve: got 'b', expected one of"),
        (POINTS, "curve,n\na,none\n", "targets.csv, row 2, column n: got 'none'"),
        (POINTS, "curve,n\na,-1\n", "targets.csv, row 2, column n: got '-1'"),
        ("curve,n\na,100\n", TARGETS, "points.csv, row 1: no column error; got curve,n."),
        ("curve,n,accuracy\na,100,80\n", TARGETS, "column accuracy: got '80', expected a finite number from 0 to 1"),
        ("curve,n,accuracy\na,100,1.01\n", TARGETS, "or say --percent"),
        (HEAD + "a,100,80%\n", TARGETS, "column error: got '80%', expected a finite number from 0 to 1e+100; or say"),
        ("curve,n,accuracy,accuracy\na,1,1,0.5\n", TARGETS, "column accuracy stands there 2 times"),
        ("curve,n,n,error\na,1,1,0.5\n", TARGETS, "points.csv, row 1: column n stands there 2 times"),
        (POINTS, "curve\na\n", "targets.csv, row 1: no column n"),
        (HEAD + "a,100\n", TARGETS, "points.csv, row 2, column error: got 2 cells, expected the header's 3"),
        (HEAD + 'a,100,"0.1\n', TARGETS, "not CSV"),
        ("", TARGETS, "points.csv: empty"),
        (b"\xff\xfe\x00", TARGETS, "points.csv: not a UTF-8 text file"),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_nothing_is_written(extrapolate, place, points, targets, message):
    code, rows, said = extrapolate(points, targets)
    assert (code, rows) == (1, None)
    assert said.startswith("error: ")
    assert message in said
    assert len(said.splitlines()) <= 3
    assert {path.name for path in place.iterdir()} == {"points.csv", "targets.csv"}


@pytest.mark.parametrize(
    ("value", "options", "most"),
    [
        ("101", "--percent", "100, without %"),
        ("80%", "--percent", "100, without %"),
        ("1.5", "--accuracy", "1; or say"),
    ],
)
def test_more_than_all_is_refused(extrapolate, value, options, most):
    code, rows, said = extrapolate(f"{HEAD}a,100,{value}\n", options=(options,))
    assert (code, rows) == (1, None)
    assert f"row 2, column error: got '{value}', expected a finite number from 0 to {most}" in said


def test_files_that_cannot_be_read(extrapolate, place):
    assert (
        "missing.csv: can't be read (No such file or directory)"
        in extrapolate(None, None, ("missing.csv", "t", "o"))[2]
    )
    Path("p.csv.gz").write_bytes(b"\x1f\x8bnot compressed")
    assert "p.csv.gz: can't be read" in extrapolate(None, TARGETS, ("p.csv.gz", "t.csv", "o.csv"))[2]
    Path("cut.csv.gz").write_bytes(gzip.compress(POINTS.encode())[:-12])
    assert "cut.csv.gz: can't be read" in extrapolate(None, TARGETS, ("cut.csv.gz", "t.csv", "o.csv"))[2]
    assert "can't be written" in extrapolate(names=("p.csv", "t.csv", "nowhere/o.csv"))[2]


def test_an_old_answer_stays_when_the_new_one_fails(extrapolate):
    Path("out.csv").write_text("curve,n\nold,1\n")
    code, rows, _ = extrapolate(HEAD + "a,100,nan\n")
    assert (code, rows) == (1, [{"curve": "old", "n": "1"}])


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout here")
def test_the_answer_can_go_down_a_pipe(place):
    Path("p.csv").write_text(POINTS)
    Path("t.csv").write_text(TARGETS)
    arguments = [sys.executable, "-m", "scaling.extrapolate", "p.csv", "t.csv", "/dev/stdout"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("curve,n,error,lower,upper,form\na,1600,")


@pytest.mark.parametrize("first", ["# made by me", "curve n error", "<html>"])
def test_a_file_without_its_header_says_what_a_header_is(tmp_path, first):
    (tmp_path / "points.csv").write_text(f"{first}\n{POINTS}")
    with pytest.raises(DataError, match=r"no column curve; got .*\nThe first line names the columns, with commas"):
        list(rows(tmp_path / "points.csv", ("curve", "n"), ("error",)))


def test_columns_that_were_swapped_are_told():
    n, error = [100.0, 200.0, 400.0], [0.5, 0.4, 0.33]
    assert [*swapped({"a": Points(error, n)})] == [
        "a: its errors are whole numbers and its n are none: were the columns swapped?"
    ]
    assert [
        *swapped({"right": Points(n, error), "loss": Points(n, [3.0, 2.0, 2.0]), "parts": Points(error, error)})
    ] == []


def test_an_answer_is_written_through_a_link(extrapolate):
    Path("there.csv").write_text("old\n")
    Path("out.csv").symlink_to("there.csv")
    assert extrapolate(POINTS)[0] == 0
    assert Path("out.csv").is_symlink()
    assert Path("there.csv").read_text().startswith("curve,n,error,lower,upper,form\na,1600,")
