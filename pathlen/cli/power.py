"""The command ``pathlen power``: what the texts of a record could have shown."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen.cli.command import DONE, JSON, PATH, argument, command, identity_of, say, say_json

if TYPE_CHECKING:
    from pathlen.records.schema import Run

__all__ = ["power"]


@command(
    "power",
    "what a record's texts could have shown, and what it would take to decide",
    argument("record", metavar="RECORD", type=Path, completes=PATH),
    JSON,
)
def power(options: Namespace) -> int:
    """Print for every finding which effect its tokens can detect, and how many more would decide it."""
    from pathlen.records.files import read
    from pathlen.report import power_lines

    run = read(options.record)
    if options.json:
        say_json(_rows(run))
    else:
        say(*power_lines(run))
    return DONE


def _rows(run: Run) -> list[dict[str, Any]]:
    """Return the power of every finding that has an estimate, as plain data."""
    from pathlen.claims.power import detectable, needed

    regions = {(claim.id, claim.reading): claim.region for claim in run.claims}
    rows: list[dict[str, Any]] = []
    for finding in run.findings:
        if finding.estimate is not None:
            region = regions[finding.claim, finding.reading]
            rows.append(
                {
                    **identity_of(finding),
                    "verdict": finding.verdict,
                    "tokens": finding.estimate.n,
                    "effective_tokens": finding.estimate.effective_n,
                    "could_show": detectable(finding.estimate, region),
                    "would_decide": needed(finding.estimate, region),
                }
            )
    return rows
