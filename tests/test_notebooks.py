"""The notebooks of the documentation run, cell by cell, and still say what they show."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def shown(cell):
    """What a cell printed when the notebook was last run."""
    return "".join(text for output in cell["outputs"] for text in output.get("text", []))


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(path, place):
    import matplotlib

    matplotlib.use("agg")
    names = {"__name__": "notebook"}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            out = StringIO()
            with redirect_stdout(out):
                exec(compile("".join(cell["source"]), path.name, "exec"), names)
            assert out.getvalue() == shown(cell)


def test_no_notebook_names_a_place_of_the_machine_that_ran_it():
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        assert "/home/" not in text
        assert "/tmp/" not in text
