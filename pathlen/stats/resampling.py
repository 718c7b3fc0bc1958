"""Ten thousand resamples as one matrix product.

A resample of ``U`` units is a row of counts ``w``: how often each unit was drawn. The totals of all resamples are
``W M``, with one row of ``W`` per resample and one row of ``M`` per unit, for any number of statistics side by side. The
totals give each resample's value and, with the products of moments as further columns of ``M``, its standard error.
The counts depend only on the number of units, the number of resamples and the seed, so statistics of the same units share
them. That pairs contrasts, and takes account of the dependence in a maximum over many statistics, at no cost.

Counts are cached as small integers, and the product is computed in chunks that fit a processor's cache, so memory stays
flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pathlen.stats.arrays import Array

__all__ = [
    "counts",
    "forget",
    "replicated",
    "studentised",
    "studentised_from_influences",
    "studentised_from_products",
]

CHUNK = 1 << 18  # numbers in the larger factor or the result of a chunk's product: 2 MiB
COUNTS_BYTES = 1 << 23  # counts that are cached for the next statistic: 8 MiB


def counts(units: int, replicates: int, seed: int, width: int = 1) -> Iterator[Array]:
    """Yield how often each unit is drawn in each resample, in chunks ``(some replicates, units)``.

    Parameters
    ----------
    units, replicates, seed : int
        In each of ``replicates`` resamples, ``units`` units are drawn with replacement.
    width : int
        Number of columns that the counts will be multiplied by. It only affects the size of a chunk.

    """
    size = max(16, CHUNK // max(units, width))
    if units * replicates <= COUNTS_BYTES:
        table = _cached_counts(units, replicates, seed)
        for start in range(0, replicates, size):
            yield table[start : start + size].astype(np.float64)
    else:
        yield from (chunk.astype(np.float64) for chunk in _drawn(units, replicates, seed))


@lru_cache(maxsize=4)
def _cached_counts(units: int, replicates: int, seed: int) -> NDArray[np.uint8 | np.uint16]:
    # No unit is drawn 256 times among hundreds; among fewer than 256 none can be.
    parts = [chunk.astype(np.uint8 if units < 256 else np.uint16) for chunk in _drawn(units, replicates, seed)]
    return np.concatenate(parts)


def forget() -> None:
    """Empty the cache of counts, so that the next statistic draws them anew."""
    _cached_counts.cache_clear()


def _drawn(units: int, replicates: int, seed: int) -> Iterator[NDArray[np.intp]]:
    draw = np.random.default_rng(seed)
    size = max(16, CHUNK // 4 // units)  # depends on units only: the generator's stream depends on the chunk size
    dtype = np.uint16 if units <= 1 << 16 else np.uint32
    for start in range(0, replicates, size):
        rows = min(size, replicates - start)
        index = draw.integers(units, size=(rows, units), dtype=dtype).astype(np.intp)
        index += units * np.arange(rows)[:, None]
        yield np.bincount(index.ravel(), minlength=rows * units).reshape(rows, units)


def replicated(sums: Array, function: Callable[[Array], Array], *, replicates: int, seed: int) -> Array:
    """Return each resample's statistic ``theta*``, shape ``(replicates, cells)``; arguments as in `studentised`."""
    values = np.empty((replicates, sums.shape[1]))
    for resamples, totals in _totals(sums, replicates, seed):
        with np.errstate(all="ignore"):
            values[resamples] = function(totals)
    return values


def _totals(columns: Array, replicates: int, seed: int) -> Iterator[tuple[slice, Array]]:
    """Yield slices of resamples with their totals of columns ``(columns, cells, units)``.

    Totals have shape ``(columns, resamples, cells)``.
    """
    number, cells, units = columns.shape
    design = np.ascontiguousarray(columns.reshape(-1, units).T)
    start = 0
    for chunk in counts(units, replicates, seed, design.shape[1]):
        yield slice(start, start + len(chunk)), (chunk @ design).reshape(-1, number, cells).transpose(1, 0, 2)
        start += len(chunk)


def studentised(
    sums: Array,
    function: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    value: Array,
    *,
    replicates: int,
    seed: int,
) -> Array:
    """Return each resample's score ``(theta* - theta) / se*``, shape ``(replicates, cells)``.

    Parameters
    ----------
    sums : ndarray, shape (moments, cells, units)
        What each unit adds to the totals.
    function, gradient : callable
        As in `pathlen.stats.statistic.Smooth`.
    value : ndarray, shape (cells,)
        The statistic of all units.
    replicates, seed : int
        See `counts`.

    Notes
    -----
    ``se*^2 = U / (U - 1) * sum_u w_u psi*_u^2`` with ``psi*_u = grad g(M*) . m_u``, the sandwich variance between units. It
    is computed from totals of the products of moments or, where there are more of these than units, from the influences
    ``psi*``.

    """
    is_wide = len(_pairs(len(sums))) > sums.shape[-1]
    way = studentised_from_influences if is_wide else studentised_from_products
    return way(sums, function, gradient, value, replicates=replicates, seed=seed)


def _pairs(moments: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(moments) for j in range(i, moments)]


def studentised_from_products(
    sums: Array,
    function: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    value: Array,
    *,
    replicates: int,
    seed: int,
) -> Array:
    """Return the scores of `studentised` from totals of the products of moments."""
    moments, cells, units = sums.shape
    pairs = _pairs(moments)
    columns = np.stack([*sums, *(sums[i] * sums[j] for i, j in pairs)])
    scores = np.empty((replicates, cells))
    for resamples, product in _totals(columns, replicates, seed):
        totals = product[:moments]
        with np.errstate(all="ignore"):
            slope = gradient(totals)
            variance = sum(
                (1 if i == j else 2) * slope[i] * slope[j] * cross
                for (i, j), cross in zip(pairs, product[moments:], strict=True)
            )
            scores[resamples] = (function(totals) - value) / np.sqrt(units / (units - 1) * variance)
    return scores


def studentised_from_influences(
    sums: Array,
    function: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    value: Array,
    *,
    replicates: int,
    seed: int,
) -> Array:
    """Return the scores of `studentised` from each unit's influence in each resample."""
    moments, cells, units = sums.shape
    design = np.ascontiguousarray(sums.reshape(-1, units).T)
    by_cell = np.ascontiguousarray(sums.transpose(1, 2, 0))
    scores = np.empty((replicates, cells))
    start = 0
    for chunk in counts(units, replicates, seed, 3 * cells * units):  # influences and the arrays they are computed from
        totals = np.ascontiguousarray((chunk @ design).reshape(-1, moments, cells).transpose(1, 2, 0))
        with np.errstate(all="ignore"):
            influences = by_cell @ gradient(totals).swapaxes(0, 1)  # (cells, units, resamples)
            influences *= influences
            influences *= chunk.T
            error = np.sqrt(units / (units - 1) * influences.sum(axis=1))
            scores[start : start + len(chunk)] = ((function(totals) - value[:, None]) / error).T
        start += len(chunk)
    return scores
