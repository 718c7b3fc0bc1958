"""As published against corrected: how much of the difference each correction makes.

Corrections interact, so what one of them changes depends on which were made before it. Each is given its average change
over all orders in which they could be made (Shapley's value): the shares then add up exactly, and no order is favoured.

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
    """The way from the published number to the corrected one.

    Attributes
    ----------
    published, corrected : float
        The number with no correction made, and with all of them.
    changes : tuple of (str, float)
        Each correction with the change it makes; ``published`` plus all changes is ``corrected``.

    """

    published: float
    corrected: float
    changes: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        total = self.published + sum(change for _, change in self.changes)
        if not abs(total - self.corrected) <= 1e-9 * max(1.0, abs(self.published), abs(self.corrected)):
            raise ValueError(f"changes must add up to {self.corrected}, but they lead to {total}")


def attribution(corrections: Sequence[str], value: Callable[[frozenset[str]], float]) -> Attribution:
    """Return each correction's share of the difference it makes, averaged over all orders.

    Parameters
    ----------
    corrections : sequence of str
        Their names; ``2^n`` numbers are computed for ``n`` of them.
    value : callable
        From the corrections that are made to the number.

    Examples
    --------
    >>> found = attribution(["a", "b"], lambda made: 1.0 + 2.0 * ("a" in made) + 4.0 * (made == {"a", "b"}))
    >>> found.published, found.corrected, found.changes
    (1.0, 7.0, (('a', 4.0), ('b', 2.0)))

    """
    known: dict[frozenset[str], float] = {}

    def of(made: frozenset[str]) -> float:
        if made not in known:
            known[made] = value(made)
        return known[made]

    orders = list(permutations(corrections))
    changes = dict.fromkeys(corrections, 0.0)
    for order in orders:
        made: frozenset[str] = frozenset()
        for one in order:
            changes[one] += (of(made | {one}) - of(made)) / len(orders)
            made |= {one}
    return Attribution(published=of(frozenset()), corrected=of(frozenset(corrections)), changes=tuple(changes.items()))
