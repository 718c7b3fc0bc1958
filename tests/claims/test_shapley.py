"""The share of each correction: games by hand, and Shapley's own formula on random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathlen.claims.shapley import Attribution, attribution

NAMES = ("state", "last token", "trend", "rank", "window")
Game = Callable[[frozenset[str]], float]


def subsets(names: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(subset) for size in range(len(names) + 1) for subset in combinations(names, size)]


def shapley(names: Sequence[str], value: Game, correction: str) -> float:
    """The textbook's sum over the sets that a correction can join, each weighted by ``|S|! (n - |S| - 1)! / n!``."""
    others = [name for name in names if name != correction]
    total = 0.0
    for applied in subsets(others):
        weight = factorial(len(applied)) * factorial(len(others) - len(applied)) / factorial(len(names))
        total += weight * (value(applied | {correction}) - value(applied))
    return total


@st.composite
def games(draw: st.DrawFn) -> tuple[tuple[str, ...], dict[frozenset[str], float]]:
    names = NAMES[: draw(st.integers(0, len(NAMES)))]
    return names, {applied: draw(st.floats(-1000, 1000)) for applied in subsets(names)}


def test_independent_corrections_keep_their_own_effects() -> None:
    effects = {"state": -0.35, "last token": 0.12, "trend": 0.004, "rank": 0.0}
    split = attribution(list(effects), lambda applied: 0.5 + sum(effects[correction] for correction in applied))
    assert split.published == 0.5
    assert split.corrected == pytest.approx(0.274)
    assert [name for name, _ in split.changes] == list(effects)
    assert dict(split.changes) == pytest.approx(effects)


@pytest.mark.parametrize("together", [2, 3, 4])
def test_a_change_that_needs_all_corrections_is_split_evenly(together: int) -> None:
    names = NAMES[:together]
    split = attribution(names, lambda applied: -0.3 if len(applied) == together else 0.0)
    assert dict(split.changes) == pytest.approx(dict.fromkeys(names, -0.3 / together))


def test_an_interaction_is_shared_by_the_corrections_that_interact() -> None:
    split = attribution(
        NAMES[:3], lambda applied: float("trend" in applied) + 0.5 * ({"state", "last token"} <= applied)
    )
    assert dict(split.changes) == pytest.approx({"state": 0.25, "last token": 0.25, "trend": 1.0})


def test_redundant_corrections_share_their_effect() -> None:
    """Either one alone gives 1 and both together give 1 as well, so neither may be credited with all of it."""
    split = attribution(NAMES[:2], lambda applied: float(bool(applied)))
    assert dict(split.changes) == {"state": 0.5, "last token": 0.5}


@given(games())
def test_changes_are_shapley_values_and_add_up(game: tuple[tuple[str, ...], dict[frozenset[str], float]]) -> None:
    names, table = game
    split = attribution(names, table.__getitem__)
    assert (split.published, split.corrected) == (table[frozenset()], table[frozenset(names)])
    assert split.published + sum(change for _, change in split.changes) == pytest.approx(split.corrected, abs=1e-9)
    for name, change in split.changes:
        assert change == pytest.approx(shapley(names, table.__getitem__, name), abs=1e-9)


@given(games(), st.randoms())
def test_the_order_of_the_corrections_does_not_matter(
    game: tuple[tuple[str, ...], dict[frozenset[str], float]], random: object
) -> None:
    names, table = game
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    in_order, reordered = (dict(attribution(order, table.__getitem__).changes) for order in (names, shuffled))
    assert in_order == pytest.approx(reordered, abs=1e-9)


@pytest.mark.parametrize("count", range(len(NAMES) + 1))
def test_each_set_of_corrections_is_computed_once(count: int) -> None:
    calls: list[frozenset[str]] = []

    def value(applied: frozenset[str]) -> float:
        calls.append(applied)
        return float(len(applied) ** 2)

    attribution(NAMES[:count], value)
    assert len(calls) == 2**count
    assert set(calls) == set(subsets(NAMES[:count]))


def test_without_corrections_nothing_changes() -> None:
    assert attribution([], lambda applied: 0.25) == Attribution(published=0.25, corrected=0.25, changes=())


@pytest.mark.parametrize(
    ("published", "corrected", "changes"),
    [
        (0.1, 0.5, (("a", 0.3),)),
        (0.1, 0.5, ()),
        (0.0, 0.0, (("a", 0.1), ("b", -0.1 + 1e-6))),
        (1e6, 1e6, (("a", 1.0),)),
    ],
)
def test_changes_that_do_not_add_up_are_refused(
    published: float, corrected: float, changes: tuple[tuple[str, float], ...]
) -> None:
    with pytest.raises(ValueError, match=f"changes must add up to {corrected}, but they lead to "):
        Attribution(published=published, corrected=corrected, changes=changes)


@pytest.mark.parametrize("nan", [{"published": float("nan")}, {"changes": (("a", float("nan")),)}])
def test_nan_never_adds_up(nan: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="changes must add up to"):
        Attribution(**({"published": 0.1, "corrected": 0.4, "changes": (("a", 0.3),)} | nan))  # type: ignore[arg-type]


def test_rounding_is_no_reason_to_refuse() -> None:
    split = Attribution(published=0.1, corrected=0.3, changes=(("a", 0.1), ("b", 0.1)))  # 0.30000000000000004
    assert split.corrected == 0.3
