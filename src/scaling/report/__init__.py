"""The command `python -m scaling.report`: runs → curves → figures, table and page, logged onto the parent run."""

from scaling.core.published import Published, compare
from scaling.report.collection import Report, collect
from scaling.report.command import main
from scaling.report.files import FILES, write
from scaling.report.gaps import Gap, find_gaps
from scaling.report.screen import show

__all__ = ["FILES", "Gap", "Published", "Report", "collect", "compare", "find_gaps", "main", "show", "write"]
