"""A claim together with the function that computes its statistic, and the columns that the function can ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from pathlen._util.fingerprint import sources_of
from pathlen.claims.claim import TOGETHER, Claim
from pathlen.claims.lock import LOCK
from pathlen.columns.used_in_code import asked_for
from pathlen.records.files import SEVERITY
from pathlen.stats.multiplicity import largest_difference
from pathlen.stats.statistic import Statistic

__all__ = [
    "COLUMNS",
    "SMALLEST",
    "Check",
    "ClaimKey",
    "ColumnSource",
    "columns_named_by",
    "sizes_involved",
    "statistic_of",
]

# The arguments that a body can ask for. Each maps to an attribute of a model's columns, and to whether the columns are
# those of the family's smallest size instead of the size at hand.
COLUMNS = {
    "measured": ("measured", False),
    "measured_small": ("measured", True),
    "as_published": ("published", False),
    "as_published_small": ("published", True),
    "relative_error": ("relative_error", False),
}
SMALLEST = "small"

ClaimKey = tuple[str, str]  # a claim's id and its reading


class ColumnSource(Protocol):
    """What a body's arguments are taken from: the columns of a model, as measured, perturbed, or with published slips."""

    @property
    def measured(self) -> Any: ...  # noqa: D102
    @property
    def published(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Check:
    """A claim and the function that returns its statistic."""

    claim: Claim
    body: Callable[..., Statistic]

    @property
    def key(self) -> ClaimKey:
        """The claim's id and its reading."""
        return self.claim.id, self.claim.reading

    @property
    def is_plain(self) -> bool:
        """Whether the body asks for columns only, so that it runs without its test's fixtures or set-up."""
        return set(self.claim.needs) <= COLUMNS.keys() and not inspect.ismethod(self.body)

    @property
    def source(self) -> str:
        """A digest of all code and data that the body may be made of."""
        return sources_of(self.body, (LOCK, SEVERITY))

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns that the body names. A control needs no others."""
        return asked_for(self.body)

    @cached_property
    def all_columns(self) -> frozenset[str]:
        """The columns that the body and its universes name."""
        universes = self.claim.universes
        return self.columns | (asked_for(universes.of) if universes else frozenset())

    @property
    def needs_small(self) -> bool:
        """Whether the body compares with the smallest size."""
        return any(COLUMNS[name][1] for name in self.claim.needs if name in COLUMNS)

    @property
    def is_compared(self) -> bool:
        """Whether the claim is about the difference between its sizes."""
        return self.claim.logic == "differs"

    def uses_columns_of(self, size: str) -> bool:
        """Return whether the claim needs a size's columns, for itself or to compare sizes."""
        return self.claim.speaks_about(size) or (self.is_compared and size in self.claim.sizes)


def statistic_of(
    check: Check, size: str, columns: Callable[[str], ColumnSource], given: Mapping[str, Any]
) -> Statistic:
    """Run a claim's body and return its statistic.

    Parameters
    ----------
    check : Check
        The claim and its body.
    size : str
        A size, or `TOGETHER` for the largest difference between the claim's sizes.
    columns : callable
        Returns the columns of a size.
    given : mapping
        The arguments that the body asks for besides columns.

    """
    if size == TOGETHER:
        return largest_difference([statistic_of(check, member, columns, given) for member in check.claim.sizes])
    arguments = {name: given[name] for name in check.claim.needs if name not in COLUMNS}
    for name in check.claim.needs:
        if name in COLUMNS:
            attribute, is_of_smallest = COLUMNS[name]
            arguments[name] = getattr(columns(SMALLEST if is_of_smallest else size), attribute)
    return check.body(**arguments)


def columns_named_by(checks: Iterable[Check]) -> frozenset[str]:
    """Return the columns that the bodies of some checks name."""
    return frozenset[str]().union(*(check.columns for check in checks))


def sizes_involved(check: Check, size: str) -> tuple[str, ...]:
    """Return the sizes whose columns a finding depends on."""
    if size == TOGETHER:
        return check.claim.sizes
    return (SMALLEST, size) if check.needs_small else (size,)
