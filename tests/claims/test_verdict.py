"""The rule that turns an interval into a verdict."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathlen.claims.verdict import Region, Verdict, above, below, combined, within

finite = st.floats(-1e6, 1e6)
intervals = st.tuples(finite, finite).map(sorted)
edges = st.lists(finite, min_size=2, max_size=2, unique=True).map(sorted)


@given(intervals, finite)
def test_mirroring_the_line_swaps_below_and_above(interval: list[float], edge: float) -> None:
    low, high = interval
    assert below(edge).judge(low, high) is above(-edge).judge(-high, -low)


@given(intervals, edges, st.floats(0, 1e3))
def test_a_wider_interval_never_decides_more(interval: list[float], ends: list[float], more: float) -> None:
    region = within(*ends)
    wide = region.judge(interval[0] - more, interval[1] + more)
    assert wide in (region.judge(*interval), Verdict.INCONCLUSIVE)


@given(intervals, finite)
def test_a_direction_and_its_opposite_are_never_both_supported(interval: list[float], edge: float) -> None:
    assert {below(edge).judge(*interval), above(edge).judge(*interval)} != {Verdict.SUPPORTED}


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-0.05, 0.08), Verdict.SUPPORTED),
        ((-0.1, 0.08), Verdict.INCONCLUSIVE),  # touching an edge decides nothing
        ((0.1, 0.3), Verdict.INCONCLUSIVE),
        ((0.11, 0.3), Verdict.REFUTED),
        ((-0.3, -0.11), Verdict.REFUTED),
        ((-0.3, 0.3), Verdict.INCONCLUSIVE),
    ],
)
def test_an_equivalence_region_is_judged_by_the_whole_interval(interval: tuple[float, float], verdict: Verdict) -> None:
    assert within(-0.1, 0.1).judge(*interval) is verdict


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (0.0, math.inf), (2.0, 1.0)])
def test_an_unusable_interval_is_an_error_and_not_a_verdict(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="an interval needs finite low <= high"):
        below(0.0).judge(*bad)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_a_region_must_not_be_empty(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a region needs low < high"):
        Region(*ends)


def test_a_region_that_no_number_could_refute_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing could refute"):
        Region(-math.inf, math.inf)


def test_within_needs_two_ends() -> None:
    with pytest.raises(ValueError, match="use below or above"):
        within(0.0, math.inf)


def test_a_margin_is_judged_by_the_90_percent_interval_and_a_direction_by_95() -> None:
    assert within(-0.1, 0.1).level == 0.90
    assert below(0.0).level == above(0.0).level == 0.95


@pytest.mark.parametrize(
    ("region", "words"),
    [(below(0.0), "below 0"), (above(0.9), "above 0.9"), (within(-0.1, 0.1), "between -0.1 and 0.1")],
)
def test_a_region_reads_as_words(region: Region, words: str) -> None:
    assert str(region) == words


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "inconclusive"], "inconclusive"),
        (["supported", "refuted", "not tested"], "refuted"),
        (["supported", "not tested"], "not tested"),
        (["inconclusive", "invalid"], "invalid"),
        (["supported", "vacuous"], "vacuous"),
        (["vacuous"], "vacuous"),
        ([], "not tested"),
    ],
)
def test_verdicts_combine_by_the_intersection_union_rule(cells: list[str], expected: str) -> None:
    assert combined([Verdict(cell) for cell in cells]) is Verdict(expected)
