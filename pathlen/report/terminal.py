"""The matrix for a terminal: one line per claim, one column per size."""

from __future__ import annotations

from pathlen.claims.verdict import Verdict
from pathlen.records.schema import Run
from pathlen.report.matrix import OF_ITS_TEXTS_ONLY, Cell, Row, rows, sentence, speaks_of_its_texts_only, vacuous_for

__all__ = ["terminal_lines"]


def terminal_lines(run: Run) -> list[str]:
    """Return the lines of the matrix, the sentence that sums it up, and remarks on the run."""
    table = [["", *run.sizes, "together"]]
    for row in rows(run):
        if row.across:
            over_all = "; ".join(_cell(row, cell) for cell in row.across)
            table.append([row.name, *("" for _ in row.cells), over_all])
        else:
            table.append([row.name, *(_cell(row, cell) for cell in row.cells), row.together])
    if not any(line[-1] for line in table[1:]):
        table = [line[:-1] for line in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    missing = sorted({finding.reason for finding in run.findings if finding.verdict == Verdict.NOT_TESTED.value})
    about = [f"not tested: {reason}" for reason in missing]
    about += [
        f"{finding.verdict}: {finding.claim}, {finding.reading}, {finding.size}: {finding.reason}"
        for finding in run.findings
        if finding.verdict in (Verdict.INCONCLUSIVE.value, Verdict.INVALID.value)
    ]
    for claim, by_size in vacuous_for(run):
        where = "; ".join(
            f"{size}: " + ", ".join(f"{tally.control} {tally.supported} of {tally.defined}" for tally in tallies)
            for size, tallies in by_size
        )
        about.append(f"vacuous: {claim.id}, {claim.reading}, is supported where it should not be ({where})")
    for finding in run.findings:
        if finding.universes and finding.universes.is_fragile:
            share = f"{finding.universes.agreeing:.0%} of equivalent analyses"
            about.append(
                f"fragile: {finding.claim}, {finding.reading}, {finding.size}: only {share} come to the same verdict"
            )
    from_cache = [model.size for model in run.models if model.is_kept]
    if from_cache:
        about.append(f"measured by an earlier session, so nothing was run through the network: {', '.join(from_cache)}")
    by_construction = [row.claim.id for row in rows(run) if row.claim.true_by_construction and row.has(Verdict.VACUOUS)]
    if by_construction:
        about.append(
            f"vacuous: {', '.join(dict.fromkeys(by_construction))} could not have come out otherwise, by construction"
        )
    about += _controls(run)
    about += [f"DEVIATED from {run.lock}: {text}" for text in run.deviations]
    if speaks_of_its_texts_only(run):
        about.append(OF_ITS_TEXTS_ONLY)
    if run.family == "mini":
        about.append("mini is a demonstration family: these verdicts say nothing about GPT-2")
    return [*lines, "", sentence(run), *about]


def _controls(run: Run) -> list[str]:
    tallies = [tally for finding in run.findings for tally in finding.controls]
    if not tallies:
        supported = any(finding.verdict == Verdict.SUPPORTED.value for finding in run.findings)
        return ["controls were not run, so support may be what any network would give"] if supported else []
    runs, seconds = sum(tally.runs for tally in tallies), sum(tally.seconds for tally in tallies)
    from_cache = sum(tally.kept for tally in tallies)
    earlier = f", {from_cache:,} of them by an earlier session" if from_cache else ""
    return [f"controls ({run.controls}): {runs:,} runs in {seconds:.0f} s{earlier}"]


def _cell(row: Row, cell: Cell) -> str:
    flags = row.flags(cell) if cell.finding else ""
    return " ".join(part for part in (cell.symbol, cell.word, cell.value, f"({flags})" if flags else "") if part)
