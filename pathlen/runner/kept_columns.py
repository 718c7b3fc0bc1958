"""The columns of all texts in one network, from passes of this run or from what an earlier run kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from numpy.typing import NDArray

from pathlen._util.cache import Cache
from pathlen.columns.catalog import ALIGNMENT
from pathlen.columns.table import Trace

__all__ = ["KeptColumns"]


class KeptColumns:
    """The columns of all texts in one network, each measured when it is first needed unless an earlier run kept it.

    Parameters
    ----------
    run : callable
        Runs one pass over the texts and yields the trace of each, with the columns it is given.
    texts : int
        How many texts there are.
    cache : Cache, optional
        Keeps columns for the next run.
    name : callable, optional
        Returns the name under which a column is kept.
    only : frozenset of str, optional
        The columns that are kept, along with those that say which token is which; all columns by default.

    Attributes
    ----------
    passes : int
        How many passes were run so far.

    """

    def __init__(
        self,
        run: Callable[[frozenset[str]], Iterator[Trace]],
        texts: int,
        *,
        cache: Cache | None = None,
        name: Callable[[str], str] = str,
        only: frozenset[str] | None = None,
    ) -> None:
        self._run = run
        self._texts = texts
        self._cache = cache
        self._name = name
        self._only = None if only is None else only.union(ALIGNMENT)
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self.passes = 0

    def require(self, columns: Iterable[str]) -> None:
        """Measure those of the columns that are neither in memory nor kept, in one pass."""
        missing = frozenset(name for name in (*columns, *ALIGNMENT) if not self._is_available(name))
        if not missing:
            return
        self.passes += 1
        measured: dict[str, list[NDArray[Any]]] = {}
        for trace in self._run(missing):
            for name in trace.made:
                measured.setdefault(name, []).append(getattr(trace, name))
        self._columns |= measured
        for name, parts in measured.items():
            if self._cache and (self._only is None or name in self._only):
                self._cache.put_arrays(self._name(name), {f"{text:06}": part for text, part in enumerate(parts)})

    def _is_available(self, name: str) -> bool:
        """Return whether a column is in memory, after taking it from the cache if it is kept there."""
        if name not in self._columns and self._cache:
            arrays = self._cache.get_arrays(self._name(name))
            if arrays is not None and len(arrays) == self._texts:
                self._columns[name] = [arrays[key] for key in sorted(arrays)]
        return name in self._columns

    def column(self, text: int, name: str) -> NDArray[Any]:
        """Return a column of one text, measuring it if it was not required before."""
        self.require([name])
        return self._columns[name][text]
