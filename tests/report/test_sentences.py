"""Sentences agree with the numbers that they were made from, in generated records."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pathlen.claims.controls import Tally
from pathlen.claims.verdict import Region, Verdict, above, below, within
from pathlen.records.schema import ClaimRecord, FindingRecord, Run
from pathlen.report.matrix import NOT_CLAIMED, SYMBOLS, rows
from pathlen.report.sentences import badge, central, headline, outcomes, plain, question, settles, short, told
from pathlen.stats.estimate import Estimate, Interval

ENDS = st.floats(-0.95, 0.95).filter(lambda value: value == 0 or abs(value) > 1e-6)
REGIONS = st.one_of(
    ENDS.map(below),
    ENDS.map(above),
    st.tuples(ENDS, ENDS).filter(lambda ends: abs(ends[0] - ends[1]) > 1e-3).map(lambda ends: within(*sorted(ends))),
)


@st.composite
def judged(draw: st.DrawFn) -> tuple[Region, Estimate]:
    """A region and an estimate whose interval the region judges."""
    region = draw(REGIONS)
    low, value, high = sorted(draw(st.tuples(ENDS, ENDS, ENDS)))
    assume(high - low > 1e-6)
    estimate = Estimate(
        statistic="Pearson r within passages",
        value=value,
        intervals=(Interval(region.level, low, high),),
        n=draw(st.integers(100, 100_000)),
        units=12,
        unit="passages",
        method="by hand",
        scale="fisher z",
        standard_error=(math.atanh(high) - math.atanh(low)) / 4,
        freedom=11.0,
    )
    return region, estimate


def recorded(run: Run, region: Region, estimate: Estimate | None, verdict: str) -> tuple[ClaimRecord, FindingRecord]:
    low, high = (end if math.isfinite(end) else None for end in (region.low, region.high))
    claim = replace(run.claims[0], low=low, high=high, negligible=None)
    finding = replace(
        run.findings[0], verdict=verdict, estimate=estimate, controls=(), universes=None, attribution=None, reason="why"
    )
    return claim, finding


NUMBER = r"(-?\d+\.?\d*(?:e-?\d+)?)"


@given(judged())
def test_shown_numbers_compare_with_every_edge_as_the_exact_ones_do(case: tuple[Region, Estimate]) -> None:
    region, estimate = case
    for text, exact in zip(told(estimate, region), (estimate.value, estimate.low, estimate.high), strict=True):
        assert float(text) == pytest.approx(exact, abs=(estimate.high - estimate.low) / 2 + 1e-9)
        for edge in (region.low, region.high):
            assert (float(text) > edge, float(text) < edge) == (exact > edge, exact < edge)


@given(judged())
def test_a_plain_sentence_says_what_the_interval_says(run: Run, case: tuple[Region, Estimate]) -> None:
    region, estimate = case
    verdict = region.judge(estimate.low, estimate.high)
    said = plain(*recorded(run, region, estimate, verdict.value))
    numbers = re.match(f"r is {NUMBER}; the data fit anything from {NUMBER} to {NUMBER} ", said)
    assert numbers is not None
    value, low, high = map(float, numbers.groups())
    assert low <= value <= high
    assert f"({region.level:.0%} interval)" in said
    # The verdict that a reader would come to from the sentence alone is the record's.
    assert region.judge(low, high) is verdict
    assert (f", all of it {region}: what was claimed." in said) == (verdict is Verdict.SUPPORTED)
    assert (f", none of it {region}: not what was claimed." in said) == (verdict is Verdict.REFUTED)
    assert ("can’t tell r from" in said) == (verdict is Verdict.INCONCLUSIVE)


@given(judged())
def test_settling_a_claim_takes_more_tokens_than_there_are(run: Run, case: tuple[Region, Estimate]) -> None:
    region, estimate = case
    assume(region.judge(estimate.low, estimate.high) is Verdict.INCONCLUSIVE)
    said = plain(*recorded(run, region, estimate, "inconclusive"))
    for edge in (region.low, region.high):
        crossed = estimate.low <= edge <= estimate.high
        assert not crossed or f"from {edge:g}" in said
    more = settles(estimate, region)
    named = re.search(r"about ([\d,]+) more tokens would, if r is what it seems", said)
    assert (named is None) == (more is None or more < 1)
    if named and more:
        assert more <= int(named[1].replace(",", "")) <= more * 1.1 + 1


def test_only_an_edge_that_is_crossed_can_be_settled(run: Run) -> None:
    zero = next(finding for finding in run.findings if finding.verdict == "inconclusive")
    assert zero.estimate is not None
    assert settles(zero.estimate, within(-0.1, 0.1)) is not None
    assert settles(zero.estimate, within(-0.9, 0.9)) is None  # crosses nothing


def test_other_verdicts_have_sentences_too(run: Run) -> None:
    def said(verdict: str, estimate: Estimate | None = None, **changes: object) -> str:
        claim, finding = recorded(run, below(0.0), estimate, verdict)
        return plain(replace(claim, **changes), finding)  # type: ignore[arg-type]

    assert said("not tested") == "Not tested, so nothing is said: why."
    assert said("invalid") == "No number can be trusted here: why."
    assert said("error") == "The check itself broke, which says nothing about the claim: why."
    estimate = run.findings[0].estimate
    assert estimate is not None
    built = said("vacuous", estimate, true_by_construction="sums grow")
    assert built.endswith("all of it below 0. It could not have come out otherwise: sums grow.")
    claim, finding = recorded(run, below(0.0), estimate, "vacuous")
    tallies = (
        Tally(control="untrained", runs=10, supported=9, values=(), seconds=1.0),
        Tally(control="shifted", runs=20, supported=0, values=(), seconds=1.0),
    )
    assert plain(claim, replace(finding, controls=tallies)).endswith(
        "But that is so where it should not be, too: in 9 of 10 untrained networks of the same shape. So it shows nothing."
    )
    assert plain(claim, replace(finding, verdict="supported", negligible=True)).endswith(
        "what was claimed, though too small to matter."
    )


@pytest.mark.parametrize(
    ("value", "words"), [(0.2, "not below 0.1: not what was claimed."), (0.05, "below 0.1: what was claimed.")]
)
def test_a_census_is_counted_and_not_inferred(run: Run, value: float, words: str) -> None:
    census = Estimate(
        statistic="share",
        value=value,
        intervals=(Interval(1.0, value, value),),
        n=50,
        units=50,
        unit="census",
        method="m",
    )
    verdict = below(0.1).judge(value, value).value
    assert plain(*recorded(run, below(0.1), census, verdict)) == (
        f"Counted over all 50 tokens, the share is {value:g}, which is {words}"
    )


verdicts = st.sampled_from([verdict.value for verdict in Verdict])
COUNTS = {word: number for number, word in enumerate(("no", "one", "two", "three", "four", "five"))}


@given(st.lists(verdicts, min_size=5, max_size=5))
def test_the_headline_and_the_badge_never_contradict_the_matrix(run: Run, words: list[str]) -> None:
    findings = tuple(
        replace(finding, verdict=word, estimate=None, negligible=False)
        for finding, word in zip(run.findings, words, strict=True)
    )
    changed = replace(run, findings=findings)
    said = headline(changed)
    numbers = re.findall(r"(?:: |, )(\w+) (?:hold|are|gave|were)", said)
    assert sum(COUNTS[number] if number in COUNTS else int(number) for number in numbers) == len(
        {claim.id for claim in run.claims}
    )
    for row in rows(changed):
        cells = {cell.word for cell in row.all_cells if cell.word != NOT_CLAIMED}
        outcome = outcomes(changed)[row.claim.id]
        assert (outcome == "refuted") == ("refuted" in cells)
        assert (outcome == "holds") == (cells == {"supported"})
    confirmatory = [outcomes(changed)[claim] for claim in ("falls", "zero")]
    sign = badge(changed).sign
    assert (sign == "[Re]") == (confirmatory == ["holds", "holds"])
    assert (sign == "[¬Re]") == ("refuted" in confirmatory and "holds" not in confirmatory)


def test_the_relation_at_the_centre_is_the_first_with_universes(run: Run) -> None:
    claims = tuple(replace(claim, universes="last step and next token") for claim in run.claims[:2]) + run.claims[2:]
    with_universes = replace(run, claims=claims)
    assert [(claim.id, finding.size) for claim, finding in central(with_universes)] == [
        ("falls", "small"),
        ("falls", "medium"),
    ]
    said = headline(with_universes)
    assert "At the centre, last step and next token: r = -0." in said
    assert all(f"in {finding.size} ({finding.verdict})" in said for _, finding in central(with_universes))
    assert question(with_universes).startswith("Does the length of a token’s last step")
    assert central(run) == []
    assert question(run) == "Do these 3 claims hold on mini?"
    assert "At the centre" not in headline(run)


@pytest.mark.parametrize(
    ("statistic", "name"),
    [
        ("Pearson r within passages, trend removed", "r"),
        ("Spearman rho within passages", "rank r"),
        ("Cliff's delta within passages", "delta"),
        ("largest difference between 4 of Pearson r", "the largest difference"),
        ("ratio of means", "the ratio of means"),
    ],
)
def test_statistics_have_short_names(run: Run, statistic: str, name: str) -> None:
    estimate = run.findings[0].estimate
    assert estimate is not None
    assert short(replace(estimate, statistic=statistic)) == name


def test_every_word_of_the_matrix_has_a_symbol() -> None:
    assert {verdict.value for verdict in Verdict} < SYMBOLS.keys()
