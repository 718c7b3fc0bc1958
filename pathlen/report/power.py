"""What the texts of a run could have detected, claim by claim."""

from __future__ import annotations

from pathlen.claims.power import detectable, needed
from pathlen.records.schema import Run

__all__ = ["power_lines"]


def power_lines(run: Run) -> list[str]:
    """Return, for every inferred finding, what its tokens could detect, and how many more would decide it."""
    regions = {(claim.id, claim.reading): claim.region for claim in run.claims}
    lines = []
    for finding in run.findings:
        if finding.estimate is None:
            continue
        region = regions[finding.claim, finding.reading]
        if not (could := detectable(finding.estimate, region)):
            continue
        worth = finding.estimate.effective_n
        independent = "" if worth is None else f", worth {worth:,.0f} independent ones,"
        lines.append(
            f"{finding.claim} ({finding.reading}) on {finding.size}: {finding.estimate.n:,} tokens{independent} {could}"
        )
        if more := needed(finding.estimate, region):
            lines[-1] += f"; {more}"
    return lines or ["nothing in this record was inferred from a sample, so there is no power to speak of"]
