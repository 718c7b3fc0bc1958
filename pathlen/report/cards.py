"""What the page shows of each claim: one card per claim, its corrected reading beside the published one."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from pathlen.claims.finding import detectable
from pathlen.claims.multiverse import EQUIVALENT, Curve
from pathlen.claims.verdict import Verdict
from pathlen.plots.figures import ForestRow, forest
from pathlen.records.schema import ClaimRecord, FindingRecord, Run
from pathlen.report.matrix import Cell, Row, adjusted, rows
from pathlen.report.scrutiny import specification, waterfall
from pathlen.report.sentences import central, plain, short
from pathlen.stats.estimate import Estimate

__all__ = ["Card", "Change", "Reading", "Said", "Spread", "cards", "changes", "heart", "p_words", "spreads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of a claim on one size: the cell of the matrix, the finding in plain words, and the fine print."""

    cell: Cell
    finding: FindingRecord
    plain: str
    fine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading of a claim: its forest, and a line per size."""

    row: Row
    figure: Markup | None
    said: tuple[Said, ...]

    @property
    def tested_as(self) -> str:
        """The statistic that stands for the claim."""
        return next((one.finding.estimate.statistic for one in self.said if one.finding.estimate), "")

    @property
    def estimates(self) -> list[Estimate]:
        """The numbers that were made, in the order of the sizes."""
        return [one.finding.estimate for one in self.said if one.finding.estimate]

    @property
    def sample(self) -> str:
        """What was resampled and how much of it there was, size by size where they differ."""
        return "; or ".join(dict.fromkeys(one.sample for one in self.estimates))

    @property
    def methods(self) -> list[str]:
        """How the intervals were made."""
        return list(dict.fromkeys(one.method for one in self.estimates))

    @property
    def cautions(self) -> list[str]:
        """What has to be known about intervals of this kind."""
        return list(dict.fromkeys(one.caution for one in self.estimates if one.caution))


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A claim: its readings, the way from the published number to the corrected one, and where its universes are."""

    id: str
    readings: tuple[Reading, ...]
    waterfalls: tuple[tuple[str, Markup], ...]
    has_universes: bool

    @property
    def claim(self) -> ClaimRecord:
        """The declaration of the first reading, which is the corrected one where there is one."""
        return self.readings[0].row.claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What a claim comes to on one size over all analyses."""

    row: Row
    size: str
    curve: Curve
    figure: Markup

    @property
    def equivalent(self) -> int:
        """How many analyses ask the same question."""
        return len(self.curve.values_of(EQUIVALENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one correction changes, on one size after the other; None where it was not taken apart."""

    name: str
    effects: tuple[float | None, ...]


def cards(run: Run) -> list[Card]:
    """Return a card for every claim, in the order of the record."""
    found: dict[str, list[Row]] = {}
    for row in rows(run):
        found.setdefault(row.claim.id, []).append(row)
    holm = adjusted(run)
    return [
        _card(claim, sorted(ones, key=lambda row: row.claim.reading != "corrected"), holm)
        for claim, ones in found.items()
    ]


def _card(claim: str, ones: list[Row], holm: dict[tuple[str, str, str], float]) -> Card:
    tested = [(cell.size, cell.finding) for row in ones for cell in row.all_cells if cell.finding]
    ends = [end for row in ones for line in _lines(row) for end in line.extremes]  # readings share an axis
    return Card(
        id=claim,
        readings=tuple(_reading(row, ends, holm) for row in ones),
        waterfalls=tuple(
            (
                size,
                waterfall(
                    one.attribution,
                    title=f"{claim}, {size}: from as published to corrected, correction by correction",
                    name=short(one.estimate) if one.estimate else "",
                ),
            )
            for size, one in tested
            if one.attribution
        ),
        has_universes=any(one.universes for _, one in tested),
    )


def _fine(row: Row, finding: FindingRecord, holm: dict[tuple[str, str, str], float]) -> str:
    """Return what stands in small print below a finding: how much it rests on, how sure, what was open, what controls gave."""
    estimate = finding.estimate
    if estimate is None:
        return ""
    parts = []
    if estimate.effective_n:
        parts.append(f"worth {estimate.effective_n:,.0f} independent tokens")
    elif estimate.unit == "census":
        parts.append("counted")
    if finding.p_value is not None:
        p = holm.get((finding.claim, finding.reading, finding.size))
        by_holm = f", by Holm over the {len(holm)} confirmatory checks p {p_words(p)}" if p is not None else ""
        parts.append(f"p {p_words(finding.p_value)} against its lying elsewhere{by_holm}")
    is_open, is_empty = (finding.verdict == one.value for one in (Verdict.INCONCLUSIVE, Verdict.VACUOUS))
    if is_open:
        parts.append(f"why it is open: {finding.reason}")
    else:
        if not is_empty and (could := detectable(estimate, row.claim.region)):
            parts.append(f"so many tokens {could}")
        if finding.reason:
            parts.append(finding.reason)
    parts += [str(tally) for tally in finding.controls if not (tally.shows_vacuity and (is_open or is_empty))]
    said = "; ".join(parts)
    return f"{said if said.startswith('p ') else said[:1].upper() + said[1:]}."


def p_words(p: float) -> str:
    """Return a p-value as it is shown: never 0."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}"


def _reading(row: Row, ends: list[float], holm: dict[tuple[str, str, str], float]) -> Reading:
    return Reading(
        row=row,
        figure=_forest(row, ends),
        said=tuple(
            Said(
                cell=cell,
                finding=cell.finding,
                plain=plain(row.claim, cell.finding),
                fine=_fine(row, cell.finding, holm),
            )
            for cell in row.all_cells
            if cell.finding
        ),
    )


def _line(claim: ClaimRecord, finding: FindingRecord, published: float | None = None) -> ForestRow | None:
    estimate = finding.estimate
    if estimate is None:
        return None
    return ForestRow(
        label=finding.size,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        region=(claim.region.low, claim.region.high),
        verdict=finding.verdict,
        quantiles=estimate.quantiles,
        controls=tuple((tally.control, tally.values) for tally in finding.controls),
        published=published,
    )


def _lines(row: Row) -> list[ForestRow]:
    found = [_line(row.claim, cell.finding) for cell in row.all_cells if cell.finding]
    return [line for line in found if line is not None]


def _forest(row: Row, ends: list[float]) -> Markup | None:
    lines = _lines(row)
    if not lines:
        return None
    name = next(cell.finding.estimate.statistic for cell in row.all_cells if cell.finding and cell.finding.estimate)
    title = f"{row.claim.id}, {row.claim.reading}: intervals per size; the claim holds {row.claim.region}"
    return forest(lines, title=title, name=name, ends=ends)


def heart(run: Run) -> tuple[Markup, list[tuple[ClaimRecord, Said]]] | None:
    """Return the forest of the central relation over all sizes with what it says of each; None if there is none."""
    found = central(run)
    lines = [_line(claim, one, one.attribution.published if one.attribution else None) for claim, one in found]
    drawn = [line for line in lines if line is not None]
    if not drawn or found[0][1].estimate is None:
        return None
    title = f"{found[0][0].universes}: {short(found[0][1].estimate)} in {', '.join(one.size for _, one in found)}"
    said = [
        (
            claim,
            Said(
                cell=Cell(size=one.size, word=one.verdict, finding=one),
                finding=one,
                plain=plain(claim, one),
            ),
        )
        for claim, one in found
    ]
    return forest(drawn, title=title, name=found[0][1].estimate.statistic), said


def spreads(run: Run) -> list[Spread]:
    """Return every specification curve of a run."""
    made = []
    for row in rows(run):
        region = (row.claim.region.low, row.claim.region.high)
        for cell in row.all_cells:
            if cell.finding and cell.finding.universes:
                estimate = cell.finding.estimate
                figure = specification(
                    cell.finding.universes,
                    region,
                    own=estimate.value if estimate else None,
                    title=f"{row.claim.id}, {cell.size}: all universes in order, and the range and median of each option",
                    name=short(estimate) if estimate else "the number",
                )
                made.append(Spread(row=row, size=cell.size, curve=cell.finding.universes, figure=figure))
    return made


def changes(run: Run) -> tuple[tuple[str, ...], list[Change]]:
    """Return the sizes of the central relation, and what each correction of the original changes on each of them."""
    found = [one for _, one in central(run) if one.attribution]
    names = dict.fromkeys(name for one in found if one.attribution for name, _ in one.attribution.changes)
    effects = [dict(one.attribution.changes) if one.attribution else {} for one in found]
    return tuple(one.size for one in found), [
        Change(name=name, effects=tuple(of.get(name) for of in effects)) for name in names
    ]
