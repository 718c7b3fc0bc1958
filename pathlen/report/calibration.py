"""How far the instrument can be trusted: coverage in simulations with a known truth, and verdicts on random networks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pathlen.claims.verdict import Verdict
from pathlen.records.schema import Severity
from pathlen.stats.calibration.table import Rate

__all__ = ["SEVERITY_WORDS", "CoverageRow", "SeverityRow", "lines", "severity_rows"]

GROUPS = {
    "one text, blocks of tokens": range(1, 2),
    "5 passages": range(5, 6),
    "8 passages or more": range(8, 10**6),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """One statistic for one range of passages, over all its cells.

    Attributes
    ----------
    lowest, mean, highest : float
        Coverage of the 95 % interval in the worst, the average and the most conservative cell.
    false_below : float or None
        How often ``below(0)`` came out supported where the truth was 0, in the worst cell; None without such a cell.
    false_about_zero : float or None
        How often "within 0.1 of zero" came out supported where the truth was -0.1, in the worst cell.

    """

    statistic: str
    where: str
    cells: int
    runs: int
    lowest: float
    mean: float
    highest: float
    false_below: float | None
    false_about_zero: float | None


def lines(table: Iterable[Rate]) -> list[CoverageRow]:
    """Return a row per statistic and range of passages, in the order of the table."""
    rates = list(table)
    coverage = []
    for statistic in dict.fromkeys(rate.statistic for rate in rates):
        for where, passages in GROUPS.items():
            cells = [rate for rate in rates if rate.statistic == statistic and rate.passages in passages]
            if cells:
                covered = [rate.covered_95 for rate in cells]
                coverage.append(
                    CoverageRow(
                        statistic=statistic,
                        where=where,
                        cells=len(cells),
                        runs=min(rate.runs for rate in cells),
                        lowest=min(covered),
                        mean=sum(covered) / len(covered),
                        highest=max(covered),
                        false_below=max((rate.said_below for rate in cells if rate.truth == 0), default=None),
                        false_about_zero=max(
                            (rate.said_about_zero for rate in cells if rate.truth == -0.1), default=None
                        ),
                    )
                )
    return coverage


SEVERITY_WORDS = tuple(
    verdict.value
    for verdict in (Verdict.SUPPORTED, Verdict.VACUOUS, Verdict.REFUTED, Verdict.INCONCLUSIVE, Verdict.INVALID)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityRow:
    """One claim on random networks, over all its sizes: its checks, and how many came to each of `SEVERITY_WORDS`."""

    claim: str
    reading: str
    counts: bool
    checks: int
    numbers: tuple[int, ...]


def severity_rows(severity: Severity | None) -> list[SeverityRow]:
    """Return a row per claim, in the order of the table."""
    by_claim: dict[tuple[str, str, bool], list[dict[str, int]]] = {}
    for line in severity.lines if severity else ():
        by_claim.setdefault((line.claim, line.reading, line.counts), []).append(line.verdicts)
    return [
        SeverityRow(
            claim=claim,
            reading=reading,
            counts=counts,
            checks=sum(sum(counted.values()) for counted in verdicts),
            numbers=tuple(sum(counted.get(word, 0) for counted in verdicts) for word in SEVERITY_WORDS),
        )
        for (claim, reading, counts), verdicts in by_claim.items()
    ]
