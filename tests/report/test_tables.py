"""The main table as it leaves for programs and papers."""

import csv
import io

import pytest

from scaling.report.tables import Column as Heading
from scaling.report.tables import N, Table, as_csv, as_latex, as_markdown, share

TABLE = Table(
    "numbers",
    "a caption",
    (Heading("curve", "curve"), N, share("test", "test_accuracy"), share("gap", "gap", "+")),
    (("50% of a_b & c|d", 10, 0.51239, -0.25), ("<i>x</i>\n\\end", 1000, None, None)),
)


def test_csv_keeps_every_digit_and_leaves_what_is_not_known_empty():
    header, first, second = csv.reader(io.StringIO(as_csv(TABLE), newline=""))
    assert header == ["curve", "n", "test_accuracy", "gap"]
    assert first == ["50% of a_b & c|d", "10", "0.51239", "-0.25"]
    assert second[2] == ""


def test_markdown_has_a_cell_a_value_whatever_the_names_hold():
    head, rule, first, second = as_markdown(TABLE).splitlines()
    assert rule == "| --- | ---: | ---: | ---: |"
    assert first == r"| 50% of a\_b & c\|d | 10 | 0.5124 | -0.2500 |"
    assert second == r"| \<i\>x\</i\> \\end | 1000 | – | – |"
    assert head.count("|") == 5


def test_latex_escapes_its_own_signs():
    text = as_latex(TABLE)
    assert r"50\% of a\_b \& c\textbar{}d & 10 & 0.5124 & -0.2500 \\" in text
    assert r"\textless{}i\textgreater{}x\textless{}/i\textgreater{} \textbackslash{}end & 1000 & -- & -- \\" in text
    assert text.index(r"\begin{tabular}{lrrr}") < text.index(r"\toprule") < text.index(r"\bottomrule")


@pytest.mark.parametrize("form", [as_csv, as_markdown, as_latex])
def test_a_table_without_rows_is_its_heading(form):
    assert "curve" in form(Table("t", "c", TABLE.columns, ()))
