"""Which rows belong together: passages, and the units that are resampled.

Tokens of one passage share a subject, an author and a context window, so they are not independent draws. An interval
that resamples tokens covers the truth too rarely, by more than ten points at ordinary dependence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array

__all__ = [
    "FEWEST_PASSAGES",
    "FEWEST_UNITS",
    "By",
    "Passages",
    "Units",
    "blocks_of",
    "checked",
    "checked_trend",
    "is_rounding",
    "resampling_units",
    "trend_basis",
]

FEWEST_PASSAGES = 5
FEWEST_UNITS = 10
MOST_TREND = 3
By = Literal["passages", "blocks", "tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Runs of neighbouring rows that are drawn together in a resample.

    Attributes
    ----------
    starts : ndarray of int, shape (units,)
        The first row of each unit.
    rows : int
        Number of rows in total.
    name : str
        What the units are, in the plural.

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
        """Number of rows of each unit, shape ``(units,)``."""
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
        Their labels, in the order of the rows.

    """

    identity: tuple[object, ...]

    @classmethod
    def of(cls, passage: ArrayLike) -> Passages:
        """Return the passages of rows with these labels, shape ``(rows,)``; rows are in the order of each text.

        Raises
        ------
        UndefinedEstimate
            If there is no row.
        ValueError
            If the rows of a passage are not contiguous.

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
        """Whether both have the same passages with the same rows."""
        return self.identity == other.identity and self.rows == other.rows and bool((self.starts == other.starts).all())

    def owner(self, units: Units) -> NDArray[np.intp]:
        """Return the index of the passage that contains each unit, shape ``(units,)``."""
        return np.searchsorted(self.starts, units.starts, side="right") - 1

    def within(self, function: Callable[[Array], Array], columns: Array) -> Array:
        """Return columns ``(..., rows)`` with a function of ``(..., n)`` applied within each passage."""
        transformed = np.empty_like(columns, dtype=np.float64)
        for rows in self.slices:
            transformed[..., rows] = function(columns[..., rows])
        return transformed

    def detrended(self, columns: Array, trend: int) -> Array:
        """Return columns minus a polynomial in the position, fitted to each passage; degree 0 removes means only."""

        def residuals(values: Array) -> Array:
            basis = _orthonormal(values.shape[-1], trend)
            residual: Array = values - (values @ basis) @ basis.T
            return residual

        return self.within(residuals, columns)


def trend_basis(rows: int, trend: int) -> Array:
    """Return polynomials up to a degree in the position of a passage's rows, ``(rows, functions)``.

    Legendre polynomials, because they are nearly orthogonal on a grid. A passage of few rows limits the degree.
    """
    position = np.linspace(-1, 1, rows) if rows > 1 else np.zeros(1)
    basis: Array = np.polynomial.legendre.legvander(position, min(trend, rows - 1)).astype(np.float64)
    return basis


@lru_cache(maxsize=256)
def _orthonormal(rows: int, trend: int) -> Array:
    """Return an orthonormal basis of the same polynomials; cached, as every statistic of a text needs it."""
    basis, _ = np.linalg.qr(trend_basis(rows, trend))
    basis.setflags(write=False)  # callers share the cached array
    return basis


def is_rounding(size: Array, column: Array) -> bool:
    """Whether a spread, one per column ``(..., rows)``, is no larger than the rounding error of the column's values."""
    return not (size > 1e-12 * np.abs(column).max(axis=-1)).all()


def checked_trend(trend: int) -> int:
    """Return the degree of a trend, or raise `ValueError` if it is not valid."""
    if not isinstance(trend, int) or trend not in range(MOST_TREND + 1):
        raise ValueError(f"trend must be a degree from 0 to {MOST_TREND}, but {trend!r} was given")
    return trend


def blocks_of(passages: Passages, length: int) -> Units:
    """Return blocks of neighbouring tokens within passages as units, of ``length`` tokens or slightly more.

    A passage is cut into as many blocks as fit, whose lengths differ by at most one token. A passage shorter than
    ``length`` is one block.
    """
    starts = []
    for start, size in zip(passages.starts, passages.lengths, strict=True):
        number = max(1, size // length)
        starts.append(start + np.arange(number) * size // number)
    return Units(starts=np.concatenate(starts), rows=passages.rows, name=f"blocks of {length} tokens")


def resampling_units(by: By, passages: Passages, length: Callable[[], int]) -> Units:
    """Return the units to resample.

    Parameters
    ----------
    by : str
        ``"passages"``, ``"blocks"`` or ``"tokens"``.
    passages : Passages
        Where the rows belong.
    length : callable
        Returns the length of blocks; called only where blocks are resampled.

    Raises
    ------
    UndefinedEstimate
        If there are fewer than `FEWEST_PASSAGES` passages, or fewer than `FEWEST_UNITS` other units.

    """
    if by == "passages":
        if passages.count < FEWEST_PASSAGES:
            raise UndefinedEstimate(
                f"resampling passages needs at least {FEWEST_PASSAGES}, but {passages.count} were given"
            )
        return passages
    if by == "tokens":
        units = Units(starts=np.arange(passages.rows), rows=passages.rows, name="tokens, taken as independent")
    else:
        units = blocks_of(passages, length())
    if units.count < FEWEST_UNITS:
        raise UndefinedEstimate(
            f"resampling needs at least {FEWEST_UNITS} units, but there are {units.count} {units.name}"
        )
    return units


def checked(passage: ArrayLike, **given: ArrayLike) -> tuple[Passages, list[Array]]:
    """Check that columns ``(..., rows)`` are finite and as long as ``passage``, and return them with the passages.

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
            undefined = int(np.count_nonzero(~np.isfinite(column)))
            raise UndefinedEstimate(
                f"{name} holds {undefined} values that are not finite: leave those tokens out of every column with "
                "measured.where(...), or say in the claim what stands in for them"
            )
    return passages, list(columns.values())
