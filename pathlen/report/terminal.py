"""The matrix for a terminal: one line per claim, one column per size."""

from __future__ import annotations

from pathlen.records import Run
from pathlen.report.matrix import OF_ITS_TEXTS_ONLY, Cell, rows, sentence, speaks_of_its_texts_only

__all__ = ["terminal_lines"]


def terminal_lines(run: Run) -> list[str]:
    """Return the lines of the matrix, the sentence that sums it up, and what the run is about."""
    table = [["", *run.sizes, "together"]]
    for row in rows(run):
        name = row.claim.id + (" (as published)" if row.claim.reading == "as published" else "")
        if row.across is None:
            table.append([name, *map(_cell, row.cells), row.together])
        else:
            table.append([name, *("" for _ in row.cells), _cell(row.across)])
    if not any(line[-1] for line in table[1:]):
        table = [line[:-1] for line in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    missing = sorted({one.reason for one in run.findings if one.verdict == "not tested"})
    about = [f"not tested: {reason}" for reason in missing]
    about += [
        f"{one.verdict}: {one.claim}, {one.reading}, {one.size}: {one.reason}"
        for one in run.findings
        if one.verdict in ("inconclusive", "invalid")
    ]
    if speaks_of_its_texts_only(run):
        about.append(OF_ITS_TEXTS_ONLY)
    if run.family == "mini":
        about.append("mini is a demonstration family: these verdicts say nothing about GPT-2")
    return [*lines, "", sentence(run), *about]


def _cell(cell: Cell) -> str:
    return " ".join(
        part for part in (cell.symbol, cell.word, cell.value, f"({cell.flag})" if cell.flag else "") if part
    )
