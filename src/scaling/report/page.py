"""The page: one self-contained file."""

from functools import cache
from importlib.resources import files

from scaling.core.curves import caveats
from scaling.figures import plotly_script, short_labels
from scaling.report.collection import Report
from scaling.report.findings_tables import finding_tables
from scaling.report.payload import as_script, payload, sizes
from scaling.report.tables import main_table

#: With more curves than this, statements are folded and figures begin with the first few.
MANY_CURVES = 12
#: Above this the table of numbers scrolls within the page.
LONG_TABLE = 40


def render(report: Report) -> str:
    """Return the page: script, styles and numbers in one text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("scaling", "templates"), autoescape=True, undefined=StrictUndefined)
    findings = report.findings
    return environment.get_template("report.html.j2").render(
        report=report,
        findings=findings,
        numbers=main_table(report.curves, report.metric, findings),
        tables=finding_tables(report.curves, findings),
        payload=as_script(payload(report)),
        plotly=plotly_script(),
        styles=template("report.css"),
        scripts=[template("figures.js"), template("page.js")],
        datasets=sorted({curve.points[0].dataset for curve in report.curves}),
        many=len(report.curves) > MANY_CURVES,
        most=MANY_CURVES,
        long=LONG_TABLE,
        shared=short_labels([curve.label for curve in report.curves])[1],
        several_sizes=bool(findings and sizes(findings)),
        caveats=caveats(report.curves),
    )


@cache
def template(name: str) -> str:
    """Return a text from beside the template."""
    return files("scaling").joinpath("templates", name).read_text(encoding="utf-8")
