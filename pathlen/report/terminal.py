"""The matrix for a terminal: one line per claim, one column per size."""

from __future__ import annotations

from pathlen.claims.verdict import Verdict
from pathlen.records.schema import Run
from pathlen.report.matrix import OF_ITS_TEXTS_ONLY, Cell, Row, rows, sentence, speaks_of_its_texts_only, vacuous_for

__all__ = ["terminal_lines"]


def terminal_lines(run: Run) -> list[str]:
    """Return the lines of the matrix, the sentence that sums it up, and what the run is about."""
    table = [["", *run.sizes, "together"]]
    for row in rows(run):
        name = row.claim.id + (" (as published)" if row.claim.reading == "as published" else "")
        if row.across:
            whole = "; ".join(_cell(row, cell) for cell in row.across)
            table.append([name, *("" for _ in row.cells), whole])
        else:
            table.append([name, *(_cell(row, cell) for cell in row.cells), row.together])
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
    for claim, found in vacuous_for(run):
        where = "; ".join(
            f"{size}: " + ", ".join(f"{one.control} {one.supported} of {one.defined}" for one in damning)
            for size, damning in found
        )
        about.append(f"vacuous: {claim.id}, {claim.reading}, is supported where it should not be ({where})")
    for one in run.findings:
        if one.universes and one.universes.is_fragile:
            share = f"{one.universes.agreeing:.0%} of equivalent analyses"
            about.append(f"fragile: {one.claim}, {one.reading}, {one.size}: only {share} come to the same verdict")
    kept = [model.size for model in run.models if model.is_kept]
    if kept:
        about.append(f"measured by an earlier session, so nothing was run through the network: {', '.join(kept)}")
    built = [row.claim.id for row in rows(run) if row.claim.true_by_construction and row.has(Verdict.VACUOUS)]
    if built:
        about.append(f"vacuous: {', '.join(dict.fromkeys(built))} could not have come out otherwise, by construction")
    about += _controls(run)
    about += [f"DEVIATED from {run.lock}: {text}" for text in run.deviations]
    if speaks_of_its_texts_only(run):
        about.append(OF_ITS_TEXTS_ONLY)
    if run.family == "mini":
        about.append("mini is a demonstration family: these verdicts say nothing about GPT-2")
    return [*lines, "", sentence(run), *about]


def _controls(run: Run) -> list[str]:
    tallies = [tally for one in run.findings for tally in one.controls]
    if not tallies:
        supported = any(one.verdict == Verdict.SUPPORTED.value for one in run.findings)
        return ["controls were not run, so support may be what any network would give"] if supported else []
    runs, seconds = sum(one.runs for one in tallies), sum(one.seconds for one in tallies)
    kept = sum(one.kept for one in tallies)
    earlier = f", {kept:,} of them by an earlier session" if kept else ""
    return [f"controls ({run.controls}): {runs:,} runs in {seconds:.0f} s{earlier}"]


def _cell(row: Row, cell: Cell) -> str:
    flags = row.flags(cell) if cell.finding else ""
    return " ".join(part for part in (cell.symbol, cell.word, cell.value, f"({flags})" if flags else "") if part)
