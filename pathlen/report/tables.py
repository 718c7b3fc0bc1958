"""A record as tables for other programs: its tokens as CSV, its matrix as Markdown for a pull request."""

from __future__ import annotations

import csv
import io
import math

from pathlen._util.text import visible
from pathlen.records.schema import Run
from pathlen.report.matrix import NOT_CLAIMED, Cell, Row, family_of, rows
from pathlen.report.sentences import badge, headline

__all__ = ["COLUMNS", "MOST_CHARACTERS", "matrix_markdown", "tokens_csv"]

COLUMNS = (
    "size",
    "text",
    "token",
    "piece",
    "next_piece",
    "last_step",
    "path_length",
    "final_norm_step",
    "next_logit",
    "next_log_probability",
)
MOST_CHARACTERS = 65_535  # of a comment on a pull request


def tokens_csv(run: Run) -> str:
    """Return the tokens that a record holds, one per line, with the column names of `COLUMNS`.

    ``token`` is the token's index in its text, and pieces are written as in `pathlen.records.schema.Excerpt`.
    """
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    for model in run.models:
        for excerpt in model.excerpts:
            for row in range(excerpt.measured):
                token = excerpt.left_out + row
                writer.writerow(
                    [
                        model.size,
                        excerpt.text,
                        token,
                        excerpt.pieces[token],
                        excerpt.pieces[token + 1],
                        excerpt.steps[-1][row],
                        f"{math.fsum(step[row] for step in excerpt.steps):.5g}",
                        excerpt.final_norm_step[row],
                        excerpt.next_logit[row],
                        excerpt.next_log_probability[row],
                    ]
                )
    return target.getvalue()


def matrix_markdown(run: Run) -> str:
    """Return the sentence and the matrix of a run as Markdown of at most `MOST_CHARACTERS` characters.

    If the matrix is longer, the rows that don't fit are left out, and the last line says how many.
    """
    sign = badge(run)
    together = any(row.together and not row.across for row in rows(run))
    heads = ["claim", "holds if", *run.sizes, *(["together"] if together else [])]
    lines = [f"**{sign.sign} {sign.word}.** {_escaped(headline(run))}", ""]
    lines += [f"| {' | '.join(map(_escaped, heads))} |", "|" + "---|" * len(heads)]
    lines_of_rows = [f"| {' | '.join(map(_escaped, _cells(row, run, together)))} |" for row in rows(run)]
    shown: list[str] = []
    room = MOST_CHARACTERS - sum(len(line) + 1 for line in lines) - 100
    for line in lines_of_rows:
        room -= len(line) + 1
        if room < 0:
            break
        shown.append(line)
    if left := len(lines_of_rows) - len(shown):
        shown += ["", f"{left} more rows don’t fit into a comment; the page has them."]
    return "\n".join([*lines, *shown]) + "\n"


def _cells(row: Row, run: Run, together: bool) -> list[str]:
    cells = ["" for _ in run.sizes] if row.across else [_cell(row, cell) for cell in row.cells]
    for cell in row.across:  # in the column of its family's first size
        cells[[family_of(size) for size in run.sizes].index(family_of(cell.size))] = _cell(row, cell)
    over_all = "" if row.across else row.together
    return [row.name, str(row.claim.region), *cells, *([over_all] if together else [])]


def _cell(row: Row, cell: Cell) -> str:
    if cell.word == NOT_CLAIMED:
        return f"{cell.symbol} {cell.word}"
    flags = f"({row.flags(cell)})" if row.flags(cell) else ""
    return " ".join(part for part in (cell.symbol, cell.word, cell.value, cell.interval, flags) if part)


def _escaped(words: str) -> str:
    """Return words that can neither break out of a table's cell nor be read as Markdown."""
    words = visible(words)
    for letter in "\\`*_[]<>|":
        words = words.replace(letter, f"\\{letter}")
    return " ".join(words.split())
