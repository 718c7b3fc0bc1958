"""What each correction changes: hand-made games, and Shapley's own formula on random ones."""

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
    return [frozenset(some) for size in range(len(names) + 1) for some in combinations(names, size)]


def shapley(names: Sequence[str], value: Game, one: str) -> float:
    """The textbook's sum over sets that the correction can join, each weighed by ``|S|! (n - |S| - 1)! / n!``."""
    others = [name for name in names if name != one]
    total = 0.0
    for made in subsets(others):
        weight = factorial(len(made)) * factorial(len(others) - len(made)) / factorial(len(names))
        total += weight * (value(made | {one}) - value(made))
    return total


@st.composite
def games(draw: st.DrawFn) -> tuple[tuple[str, ...], dict[frozenset[str], float]]:
    names = NAMES[: draw(st.integers(0, len(NAMES)))]
    return names, {made: draw(st.floats(-1000, 1000)) for made in subsets(names)}


def test_corrections_that_do_not_interact_keep_their_own_effects() -> None:
    effects = {"state": -0.35, "last token": 0.12, "trend": 0.004, "rank": 0.0}
    found = attribution(list(effects), lambda made: 0.5 + sum(effects[one] for one in made))
    assert found.published == 0.5
    assert found.corrected == pytest.approx(0.274)
    assert [name for name, _ in found.changes] == list(effects)
    assert dict(found.changes) == pytest.approx(effects)


@pytest.mark.parametrize("together", [2, 3, 4])
def test_what_only_all_of_them_change_is_split_evenly(together: int) -> None:
    names = NAMES[:together]
    found = attribution(names, lambda made: -0.3 if len(made) == together else 0.0)
    assert dict(found.changes) == pytest.approx(dict.fromkeys(names, -0.3 / together))


def test_an_interaction_belongs_to_those_that_interact() -> None:
    found = attribution(NAMES[:3], lambda made: float("trend" in made) + 0.5 * ({"state", "last token"} <= made))
    assert dict(found.changes) == pytest.approx({"state": 0.25, "last token": 0.25, "trend": 1.0})


def test_a_correction_that_undoes_another_is_given_its_part_of_that() -> None:
    """Either one alone brings 1, both together 1 as well: neither order may have all of it."""
    found = attribution(NAMES[:2], lambda made: float(bool(made)))
    assert dict(found.changes) == {"state": 0.5, "last token": 0.5}


@given(games())
def test_changes_are_shapleys_and_add_up(game: tuple[tuple[str, ...], dict[frozenset[str], float]]) -> None:
    names, table = game
    found = attribution(names, table.__getitem__)
    assert (found.published, found.corrected) == (table[frozenset()], table[frozenset(names)])
    assert found.published + sum(change for _, change in found.changes) == pytest.approx(found.corrected, abs=1e-9)
    for name, change in found.changes:
        assert change == pytest.approx(shapley(names, table.__getitem__, name), abs=1e-9)


@given(games(), st.randoms())
def test_the_order_in_which_corrections_are_named_changes_nothing(
    game: tuple[tuple[str, ...], dict[frozenset[str], float]], random: object
) -> None:
    names, table = game
    other = list(names)
    random.shuffle(other)  # type: ignore[attr-defined]
    first, second = (dict(attribution(order, table.__getitem__).changes) for order in (names, other))
    assert first == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize("count", range(len(NAMES) + 1))
def test_each_set_of_corrections_is_computed_once(count: int) -> None:
    calls: list[frozenset[str]] = []

    def value(made: frozenset[str]) -> float:
        calls.append(made)
        return float(len(made) ** 2)

    attribution(NAMES[:count], value)
    assert len(calls) == 2**count
    assert set(calls) == set(subsets(NAMES[:count]))


def test_without_corrections_nothing_changes() -> None:
    assert attribution([], lambda made: 0.25) == Attribution(published=0.25, corrected=0.25, changes=())


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
def test_numbers_that_are_none_never_add_up(nan: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="changes must add up to"):
        Attribution(**({"published": 0.1, "corrected": 0.4, "changes": (("a", 0.3),)} | nan))  # type: ignore[arg-type]


def test_rounding_is_no_reason_to_refuse() -> None:
    found = Attribution(published=0.1, corrected=0.3, changes=(("a", 0.1), ("b", 0.1)))  # 0.30000000000000004
    assert found.corrected == 0.3
