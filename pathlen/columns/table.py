"""Tables of columns: each column is made when it is first read, then cached.

No torch here, so measurements from another process or an earlier run can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathlen.columns.catalog import CATALOG, CUSTOM_COLUMNS
from pathlen.columns.docstrings import lists_columns
from pathlen.errors import UnmeasuredColumn, near

__all__ = ["Array", "Table", "Trace", "unmeasured"]

Array = NDArray[np.float64]


def unmeasured(name: str, there: Iterable[str]) -> UnmeasuredColumn:
    """Return the error for a column that was not measured; ``there`` are those that were."""
    measured = ", ".join(sorted(there)) or "none"
    return UnmeasuredColumn(f"column {name!r} was not measured: name it in columns=[...] (measured: {measured})")


class Table:
    """Columns by name, each an attribute that is made when it is first read, then cached.

    Parameters
    ----------
    make : callable, optional
        Returns a column by name, or raises the reason why it can't.
    columns : ndarray
        Columns that exist already.

    """

    __slots__ = ("_made", "_make")

    _made: dict[str, NDArray[Any]]
    _make: Callable[[str], NDArray[Any]]

    def __init__(self, make: Callable[[str], NDArray[Any]] | None = None, **columns: NDArray[Any]) -> None:
        object.__setattr__(self, "_make", make or self._refuse)
        object.__setattr__(self, "_made", {})
        for name, values in columns.items():
            self._made[name] = self._checked(name, values)

    def _refuse(self, name: str) -> NDArray[Any]:
        raise unmeasured(name, self._made)

    def _checked(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        return values

    def _is_column(self, name: str) -> bool:
        return name in CATALOG or name in CUSTOM_COLUMNS

    def __getattr__(self, name: str) -> NDArray[Any]:
        """Return a column. Python calls this for names that are neither a method nor a property."""
        if name.startswith("_") or not (name in self._made or self._is_column(name)):
            names = (*CATALOG, *CUSTOM_COLUMNS, *dir(type(self)))
            public = [known for known in names if not known.startswith("_")]
            raise AttributeError(
                f"a {type(self).__name__} has no column {name!r}{near(name, public, repr)}", name=name, obj=self
            )
        if name not in self._made:
            self._made[name] = self._checked(name, self._make(name))
        return self._made[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"columns can't be assigned to; use with_columns({name}=...)", name=name, obj=self)

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the columns that exist so far."""
        return tuple(self._made)


@lists_columns({"token": "tokens", "next": "tokens - 1"})
class Trace(Table):
    """The path of one text's tokens through one model: lengths, angles and predictions.

    Floats are float64. Lengths are in the units of the residual stream, ``stream``, and taken before the final norm, except
    for columns named ``final_norm_...``. A column that was not measured is measured when it is read, if the trace knows its
    model; otherwise reading it raises `UnmeasuredColumn`.

    Parameters
    ----------
    passage : str
        Name of the text.
    make : callable, optional
        Measures a column that does not exist yet.
    columns : ndarray
        By name, as below.

    Attributes
    ----------
    passage : str
        Name of the text.

    """

    __slots__ = ("passage",)

    passage: str

    def __init__(
        self, *, passage: str, make: Callable[[str], NDArray[Any]] | None = None, **columns: NDArray[Any]
    ) -> None:
        object.__setattr__(self, "passage", passage)
        super().__init__(make, **columns)

    def with_columns(self, make: Callable[[str], NDArray[Any]] | None = None, **columns: NDArray[Any]) -> Trace:
        """Return a trace with some columns replaced.

        Columns that are not given come from ``make``, by name; by default they are this trace's.
        """
        return Trace(passage=self.passage, make=make or (lambda name: getattr(self, name)), **columns)

    def __repr__(self) -> str:
        return f"Trace({self.passage!r}, {len(self.token_ids)} tokens, {', '.join(self.made)})"
