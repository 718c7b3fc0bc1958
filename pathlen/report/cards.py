"""What the page shows of each claim: one card per claim, its corrected reading beside the published one."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from pathlen.claims.multiverse import EQUIVALENT, Curve
from pathlen.claims.power import detectable
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
    """A claim on one size: its cell of the matrix, its finding in plain words, and the fine print."""

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
        return next((estimate.statistic for estimate in self.estimates), "")

    @property
    def estimates(self) -> list[Estimate]:
        """The estimates, in the order of the sizes."""
        return [said.finding.estimate for said in self.said if said.finding.estimate]

    @property
    def sample(self) -> str:
        """What was resampled and how much of it there was; size by size where they differ."""
        return "; or ".join(dict.fromkeys(estimate.sample for estimate in self.estimates))

    @property
    def methods(self) -> list[str]:
        """The methods of the intervals."""
        return list(dict.fromkeys(estimate.method for estimate in self.estimates))

    @property
    def cautions(self) -> list[str]:
        """What a reader must know about intervals of this kind."""
        return list(dict.fromkeys(estimate.caution for estimate in self.estimates if estimate.caution))


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A claim: its readings, the way from the published number to the corrected one, and whether it has universes."""

    id: str
    readings: tuple[Reading, ...]
    waterfalls: tuple[tuple[str, Markup], ...]
    has_universes: bool

    @property
    def claim(self) -> ClaimRecord:
        """The declaration of the first reading, which is the corrected one if there is one."""
        return self.readings[0].row.claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The numbers of a claim on one size over all analyses."""

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
    """What one correction changes on each size; None where that was not taken apart."""

    name: str
    effects: tuple[float | None, ...]


def cards(run: Run) -> list[Card]:
    """Return a card for every claim, in the order of the record."""
    by_claim: dict[str, list[Row]] = {}
    for row in rows(run):
        by_claim.setdefault(row.claim.id, []).append(row)
    holm = adjusted(run)
    return [
        _card(claim, sorted(readings, key=lambda row: row.claim.reading != "corrected"), holm)
        for claim, readings in by_claim.items()
    ]


def _card(claim: str, readings: list[Row], holm: dict[tuple[str, str, str], float]) -> Card:
    tested = [(cell.size, cell.finding) for row in readings for cell in row.all_cells if cell.finding]
    ends = [end for row in readings for line in _lines(row) for end in line.extremes]  # readings share an axis
    return Card(
        id=claim,
        readings=tuple(_reading(row, ends, holm) for row in readings),
        waterfalls=tuple(
            (
                size,
                waterfall(
                    finding.attribution,
                    title=f"{claim}, {size}: from as published to corrected, correction by correction",
                    name=short(finding.estimate) if finding.estimate else "",
                ),
            )
            for size, finding in tested
            if finding.attribution
        ),
        has_universes=any(finding.universes for _, finding in tested),
    )


def _fine(row: Row, finding: FindingRecord, holm: dict[tuple[str, str, str], float]) -> str:
    """Return the fine print below a finding: its sample, its p-value, why it is open, and what its controls gave."""
    estimate = finding.estimate
    if estimate is None:
        return ""
    parts = []
    starts_with_symbol = False
    if estimate.effective_n:
        parts.append(f"worth {estimate.effective_n:,.0f} independent tokens")
    elif estimate.unit == "census":
        parts.append("counted")
    if finding.p_value is not None:
        p = holm.get((finding.claim, finding.reading, finding.size))
        by_holm = f", by Holm over the {len(holm)} confirmatory checks p {p_words(p)}" if p is not None else ""
        starts_with_symbol = not parts
        parts.append(f"p {p_words(finding.p_value)} against its lying elsewhere{by_holm}")
    is_open, is_vacuous = (finding.verdict == verdict.value for verdict in (Verdict.INCONCLUSIVE, Verdict.VACUOUS))
    if is_open:
        parts.append(f"why it is open: {finding.reason}")
    else:
        if not is_vacuous and (could := detectable(estimate, row.claim.region)):
            parts.append(f"so many tokens {could}")
        if finding.reason:
            parts.append(finding.reason)
    parts += [str(tally) for tally in finding.controls if not (tally.shows_vacuity and (is_open or is_vacuous))]
    said = "; ".join(parts)
    return f"{said if starts_with_symbol else said[:1].upper() + said[1:]}."


def p_words(p: float) -> str:
    """Return a p-value as it is shown, which is never 0."""
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
    lines = [_line(row.claim, cell.finding) for cell in row.all_cells if cell.finding]
    return [line for line in lines if line is not None]


def _forest(row: Row, ends: list[float]) -> Markup | None:
    lines = _lines(row)
    if not lines:
        return None
    name = next(cell.finding.estimate.statistic for cell in row.all_cells if cell.finding and cell.finding.estimate)
    title = f"{row.claim.id}, {row.claim.reading}: intervals per size; the claim holds {row.claim.region}"
    return forest(lines, title=title, name=name, ends=ends)


def heart(run: Run) -> tuple[Markup, list[tuple[ClaimRecord, Said]]] | None:
    """Return the forest of the central relation over all sizes, with what it says of each; None if there is none."""
    findings = central(run)
    lines = [
        _line(claim, finding, finding.attribution.published if finding.attribution else None)
        for claim, finding in findings
    ]
    drawn = [line for line in lines if line is not None]
    if not drawn or findings[0][1].estimate is None:
        return None
    title = f"{findings[0][0].universes}: {short(findings[0][1].estimate)} in {', '.join(finding.size for _, finding in findings)}"
    said = [
        (
            claim,
            Said(
                cell=Cell(size=finding.size, word=finding.verdict, finding=finding),
                finding=finding,
                plain=plain(claim, finding),
            ),
        )
        for claim, finding in findings
    ]
    return forest(drawn, title=title, name=findings[0][1].estimate.statistic), said


def spreads(run: Run) -> list[Spread]:
    """Return every specification curve of a run."""
    curves = []
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
                curves.append(Spread(row=row, size=cell.size, curve=cell.finding.universes, figure=figure))
    return curves


def changes(run: Run) -> tuple[tuple[str, ...], list[Change]]:
    """Return the sizes of the central relation, and what each correction of the original changes on each of them."""
    findings = [finding for _, finding in central(run) if finding.attribution]
    attributions = [finding.attribution for finding in findings if finding.attribution]
    names = dict.fromkeys(name for attribution in attributions for name, _ in attribution.changes)
    effects = [dict(attribution.changes) for attribution in attributions]
    return tuple(finding.size for finding in findings), [
        Change(name=name, effects=tuple(by_correction.get(name) for by_correction in effects)) for name in names
    ]
