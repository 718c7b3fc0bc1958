"""How much each correction contributes to the difference between a published number and the corrected one.

Corrections interact, so the change that one makes depends on which others were made before it. Each is credited with its
average change over all orders (its Shapley value): the shares add up exactly, and no order is favoured.

References
----------
Shapley, "A value for n-person games", Contributions to the Theory of Games 2 (1953), 307-317.

"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

__all__ = ["Attribution", "attribution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The difference between a published number and the corrected one, split by correction.

    Attributes
    ----------
    published, corrected : float
        The number without corrections, and with all of them.
    changes : tuple of (str, float)
        Each correction and its share of the change; ``published`` plus all changes is ``corrected``.

    Raises
    ------
    ValueError
        If the changes don't add up.

    """

    published: float
    corrected: float
    changes: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        total = self.published + sum(change for _, change in self.changes)
        if not abs(total - self.corrected) <= 1e-9 * max(1.0, abs(self.published), abs(self.corrected)):
            raise ValueError(f"changes must add up to {self.corrected}, but they lead to {total}")


def attribution(corrections: Sequence[str], value: Callable[[frozenset[str]], float]) -> Attribution:
    """Return the change that each correction makes, averaged over all orders of the corrections.

    Parameters
    ----------
    corrections : sequence of str
        Their names. For ``n`` corrections, ``2^n`` numbers are computed.
    value : callable
        Maps a set of applied corrections to the number.

    Examples
    --------
    >>> split = attribution(["a", "b"], lambda applied: 1.0 + 2.0 * ("a" in applied) + 4.0 * (applied == {"a", "b"}))
    >>> split.published, split.corrected, split.changes
    (1.0, 7.0, (('a', 4.0), ('b', 2.0)))

    """
    known: dict[frozenset[str], float] = {}

    def cached(applied: frozenset[str]) -> float:
        if applied not in known:
            known[applied] = value(applied)
        return known[applied]

    orders = list(permutations(corrections))
    changes = dict.fromkeys(corrections, 0.0)
    for order in orders:
        applied: frozenset[str] = frozenset()
        for correction in order:
            changes[correction] += (cached(applied | {correction}) - cached(applied)) / len(orders)
            applied |= {correction}
    return Attribution(
        published=cached(frozenset()), corrected=cached(frozenset(corrections)), changes=tuple(changes.items())
    )
