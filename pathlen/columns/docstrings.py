"""Docstrings written from the catalog: the columns in the Attributes sections of `Trace` and `Measurement`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from textwrap import fill
from typing import TypeVar

from pathlen.columns.catalog import CATALOG, Column

__all__ = ["lists_columns"]

PLURALS = {"state": "states", "step": "steps", "block": "blocks", "head": "heads"}
LINE_LENGTH = 120
INDENT = 4 * " "

Table = TypeVar("Table")


def lists_columns(
    last_axis: Mapping[str, str], *, except_for: Collection[str] = ()
) -> Callable[[type[Table]], type[Table]]:
    """Return a class decorator that appends the catalog's columns to a docstring that ends in an Attributes section.

    Parameters
    ----------
    last_axis : mapping of str to str
        What the class calls the sizes of the axes ``"token"`` and ``"next"``.
    except_for : collection of str
        Columns that the class doesn't have.

    Examples
    --------
    >>> @lists_columns({"token": "rows", "next": "rows"})
    ... class Example:
    ...     '''Columns.
    ...
    ...     Attributes
    ...     ----------
    ...     '''
    >>> print(Example.__doc__.splitlines()[4])
    token_ids : ndarray of int, shape (rows,)

    """
    sizes = PLURALS | dict(last_axis)

    def append(table: type[Table]) -> type[Table]:
        if table.__doc__ is not None:  # as it is under python -OO
            entries = [_entry(column, sizes) for name, column in CATALOG.items() if name not in except_for]
            table.__doc__ = "\n".join([inspect.cleandoc(table.__doc__), *entries, ""])
        return table

    return append


def _entry(column: Column, sizes: Mapping[str, str]) -> str:
    """Return a column's lines in a NumPy-style Attributes section."""
    shape = ", ".join(sizes[axis] for axis in column.axes) + ("," if len(column.axes) == 1 else "")
    kind = "ndarray of int" if column.is_integer else "ndarray"
    meaning = column.meaning if column.is_integer else f"{column.meaning} Unit: {column.unit}."
    text = fill(
        meaning, LINE_LENGTH, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False
    )  # a formula is not broken at its minus signs
    return f"{column.name} : {kind}, shape ({shape})\n{text}"
