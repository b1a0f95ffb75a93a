import pytest

from scaling.core.errors import DataError
from scaling.core.words import about, class_names, samples


@pytest.mark.parametrize(("n", "shown"), [(100, "100"), (60_000.0, "60,000"), (1e6, "1,000,000"), (2.5, "2.5")])
def test_samples_are_written_to_the_last_one(n, shown):
    assert samples(n) == shown


@pytest.mark.parametrize(
    ("n", "shown"), [(1000.0, "1,000"), (1297.3, "1,300"), (459.8, "460"), (3.14159e6, "3,140,000")]
)
def test_estimates_are_written_to_three_figures_without_a_power_of_ten(n, shown):
    assert about(n) == shown


def test_names_in_two_forms_of_unicode_are_one():
    written = ["a\u0308", " \u00e4", "\u00e4", "b", "\u212b", "A\u030a"]
    assert class_names(written, "here") == {
        " \u00e4": "\u00e4", "A\u030a": "\u00c5", "a\u0308": "\u00e4", "b": "b", "\u00e4": "\u00e4",
        "\u212b": "\u00c5",
    }  # fmt: skip
    assert list(class_names(written, "here")) == sorted(written)


@pytest.mark.parametrize(
    ("names", "points"),
    [
        (["cat", "ca\u200bt"], "U+200B"),  # no width
        (["ice cream", "ice\u00a0cream"], "U+00A0"),  # a space that doesn't break
        (["ice cream", "ice  cream"], "nothing else"),
        (["\u00b5m", "\u03bcm"], "U+00B5"),  # micro and mu
        (["find", "\ufb01nd"], "U+FB01"),  # a ligature
        (["\u2764", "\u2764\ufe0f"], "U+FE0F"),  # a variation of a heart
        (["cat", "c\u00adat"], "U+00AD"),  # a soft hyphen
        (["t-shirt", "t\u2010shirt"], "U+2010"),  # two hyphens
    ],
)
def test_names_that_only_look_the_same_are_refused_with_their_code_points(names, points):
    with pytest.raises(DataError, match="look the same") as error:
        class_names(names, "here")
    assert points in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_names_that_look_different_stay():
    names = ["2", "\u00b2", "\uff12", "\u2461", "A", "a", "O", "0", "u", "\u00fc"]
    assert class_names(names, "here") == {name: name for name in names}
