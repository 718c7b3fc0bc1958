"""Which rows belong together: passages, and the units that are resampled.

Tokens of one passage share a subject, an author and a context window, so they are no independent draws; an
interval that resamples tokens covers the truth too rarely, by more than ten points at ordinary dependence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathlen.errors import UndefinedEstimate

__all__ = ["By", "Passages", "Units", "blocks_of", "checked", "checked_trend", "is_rounding", "trend_basis"]

MOST_TREND = 3
By = Literal["passages", "blocks", "tokens"]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Runs of neighbouring rows that are kept or dropped together.

    Attributes
    ----------
    starts : ndarray of int, shape (units,)
        The first row of each.
    rows : int
        Rows there are in all.
    name : str
        What a unit is, in the plural.

    """

    starts: NDArray[np.intp]
    rows: int
    name: str

    @property
    def count(self) -> int:
        """Number of units."""
        return len(self.starts)

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Rows of each unit, shape ``(units,)``."""
        return np.diff(self.starts, append=self.rows)

    def sums(self, columns: Array) -> Array:
        """Return the sum of columns ``(..., rows)`` in each unit: ``(..., units)``."""
        totals: Array = np.add.reduceat(columns, self.starts, axis=-1, dtype=np.float64)
        return totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages(Units):
    """The passages that rows belong to.

    Attributes
    ----------
    identity : tuple
        Their labels as given, in the order of the rows.

    """

    identity: tuple[object, ...]

    @classmethod
    def of(cls, passage: ArrayLike) -> Passages:
        """Return the passages of rows that carry these labels, shape ``(rows,)``; rows in the order of each text.

        Raises
        ------
        UndefinedEstimate
            If there is no row.
        ValueError
            If the rows of a passage do not stand together.

        """
        label = np.asarray(passage)
        if label.ndim != 1 or label.size == 0:
            raise UndefinedEstimate(f"passage must be a row of labels, but its shape is {label.shape}")
        if label.dtype.kind == "f" and not np.isfinite(label).all():
            raise ValueError("passage must hold labels, but some of them are not finite numbers")
        starts = np.append(0, 1 + np.flatnonzero(label[1:] != label[:-1]))
        identity = tuple(label[starts].tolist())
        if len(set(identity)) != len(identity):
            raise ValueError(
                f"rows of a passage must stand together, but {len(set(identity))} passages change {len(identity) - 1} times"
            )
        return cls(starts=starts, rows=len(label), name="passages", identity=identity)

    @property
    def slices(self) -> list[slice]:
        """The rows of each passage."""
        return [slice(start, start + length) for start, length in zip(self.starts, self.lengths, strict=True)]

    def same_rows(self, other: Passages) -> bool:
        """Whether the other's rows belong to the same passages, one by one."""
        return self.identity == other.identity and self.rows == other.rows and bool((self.starts == other.starts).all())

    def owner(self, units: Units) -> NDArray[np.intp]:
        """Return the number of the passage that each unit lies in, shape ``(units,)``."""
        return np.searchsorted(self.starts, units.starts, side="right") - 1

    def within(self, function: Callable[[Array], Array], columns: Array) -> Array:
        """Return columns ``(..., rows)`` with a function of ``(..., n)`` applied inside each passage."""
        result = np.empty_like(columns, dtype=np.float64)
        for rows in self.slices:
            result[..., rows] = function(columns[..., rows])
        return result

    def detrended(self, columns: Array, trend: int) -> Array:
        """Return columns without each passage's own polynomial in the position of that degree; 0 removes means only."""

        def left_over(values: Array) -> Array:
            basis = _orthonormal(values.shape[-1], trend)
            rest: Array = values - (values @ basis) @ basis.T
            return rest

        return self.within(left_over, columns)


def trend_basis(rows: int, trend: int) -> Array:
    """Return polynomials up to a degree in the position of a passage's rows, ``(rows, functions)``.

    Legendre's are nearly orthogonal on a grid; a passage of few rows can bear only a low degree.
    """
    place = np.linspace(-1, 1, rows) if rows > 1 else np.zeros(1)
    basis: Array = np.polynomial.legendre.legvander(place, min(trend, rows - 1)).astype(np.float64)
    return basis


@lru_cache(maxsize=256)
def _orthonormal(rows: int, trend: int) -> Array:
    """Return an orthonormal basis of the same polynomials; every statistic of a text asks for the one of its length."""
    basis, _ = np.linalg.qr(trend_basis(rows, trend))
    basis.setflags(write=False)  # it is handed out again
    return basis


def is_rounding(size: Array, column: Array) -> bool:
    """Whether a spread, one per column ``(..., rows)``, is no more than the rounding of the column's values."""
    return not (size > 1e-12 * np.abs(column).max(axis=-1)).all()


def checked_trend(trend: int) -> int:
    """Return a degree that a trend may have, or raise `ValueError`."""
    if not isinstance(trend, int) or trend not in range(MOST_TREND + 1):
        raise ValueError(f"trend must be a degree from 0 to {MOST_TREND}, but {trend!r} was given")
    return trend


def blocks_of(passages: Passages, length: int) -> Units:
    """Return blocks of neighbouring tokens inside passages as units, as long as ``length`` or a little longer.

    A passage is cut into as many as fit, which differ by one token at most; a shorter passage is a block of its own.
    """
    starts = []
    for start, size in zip(passages.starts, passages.lengths, strict=True):
        number = max(1, size // length)
        starts.append(start + np.arange(number) * size // number)
    return Units(starts=np.concatenate(starts), rows=passages.rows, name=f"blocks of {length} tokens")


def checked(passage: ArrayLike, **given: ArrayLike) -> tuple[Passages, list[Array]]:
    """Check that columns ``(..., rows)`` are finite and as long as passage, and return them with the passages.

    Raises
    ------
    ValueError
        If a column differs in length.
    UndefinedEstimate
        If it holds a value that is not finite.

    """
    passages = Passages.of(passage)
    columns = {name: np.asarray(column, dtype=np.float64) for name, column in given.items()}
    for name, column in columns.items():
        if column.shape[-1:] != (passages.rows,):
            raise ValueError(
                f"{name} must have one value per row of passage ({passages.rows},), but its shape is {column.shape}: "
                "tokens are the last axis of every column, and all columns of a statistic come from one measurement"
            )
        if not np.isfinite(column).all():
            bad = int(np.count_nonzero(~np.isfinite(column)))
            raise UndefinedEstimate(
                f"{name} holds {bad} values that are not finite: leave those tokens out of every column with "
                "measured.where(...), or say in the claim what stands in for them"
            )
    return passages, list(columns.values())
