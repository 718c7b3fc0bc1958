"""Which columns a function's code names, so that they are measured before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from pathlen.columns.catalog import CATALOG, CUSTOM_COLUMNS
from pathlen.columns.measurement import PUBLISHED, Measurement, Published

__all__ = ["asked_for"]


def asked_for(function: Callable[..., Any]) -> frozenset[str]:
    """Return the columns that a function's code names, be it itself, by a property of a table, or by a helper it calls.

    What is built from strings while it runs is not seen; such a column is measured when it is asked for.
    """
    found = set(_named(function, set())) & (CATALOG.keys() | CUSTOM_COLUMNS.keys())
    return frozenset(found | {PUBLISHED[name] for name in found if PUBLISHED.get(name)})


def _named(function: object, seen: set[object]) -> Iterator[str]:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType) or function in seen:
        return
    seen.add(function)
    closed = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name in _names(function.__code__):
        yield name
        for table in (Measurement, Published):
            made = table.__dict__.get(name)
            if isinstance(made, property):
                yield from _named(made.fget, seen)
        yield from _named(function.__globals__.get(name), seen)
        if name in closed:
            yield from _named(closed[name].cell_contents, seen)


def _names(code: CodeType) -> set[str]:
    found = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found
