"""Renders a record for people: as one self-contained page, a table for a pull request, or a few lines for a terminal.

The only input is the record, so an old file renders again with neither model nor torch. Every sentence about a number is derived
from the record; none is written by hand.
"""

from __future__ import annotations

from pathlen.report.diff import diff_lines, diff_markdown, difference
from pathlen.report.page import page
from pathlen.report.power import power_lines
from pathlen.report.tables import matrix_markdown, tokens_csv
from pathlen.report.terminal import terminal_lines

__all__ = [
    "diff_lines",
    "diff_markdown",
    "difference",
    "matrix_markdown",
    "page",
    "power_lines",
    "terminal_lines",
    "tokens_csv",
]
