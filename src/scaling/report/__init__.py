"""The command `python -m scaling.report`: runs → curves → figures, table and page, logged onto the parent run."""

from scaling.report.command import main

__all__ = ["main"]
