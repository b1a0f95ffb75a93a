"""One reading of a value by its type, however it was written."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from scaling.core.errors import SettingError
from scaling.core.reading import is_text, read, shown, whole_number, words

COUNTS = int | tuple[int, ...]


@pytest.mark.parametrize("value", [200, "200", "0200", "2e2", 200.0, "200.0", "+200", " 200 ", "2_00", "2.0E2"])
def test_a_whole_number_is_one_however_it_is_written(value):
    found = read(int, value, "n")
    assert (found, type(found)) == (200, int)


@pytest.mark.parametrize(
    "value", [True, "true", 1.5, "1.5", "", "x", "0x10", "1:30", None, [1], "nan", float("inf"), "1e999"]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(SettingError, match="expected a whole number"):
        read(int, value, "n")


@pytest.mark.parametrize(("value", "number"), [("1e-3", 0.001), (0.5, 0.5), ("01.5", 1.5), (".5", 0.5), ("7", 7.0)])
def test_a_number_is_one_however_it_is_written(value, number):
    assert read(float, value, "x") == number


def test_a_whole_number_stays_one_where_a_fraction_may_stand():
    assert type(read(float, 1, "x")) is int


@pytest.mark.parametrize("value", [True, "no", float("nan"), "nan", "inf", None, "1e", "1.2.3", 10**400])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(SettingError, match="expected a number"):
        read(float, value, "x")


@pytest.mark.parametrize("value", [False, "false", "False", "FALSE", "no", "off", "0", 0])
def test_no_is_no_however_it_is_written(value):
    assert read(bool, value, "force") is False


@pytest.mark.parametrize("value", [True, "true", "yes", "ON", "1", 1])
def test_yes_is_yes_however_it_is_written(value):
    assert read(bool, value, "force") is True


@pytest.mark.parametrize("value", ["", "maybe", 2, 0.5, None, []])
def test_what_is_neither_is_refused(value):
    with pytest.raises(SettingError, match="expected true or false"):
        read(bool, value, "force")


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (2024, "2024"), ("1e3", "1e3"), ("", "")])
def test_text_may_look_like_a_number(value, text):
    assert read(str, value, "name") == text


@pytest.mark.parametrize("value", [1.5, True, float("nan"), None, [1], {"a": 1}])
def test_text_whose_writing_is_lost_is_refused(value):
    with pytest.raises(SettingError, match="expected text"):
        read(str, value, "name")


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (str | None, None, None), (str | None, 5, "5"), (int | None, "05", 5), (COUNTS, "5", 5), (COUNTS, ["1", 2.0],
        [1, 2]),
        (COUNTS, (1, 2), (1, 2)), (tuple[int, int], [1, 2], [1, 2]), (tuple[str, ...], [0, "a"], ["0", "a"]),
        (Literal["a", "b"], "b", "b"), (bool | Literal["warn"], "warn", "warn"), (Literal[1, 2], "2", 2), (Any, "no",
        "no"),
        (int | str | tuple[int, ...], "auto", "auto"), (Mapping[str, int] | str | None, {"a": 1}, {"a": 1}),
        (Mapping[str, int | Sequence[int]] | str | None, "map.json", "map.json"),
    ],
)  # fmt: skip
def test_the_first_type_of_a_union_that_fits_reads(kind, value, found):
    assert read(kind, value, "x") == found


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (COUNTS, "abc", "x=abc: expected a whole number or a list, each entry a whole number."),
        (Literal["names", "order"], "name", "x=name: expected one of names, order."),
        (tuple[int, int], [1], "x=[1]: expected a list, each entry a whole number."),
        (int | None, 1.5, "x=1.5: expected a whole number or null."),
        (tuple[float, ...], 0.1, "x=0.1: expected a list, each entry a number."),
        (Mapping[str, int] | None, [True], "x=[true]: expected null or {NAME: VALUE, …} (Mapping)."),
        (str, 2024.1, "x=2024.1: expected text.\nPut text that YAML reads as something else into quotes."),
    ],
)
def test_a_refusal_says_what_was_got_and_what_was_expected(kind, value, message):
    with pytest.raises(SettingError) as error:
        read(kind, value, "x")
    assert str(error.value) == message


def test_text_is_what_stands_for_text_alone():
    assert [is_text(kind) for kind in (str, str | None, int | str, int, bool)] == [True, True, False, False, False]


def test_values_are_shown_as_they_are_typed():
    assert [shown(value) for value in (None, True, [1, "a"], "x")] == ["null", "true", "[1, a]", "x"]
    assert words(int | None) == "a whole number or null"


def test_a_whole_number_beyond_the_floats_digits_is_kept_exactly():
    assert whole_number(str(2**63 + 1)) == 2**63 + 1
