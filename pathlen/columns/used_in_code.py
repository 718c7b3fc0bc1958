"""Which columns a function's code names, so that they are measured before it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from pathlen.columns.catalog import CATALOG, CUSTOM_COLUMNS
from pathlen.columns.measurement import PUBLISHED, Measurement, Published

__all__ = ["asked_for"]


def asked_for(function: Callable[..., Any]) -> frozenset[str]:
    """Return the columns that a function's code names, directly, through a property of a table, or in a helper that it calls.

    Names that are built from strings at run time are not seen; such a column is measured when it is read.
    """
    columns = set(_names_behind(function, set())) & (CATALOG.keys() | CUSTOM_COLUMNS.keys())
    return frozenset(columns | {PUBLISHED[name] for name in columns if PUBLISHED.get(name)})


def _names_behind(function: object, seen: set[object]) -> Iterator[str]:
    """Yield all names in a function's code and in the functions that they refer to."""
    if callable(function):
        function = inspect.unwrap(function)
    if isinstance(function, MethodType):
        function = function.__func__
    if not isinstance(function, FunctionType) or function in seen:
        return
    seen.add(function)
    closed = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name in _names(function.__code__):
        yield name
        for table in (Measurement, Published):
            attribute = table.__dict__.get(name)
            if isinstance(attribute, property):
                yield from _names_behind(attribute.fget, seen)
        yield from _names_behind(function.__globals__.get(name), seen)
        if name in closed:
            yield from _names_behind(closed[name].cell_contents, seen)


def _names(code: CodeType) -> set[str]:
    """Return the attributes, globals and closed-over variables that code and the code nested in it refer to."""
    names = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names
