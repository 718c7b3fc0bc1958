"""Sentences made from numbers: what a run came to, and what each finding says to a reader who is no statistician.

Every sentence is a function of the record. The tests compare each with the numbers that it was made from, over many generated
records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pathlen.claims.controls import Control, Tally
from pathlen.claims.last_step_multiverse import LAST_STEP_AND_NEXT_TOKEN
from pathlen.claims.power import crossed_edges, rounded_up
from pathlen.claims.verdict import Region, Verdict
from pathlen.records.schema import ClaimRecord, FindingRecord, Run
from pathlen.report.matrix import NOT_CLAIMED, NOT_RUN, rows
from pathlen.stats.estimate import Estimate
from pathlen.stats.power import tokens_to_decide

__all__ = ["Badge", "badge", "central", "headline", "outcomes", "plain", "question", "settles", "short", "told"]

HOLDS, REFUTED, VACUOUS, OPEN, BROKEN, NOT_TESTED = (
    "holds",
    "refuted",
    "vacuous",
    "open",
    "broken",
    "not tested",
)
SMALL_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
FEWEST_DECIMALS, MOST_DECIMALS = 0, 9


@dataclass(frozen=True, slots=True)
class NumberName:
    """What a number is called in a sentence. A symbol such as r keeps its case at the head of one."""

    words: str
    is_symbol: bool = False

    @property
    def at_head(self) -> str:
        """The name as the first words of a sentence."""
        return self.words if self.is_symbol else self.words[0].upper() + self.words[1:]


@dataclass(frozen=True, slots=True)
class Badge:
    """One sign for a whole run, as replication journals use it: replicated, not replicated, or neither."""

    sign: str
    word: str
    meaning: str


def outcomes(run: Run) -> dict[str, str]:
    """Return the outcome of each claim over all the sizes it speaks about, by its corrected reading if it has one.

    ``holds`` if every check was supported, ``refuted`` if any was refuted, ``open`` if one is inconclusive or was not run,
    ``vacuous`` if support was vacuous on some size.
    """
    by_claim: dict[str, str] = {}
    for row in rows(run):
        if row.claim.reading == "corrected" or row.claim.id not in by_claim:
            by_claim[row.claim.id] = _outcome([cell.word for cell in row.all_cells if cell.word != NOT_CLAIMED])
    return by_claim


def _outcome(words: Sequence[str]) -> str:
    tested = [word for word in words if word not in (NOT_RUN, Verdict.NOT_TESTED.value)]
    if not tested:
        return NOT_TESTED
    if Verdict.REFUTED.value in tested:
        return REFUTED
    if {Verdict.ERROR.value, Verdict.INVALID.value} & set(tested):
        return BROKEN
    if Verdict.INCONCLUSIVE.value in tested or len(tested) < len(words):
        return OPEN
    return VACUOUS if Verdict.VACUOUS.value in tested else HOLDS


def badge(run: Run) -> Badge:
    """Return the sign of a run, over the claims that the document states and that could have failed."""
    confirmatory = {claim.id for claim in run.claims if not claim.exploratory and not claim.true_by_construction}
    counted = [outcome for claim, outcome in outcomes(run).items() if claim in confirmatory]
    if counted and set(counted) == {HOLDS}:
        return Badge("[Re]", "supported", "every claim that could have failed holds wherever it was made")
    if REFUTED in counted and HOLDS not in counted:
        return Badge(
            "[¬Re]", "refuted", "no claim that could have failed holds wherever it was made, and some are refuted"
        )
    return Badge("[?Re]", "mixed", "some claims hold, others are refuted, empty or open; there is no total score")


def headline(run: Run) -> str:
    """Return the result of a run in one or two sentences: how many claims had which outcome, and the relation at the centre."""
    by_claim = list(outcomes(run).values())
    parts = [
        f"{_count(by_claim.count(outcome))} {words}"
        for outcome, words in (
            (HOLDS, "hold wherever they were made"),
            (REFUTED, "are refuted on one size or more"),
            (VACUOUS, "are vacuous (their controls or any network would say the same)"),
            (OPEN, "are left open"),
            (BROKEN, "gave no usable number"),
            (NOT_TESTED, "were not tested"),
        )
        if outcome in by_claim
    ]
    sizes = "one size" if len(run.sizes) == 1 else f"{_count(len(run.sizes))} sizes"
    listed = ", ".join(parts) or "none was run"
    said = f"Of {len(by_claim)} claim{'' if len(by_claim) == 1 else 's'} on {sizes}: {listed}."
    if middle := central(run):
        # Without its verdict, a number would read as support even if its controls gave the same.
        numbers = ", ".join(
            f"{_number(finding.estimate)} in {finding.size} ({finding.verdict})"
            for _, finding in middle
            if finding.estimate is not None
        )
        name = short(middle[0][1].estimate) if middle[0][1].estimate else "the number"
        said += f" At the centre, {middle[0][0].universes}: {name} = {numbers}."
    return said


def question(run: Run) -> str:
    """Return the title of a page."""
    if central(run) and any(claim.universes == LAST_STEP_AND_NEXT_TOKEN.name for claim in run.claims):
        return "Does the length of a token’s last step say what a language model predicts next?"
    return f"Do these {len({claim.id for claim in run.claims})} claims hold on {run.family}?"


def central(run: Run) -> list[tuple[ClaimRecord, FindingRecord]]:
    """Return the findings of the central relation of a run: one per size, in the order of the sizes.

    These are of all corrected claims that share the universes and the statistic of the first claim with universes.
    """
    claims = {
        (claim.id, claim.reading): claim for claim in run.claims if claim.universes and claim.reading == "corrected"
    }
    by_size: dict[str, tuple[ClaimRecord, FindingRecord]] = {}
    first: tuple[str, str] | None = None
    for finding in run.findings:
        claim = claims.get((finding.claim, finding.reading))
        if claim is None or finding.estimate is None or finding.size not in run.sizes:
            continue
        first = first or (claim.universes, finding.estimate.statistic)
        if (claim.universes, finding.estimate.statistic) == first:
            by_size.setdefault(finding.size, (claim, finding))
    return [by_size[size] for size in run.sizes if size in by_size]


def short(estimate: Estimate) -> str:
    """Return a short name for a number, to be used in a sentence."""
    return _name(estimate).words


def _name(estimate: Estimate) -> NumberName:
    kind = estimate.kind
    return (
        NumberName(f"the {estimate.statistic}") if kind is None else NumberName(kind.symbol, is_symbol=kind.is_symbol)
    )


def told(estimate: Estimate, region: Region) -> tuple[str, str, str]:
    """Return value, low and high as `Estimate.digits` does, with more digits where rounding would cross an edge.

    The shown numbers must compare as the exact ones do: an interval that ends at 0.0996 must not be shown to end at 0.10 if the
    claim is about 0.1.
    """
    exact = (estimate.value, estimate.low, estimate.high)
    edges = [edge for edge in (region.low, region.high) if math.isfinite(edge)]

    def agrees(written: Sequence[str]) -> bool:
        return all(
            (float(text) > edge) - (float(text) < edge) == (number > edge) - (number < edge)
            for text, number in zip(written, exact, strict=True)
            for edge in edges
        )

    shown: tuple[str, ...] = estimate.digits
    decimals = FEWEST_DECIMALS
    while not agrees(shown) and decimals < MOST_DECIMALS:
        decimals += 1
        shown = tuple(f"{round(number, decimals) + 0.0:.{decimals}f}" for number in exact)
    if not agrees(shown):
        shown = tuple(repr(number + 0.0) for number in exact)
    value, low, high = shown
    return value, low, high


def settles(estimate: Estimate, region: Region) -> int | None:
    """Return how many more tokens would decide if the value is right; None if that can't be said."""
    needed = [tokens_to_decide(estimate, edge) for edge in crossed_edges(estimate, region)]
    known = [tokens for tokens in needed if tokens is not None]
    return max(known) - estimate.n if known else None


def plain(claim: ClaimRecord, finding: FindingRecord) -> str:
    """Return a finding in plain words, for a reader who is no statistician."""
    estimate = finding.estimate
    if estimate is None:
        words = {
            Verdict.NOT_TESTED.value: "Not tested, so nothing is said",
            Verdict.INVALID.value: "No number can be trusted here",
            Verdict.ERROR.value: "The check itself broke, which says nothing about the claim",
        }.get(finding.verdict, "There is no number")
        return f"{words}{': ' + finding.reason if finding.reason else ''}."
    region, name = claim.region, short(estimate)
    value, low, high = told(estimate, region)
    if estimate.unit == "census":
        seen = f"Counted over all {estimate.n:,} tokens, {name} is {value}"
        inside = region.low < estimate.value < region.high
        said = f"{seen}, which is {'' if inside else 'not '}{region}"
    else:
        said = f"{_name(estimate).at_head} is {value}; the data fit anything from {low} to {high} ({estimate.level:.0%} interval)"
        inside = region.low < estimate.low and estimate.high < region.high
        said += (
            {True: f", all of it {region}", False: f", none of it {region}"}[inside]
            if _decided(estimate, region)
            else ""
        )
    if finding.verdict == Verdict.INCONCLUSIVE.value:
        return f"{said}. {_undecided(estimate, region, name)}"
    if finding.verdict == Verdict.VACUOUS.value:
        return f"{said}. {_vacuous(claim, finding)}"
    if finding.verdict == Verdict.REFUTED.value:
        return f"{said}: not what was claimed."
    weak = ", though too small to matter" if finding.negligible else ""
    return f"{said}: what was claimed{weak}."


def _decided(estimate: Estimate, region: Region) -> bool:
    return not crossed_edges(estimate, region)


def _undecided(estimate: Estimate, region: Region, name: str) -> str:
    edges = " and from ".join(f"{edge:g}" for edge in crossed_edges(estimate, region))
    said = f"They can’t tell {name} from {edges} at this length"
    more = settles(estimate, region)
    if more is None or more < 1:
        return f"{said}."
    return f"{said}; about {rounded_up(more):,} more tokens would, if {name} is what it seems."


def _vacuous(claim: ClaimRecord, finding: FindingRecord) -> str:
    if claim.true_by_construction:
        return f"It could not have come out otherwise: {claim.true_by_construction}."
    where = " and ".join(_rate(tally) for tally in finding.controls if tally.shows_vacuity)
    return f"But that is so where it should not be, too: {where}. So it shows nothing."


def _rate(tally: Tally) -> str:
    return f"in {tally.supported} of {tally.defined} {Control(tally.control).where}"


def _number(estimate: Estimate) -> str:
    value, low, high = estimate.digits
    return value if estimate.unit == "census" else f"{value} [{low}, {high}]"


def _count(number: int) -> str:
    return SMALL_NUMBERS[number] if number < len(SMALL_NUMBERS) else str(number)
