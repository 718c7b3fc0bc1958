"""From a record to what people read: one self-contained page, a table for a pull request, and a few lines for a terminal.

Only records come in, so an old file renders again with neither model nor torch. Every word and figure on a page
is derived from the record; nothing is written by hand beside the numbers.
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
