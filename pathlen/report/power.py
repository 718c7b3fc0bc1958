"""What the texts of a run could have shown, claim by claim."""

from __future__ import annotations

from pathlen.claims.finding import detectable, needed
from pathlen.records.schema import Run

__all__ = ["power_lines"]


def power_lines(run: Run) -> list[str]:
    """Return, for every finding that was inferred, what so many tokens find, and how many more would decide."""
    regions = {(claim.id, claim.reading): claim.region for claim in run.claims}
    lines = []
    for one in run.findings:
        if one.estimate is None:
            continue
        region = regions[one.claim, one.reading]
        if not (could := detectable(one.estimate, region)):
            continue
        worth = one.estimate.effective_n
        independent = "" if worth is None else f", worth {worth:,.0f} independent ones,"
        lines.append(f"{one.claim} ({one.reading}) on {one.size}: {one.estimate.n:,} tokens{independent} {could}")
        if more := needed(one.estimate, region):
            lines[-1] += f"; {more}"
    return lines or ["nothing in this record was inferred from a sample, so there is no power to speak of"]
