"""Which rows are resampled together.

Tokens of one passage share a subject, an author and a context window, so they are no independent draws; an
interval that resamples tokens covers the truth too rarely, by more than ten points at ordinary dependence.
Whole passages are independent of each other as far as anything here is, hence the default.

With fewer than `FEWEST_PASSAGES` passages there is nothing to resample, and runs of neighbouring tokens inside
each passage stand in (non-overlapping blocks of `BLOCK` tokens, which in simulations at n = 340 covered 93 to
95 % up to an autocorrelation of 0.6 when studentised). Such an interval speaks about *this text*, not about
texts; the unit's name says so wherever the number is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathlen.errors import UndefinedEstimate

FEWEST_PASSAGES = 5
FEWEST_BLOCKS = 10
BLOCK = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """A grouping of rows.

    Attributes
    ----------
    label : ndarray of int, shape (rows,)
        The unit of each row, ``0`` to ``count - 1``.
    passage : ndarray of int, shape (rows,)
        The passage of each row, ``0`` upwards; statistics "within passages" centre by it.
    count : int
        Number of units.
    name : str
        What a unit is, in the plural.
    identity : tuple
        Which unit is which: the passages' labels as given, or a label and a block's number. Statistics can be
        contrasted only where these are the same.

    """

    label: NDArray[np.intp]
    passage: NDArray[np.intp]
    count: int
    name: str
    identity: tuple[object, ...]

    def within(
        self, function: Callable[[NDArray[np.float64]], NDArray[np.float64]], column: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return a column with a function applied inside each passage, shape ``(rows,)``."""
        result = np.empty_like(column)
        for one in range(int(self.passage.max()) + 1):
            rows = self.passage == one
            result[rows] = function(column[rows])
        return result

    def sums(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of a column, shape ``(rows,)`` or ``(cells, rows)``, in each unit: ``(units[, cells])``."""
        sums = [np.bincount(self.label, weights=row, minlength=self.count) for row in np.atleast_2d(column)]
        result: NDArray[np.float64] = np.stack(sums, axis=1).astype(np.float64)
        return result if column.ndim > 1 else result[:, 0]


def resampling_units(passage: ArrayLike) -> Units:
    """Return the units for rows of these passages: the passages, or blocks of tokens where they are too few.

    Parameters
    ----------
    passage : array_like of int, shape (rows,)
        The passage of each row; rows of a passage must stand in the order of its text.

    Raises
    ------
    ValueError
        If the rows of a passage do not stand together.
    UndefinedEstimate
        If neither five passages nor ten blocks can be formed.

    Examples
    --------
    >>> resampling_units([0] * 9 + [1] * 9 + [2] * 9 + [3] * 9 + [4] * 9).name
    'passages'
    >>> units = resampling_units([0] * 230)
    >>> units.name, units.count
    ('blocks of 20 tokens', 11)

    """
    label = _labels(passage)
    passages = int(label.max()) + 1
    if passages >= FEWEST_PASSAGES:
        identity = tuple(np.unique(np.asarray(passage)).tolist())
        return Units(label=label, passage=label, count=passages, name="passages", identity=identity)
    blocks = token_blocks(passage)
    if blocks.count < FEWEST_BLOCKS:
        raise UndefinedEstimate(
            f"an interval needs at least {FEWEST_PASSAGES} passages, or {FEWEST_BLOCKS} blocks of {BLOCK} tokens, "
            f"but {passages} passages with {len(label)} tokens were given"
        )
    return blocks


def token_blocks(passage: ArrayLike) -> Units:
    """Return blocks of `BLOCK` neighbouring tokens as units; the rest of a passage joins its last block."""
    label = _labels(passage)
    blocks = np.empty_like(label)
    count = 0
    identity: list[object] = []
    for one, given in enumerate(np.unique(np.asarray(passage)).tolist()):
        rows = np.flatnonzero(label == one)
        number = max(1, len(rows) // BLOCK)
        blocks[rows] = count + np.minimum(np.arange(len(rows)) // BLOCK, number - 1)
        count += number
        identity += [(given, block) for block in range(number)]
    name = f"blocks of {BLOCK} tokens"
    return Units(label=blocks, passage=label, count=count, name=name, identity=tuple(identity))


def _labels(passage: ArrayLike) -> NDArray[np.intp]:
    given = np.asarray(passage)
    if given.ndim != 1 or given.size == 0:
        raise UndefinedEstimate(f"passage must be a row of labels, but its shape is {given.shape}")
    label = np.unique(given, return_inverse=True)[1]
    runs = 1 + np.count_nonzero(np.diff(label))
    if runs != label.max() + 1:
        raise ValueError(
            f"rows of a passage must stand together, but {label.max() + 1} passages change {runs - 1} times"
        )
    return label


def checked_columns(passage: ArrayLike, **given: ArrayLike) -> tuple[Units, list[NDArray[np.float64]]]:
    """Check that all columns are finite rows of one length, and return them with their resampling units."""
    columns = {name: np.asarray(column, dtype=np.float64) for name, column in given.items()}
    length = np.asarray(passage).shape
    for name, column in columns.items():
        if column.shape != length or column.ndim != 1:
            raise ValueError(f"{name} must have one value per row of passage {length}, but its shape is {column.shape}")
        if not np.isfinite(column).all():
            bad = int(np.count_nonzero(~np.isfinite(column)))
            raise UndefinedEstimate(f"{name} holds {bad} values that are not finite")
    return resampling_units(passage), list(columns.values())
