"""Columns made robust within a passage: mid-ranks, values pulled in, and ranks taken anew in every resample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pathlen.stats.arrays import Array
from pathlen.stats.clusters import Passages, trend_basis
from pathlen.stats.products import fisher_z, solved

__all__ = ["mid_ranks", "pulled_in", "reranked", "swayed"]

STRIP = 20
HALF_TRIANGLE = np.tril(np.ones((STRIP, STRIP))) - np.eye(STRIP) / 2


def mid_ranks(values: Array) -> Array:
    """Return the mid-ranks of one passage's values ``(..., rows)``, divided by their number."""
    ranks: Array = rankdata(values, axis=-1) / values.shape[-1]
    return ranks


def pulled_in(values: Array, tail: float = 0.05) -> Array:
    """Return one passage's values ``(..., rows)``, with those beyond the ``tail`` quantiles set to these quantiles."""
    low, high = np.quantile(values, [tail, 1 - tail], axis=-1, keepdims=True)
    clipped: Array = np.clip(values, low, high)
    return clipped


def swayed(ranked: Array, other: Array, passages: Passages) -> Array:
    """Return how drawing each token once more would change the sum of products by moving the ranks of other tokens.

    ``c_i = (sum of other_j over tokens j ranked above i, and half of it over ties) / n``, minus its mean, within each
    passage.
    """
    ranks, weights = np.atleast_2d(*np.broadcast_arrays(ranked, other))
    changes = np.empty(ranks.shape)
    for rows in passages.slices:
        for cell, (cell_ranks, cell_weights) in enumerate(zip(ranks[:, rows], weights[:, rows], strict=True)):
            count = len(cell_ranks)
            group = np.rint(2 * count * cell_ranks).astype(np.intp)  # a mid-rank is a multiple of one half
            level = np.bincount(group, weights=cell_weights)
            above = level.sum() - np.cumsum(level)
            change = (above + level / 2)[group] / count
            changes[cell, rows] = (
                change - change.mean()
            )  # ranks are over the passage's length, which the token increases
    return changes.reshape(np.broadcast_shapes(ranked.shape, other.shape))


def reranked(x: Array, y: Array, passages: Passages, trend: int) -> Callable[[Array], Array]:
    """Return the map from draws of tokens to Spearman's correlation of the drawn tokens, on Fisher's z.

    A drawn token's mid-rank is the number of drawn tokens below it plus half the number of those equal to it. Values are
    sorted once, so a resample costs a cumulative sum instead of a sort.
    """
    plans = []
    for rows in passages.slices:
        first, second = (np.unique(column[rows], return_inverse=True)[1] for column in (x, y))
        order = np.argsort(first, kind="stable")  # the first column's ranks then need neither sorting nor its inverse
        basis = trend_basis(len(order), trend)[order]
        plans.append((rows.start + order, _Ranks.of(first[order]), _Ranks.of(second[order]), basis))

    def function(weights: Array) -> Array:
        # One column per resample, so that gathers and cumulative sums run along memory.
        columns = np.ascontiguousarray(weights.T)
        totals = np.zeros((3, len(weights)))
        for rows, first, second, basis in plans:
            drawn = columns[rows]
            size = drawn.sum(axis=0)
            if trend == 0:
                sums = _centred_sums(drawn, size, first, second)
            else:
                sums = _fitted_sums(drawn, first, second, basis)
            with np.errstate(all="ignore"):
                totals += np.where(size > 0, sums / size**2, 0.0)  # a resample may draw no token of a passage
        with np.errstate(all="ignore"):
            return fisher_z(totals)

    return function


def _centred_sums(drawn: Array, size: Array, first: _Ranks, second: _Ranks) -> Array:
    """Return sums of products of the deviations of drawn mid-ranks from their mean: xy, xx and yy, ``(3, resamples)``.

    Mid-ranks, less a half, of ``N`` drawn tokens have mean ``N / 2``, and their squared deviations sum to
    ``(N^3 - sum g^3) / 12`` over groups of ``g`` equal tokens: the correction for ties.
    """
    levels = first.levels(drawn), second.levels(drawn)
    products = np.einsum("nb,nb->b", drawn * first.among(levels[0]), second.among(levels[1]))
    cube = size**3
    first_square = (cube - np.einsum("nb,nb->b", levels[0] ** 2, levels[0])) / 12
    if first.starts is None and second.starts is None:
        second_square = first_square  # no ties: the groups of both columns are the tokens
    else:
        second_square = (cube - np.einsum("nb,nb->b", levels[1] ** 2, levels[1])) / 12
    return np.stack([products - cube / 4, first_square, second_square])


def _fitted_sums(drawn: Array, first: _Ranks, second: _Ranks, basis: Array) -> Array:
    """Return the same sums of the residuals of mid-ranks after a weighted least-squares fit of the basis ``(tokens, functions)``."""
    ranks = [column.among(column.levels(drawn)) for column in (first, second)]
    functions = basis.shape[1]
    cross = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    gram = np.moveaxis((cross.T @ drawn).reshape(functions, functions, -1), -1, 0)
    weighted = [drawn * column for column in ranks]
    fits = [(basis.T @ column).T for column in weighted]
    slopes = solved(gram, np.stack(fits, axis=-1))
    pairs = ((0, 1), (0, 0), (1, 1))
    total = [np.einsum("nb,nb->b", weighted[i], ranks[j]) for i, j in pairs]
    fitted = [np.einsum("bp,bp->b", fits[i], slopes[..., j]) for i, j in pairs]
    residual: Array = np.stack(total) - np.stack(fitted)
    return residual


@dataclass(frozen=True, slots=True)
class _Ranks:
    """The order of a column's values.

    Attributes
    ----------
    order : ndarray or None
        Sorts the values; None where they are sorted.
    back : ndarray or None
        The index of each value's distinct value; None where values are sorted and distinct.
    starts : ndarray or None
        Where each distinct value starts among the sorted ones; None where values are distinct.

    """

    order: NDArray[np.intp] | None
    back: NDArray[np.intp] | None
    starts: NDArray[np.intp] | None

    @classmethod
    def of(cls, group: NDArray[np.intp]) -> _Ranks:
        """Return the ranks of values given as the index of each one's distinct value, in ascending order."""
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        is_sorted, has_ties = bool((np.diff(group) >= 0).all()), len(starts) < len(group)
        return cls(
            order=None if is_sorted else order,
            back=None if is_sorted and not has_ties else group,
            starts=starts if has_ties else None,
        )

    def levels(self, drawn: Array) -> Array:
        """Return how often each distinct value was drawn, in ascending order, ``(distinct, resamples)``."""
        level: Array = drawn if self.order is None else drawn[self.order]
        if self.starts is None:
            return level
        sums: Array = np.add.reduceat(level, self.starts, axis=0)
        return sums

    def among(self, levels: Array) -> Array:
        """Return each value's mid-rank, less a half, among those drawn, ``(values, resamples)``."""
        below = _running(levels)
        return below if self.back is None else below[self.back]


def _running(level: Array) -> Array:
    """Return for each row the sum of the rows before it plus half of the row, strip by strip as a matrix product.

    This takes a third of the time of a cumulative sum, in which each addition waits for the previous one.
    """
    rows, columns = level.shape
    strips = np.empty((-(-rows // STRIP), STRIP, columns))
    strips.reshape(-1, columns)[:rows] = level
    strips.reshape(-1, columns)[rows:] = 0
    below: Array = HALF_TRIANGLE @ strips
    strip_sums = below[:, -1] + strips[:, -1] / 2
    below[1:] += np.cumsum(strip_sums[:-1], axis=0)[:, None]
    return below.reshape(-1, columns)[:rows]
