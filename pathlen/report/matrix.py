"""The matrix of claims and sizes, which every view of a record is built from."""

from __future__ import annotations

from dataclasses import dataclass

from pathlen.claims.claim import TOGETHER
from pathlen.claims.controls import Tally
from pathlen.claims.verdict import Verdict, combined
from pathlen.records.merge import OF
from pathlen.records.schema import ClaimRecord, FindingRecord, Run
from pathlen.stats.estimate import Estimate
from pathlen.stats.simultaneous import holm

__all__ = [
    "NOT_CLAIMED",
    "NOT_RUN",
    "SYMBOLS",
    "Cell",
    "Row",
    "family_of",
    "rows",
    "sentence",
    "speaks_of_its_texts_only",
]

DEVIATED = "deviated"
NOT_CLAIMED = "not claimed"
NOT_RUN = "not run"
SYMBOLS = {
    "supported": "✓",
    "refuted": "✗",
    "inconclusive": "?",
    "vacuous": "∅",
    "invalid": "!",
    "not tested": "–",
    "error": "‼",
    NOT_CLAIMED: "·",
    NOT_RUN: "·",
}
OF_ITS_TEXTS_ONLY = "There are too few texts to resample them, so their tokens were read as a series: intervals speak about these texts only."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One claim on one size; ``finding`` is None where the claim does not speak about the size, or did not run."""

    size: str
    word: str
    finding: FindingRecord | None

    @property
    def symbol(self) -> str:
        """A sign beside the word, so that no reader depends on colour."""
        return SYMBOLS[self.word]

    @property
    def flag(self) -> str:
        """What a reader must know beside the word: that the number is too small to matter, or depends on the analysis."""
        return ", ".join(self.finding.flags) if self.finding else ""

    @property
    def value(self) -> str:
        """The number, to the digits that its interval allows; empty if there is none."""
        estimate = self.finding.estimate if self.finding else None
        return estimate.digits[0] if estimate else ""

    @property
    def interval(self) -> str:
        """The interval in brackets; empty for a census."""
        estimate = self.finding.estimate if self.finding else None
        if estimate is None or estimate.unit == "census":
            return ""
        _, low, high = estimate.digits
        return f"[{low}, {high}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One claim in one reading, with a cell for every size of the run, or one ``across`` all sizes of each family."""

    claim: ClaimRecord
    cells: tuple[Cell, ...]
    across: tuple[Cell, ...] = ()

    @property
    def all_cells(self) -> tuple[Cell, ...]:
        """Every cell that can hold a finding."""
        return self.across or self.cells

    @property
    def name(self) -> str:
        """The claim's id, with its reading if that is the published one."""
        return self.claim.id + (" (as published)" if self.claim.reading == "as published" else "")

    @property
    def estimates(self) -> list[Estimate]:
        """What was estimated, cell by cell."""
        return [cell.finding.estimate for cell in self.all_cells if cell.finding and cell.finding.estimate]

    def width(self, cell: Cell) -> int:
        """Return how many sizes a cell stands for: one, or all of its family."""
        if cell not in self.across:
            return 1
        return sum(family_of(other.size) == family_of(cell.size) for other in self.cells)

    def has(self, verdict: Verdict) -> bool:
        """Whether any of its cells came to a verdict."""
        return any(cell.word == verdict.value for cell in self.all_cells)

    @property
    def limits(self) -> tuple[str, ...]:
        """What support would not show: what the claim itself names, and what holds for every claim of its kind."""
        estimates = self.estimates
        limits = [self.claim.not_shown] if self.claim.not_shown else []
        if self.claim.compares_sizes:
            limits.append("anything about size as such: there is one network of each size")
        if any(estimate.unit == "texts" for estimate in estimates):
            limits.append("anything about other texts than these")
        elif estimates and not self.is_census:
            limits.append("anything about texts of another kind")
        if estimates and not self.is_census:
            limits.append("more than sampling error: intervals know nothing of another training run or tokenizer")
        return tuple(limits)

    @property
    def anchor(self) -> str:
        """An id for links, unique in a run."""
        return f"{self.claim.id}-{self.claim.reading}".replace(" ", "-")

    def flags(self, cell: Cell) -> str:
        """What a reader must know beside a cell's word."""
        deviated = DEVIATED if self.claim.deviation else ""
        return ", ".join(filter(None, (deviated, cell.flag)))

    def emptiness(self, cell: Cell) -> str:
        """Why a cell is vacuous, in a word or two; empty if it isn't."""
        if cell.word != Verdict.VACUOUS.value or cell.finding is None:
            return ""
        if self.claim.true_by_construction:
            return "by construction"
        return ", ".join(f"{tally.control} too" for tally in cell.finding.controls if tally.shows_vacuity)

    @property
    def statistic(self) -> str:
        """The statistic of its number, empty if there is none; of a claim that compares sizes, the difference of one statistic."""
        return self.estimates[0].statistic if self.estimates else ""

    @property
    def is_census(self) -> bool:
        """Whether every number was counted over the measured tokens, with nothing inferred."""
        estimates = self.estimates
        return bool(estimates) and all(estimate.unit == "census" for estimate in estimates)

    @property
    def together(self) -> str:
        """The verdict over all sizes, one per family, if the claim is about all of them together; else empty."""
        if not self.across and self.claim.logic != "all":
            return ""
        by_family: dict[str, str] = {}
        for family in dict.fromkeys(family_of(cell.size) for cell in self.all_cells):
            cells = [cell for cell in self.all_cells if family_of(cell.size) == family]
            if word := cells[0].word if self.across else self._together(family, cells):
                by_family[family or cells[0].size] = word
        words = set(by_family.values())
        return words.pop() if len(words) == 1 else ", ".join(f"{family}: {word}" for family, word in by_family.items())

    def _together(self, family: str, cells: list[Cell]) -> str:
        words = {cell.size: cell.word for cell in cells if cell.word != NOT_CLAIMED}
        if not words:
            return ""
        claimed = tuple(size for size in self.claim.sizes if family_of(size) == family)
        sizes = claimed if set(words) <= set(claimed) else tuple(words)
        # A size that was not run leaves the claim undecided, unless another one refutes it.
        verdicts = [words.get(size, NOT_RUN) for size in sizes]
        return combined([Verdict.NOT_TESTED if word == NOT_RUN else Verdict(word) for word in verdicts]).value


def family_of(size: str) -> str:
    """Return the family in a size's name, in a record merged of several families; empty in a record of one.

    Examples
    --------
    >>> family_of("gpt2 / small"), family_of("small")
    ('gpt2', '')

    """
    return size.partition(OF)[0] if OF in size else ""


def speaks_of_its_texts_only(run: Run) -> bool:
    """Whether a run had so few texts that their tokens were read as a series instead of resampled."""
    estimates = [finding.estimate for finding in run.findings if finding.estimate]
    return any(estimate.unit == "texts" for estimate in estimates)


def vacuous_for(run: Run) -> list[tuple[ClaimRecord, list[tuple[str, tuple[Tally, ...]]]]]:
    """Return each claim that is supported in its controls as well, with the sizes and the tallies that show it."""
    vacuous = []
    for row in rows(run):
        by_size = [
            (cell.size, tuple(tally for tally in cell.finding.controls if tally.shows_vacuity))
            for cell in row.all_cells
            if cell.finding and cell.word == Verdict.VACUOUS.value and not row.claim.true_by_construction
        ]
        if by_size:
            vacuous.append((row.claim, by_size))
    return vacuous


def adjusted(run: Run) -> dict[tuple[str, str, str], float]:
    """Return Holm's p-value of every confirmatory finding of a run, by claim, reading and size.

    Confirmatory are the corrected readings of the claims that the document states, without those that it only suggests or that
    are true by construction. "All sizes together" needs no adjustment, but its sizes count all the same.
    """
    confirmatory = {
        (claim.id, claim.reading)
        for claim in run.claims
        if claim.reading == "corrected" and not claim.exploratory and not claim.true_by_construction
    }
    family = {
        (finding.claim, finding.reading, finding.size): finding.p_value
        for finding in run.findings
        if (finding.claim, finding.reading) in confirmatory and finding.p_value is not None
    }
    return dict(zip(family, holm(list(family.values())).tolist(), strict=True))


def rows(run: Run) -> list[Row]:
    """Return the matrix: a row per claim and reading, a cell per size of the run."""
    findings = {(finding.claim, finding.reading, finding.size): finding for finding in run.findings}
    matrix = []
    for claim in run.claims:
        cells = tuple(_cell(claim, size, findings.get((claim.id, claim.reading, size))) for size in run.sizes)
        families = dict.fromkeys(family_of(size) for size in run.sizes)
        together = [f"{family}{OF}{TOGETHER}" if family else TOGETHER for family in families]
        across = [_cell(claim, size, findings.get((claim.id, claim.reading, size))) for size in together]
        is_across = claim.logic == "differs" and any(cell.finding for cell in across)
        matrix.append(Row(claim=claim, cells=cells, across=tuple(across) if is_across else ()))
    return matrix


def _cell(claim: ClaimRecord, size: str, finding: FindingRecord | None) -> Cell:
    if finding is not None:
        return Cell(size=size, word=finding.verdict, finding=finding)
    return Cell(size=size, word=NOT_CLAIMED if size not in claim.sizes else NOT_RUN, finding=None)


def sentence(run: Run) -> str:
    """Return the verdicts of a run in one sentence, counted from its matrix.

    Checks of the published procedure are left out. They say what the document's own numbers come to here, slips included, and
    would count a claim twice.
    """
    words = [cell.word for row in rows(run) if row.claim.reading == "corrected" for cell in row.all_cells]
    checks = [word for word in words if word not in (NOT_CLAIMED, NOT_RUN)]
    counts = [f"{checks.count(word)} {word}" for word in SYMBOLS if word in checks]
    sizes = "one size" if len(run.sizes) == 1 else f"{len(run.sizes)} sizes"
    claims = len({claim.id for claim in run.claims})
    listed = ", ".join(counts[:-1]) + f" and {counts[-1]}" if len(counts) > 1 else "".join(counts) or "none made"
    return f"{claims} claims on {sizes}, {len(checks)} checks, slips corrected: {listed}."
