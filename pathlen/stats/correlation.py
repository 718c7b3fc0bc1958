"""Correlations of two columns, and which relation each is about.

All but `pooled_pearson` are about tokens *within* passages: from every column each passage's own mean is taken, and its
own straight trend along the position in the text (``trend=0`` leaves the trend in). A difference between two texts
can't then pass for a relation between tokens, nor can two columns that both drift as a text goes on. All have their
interval on Fisher's ``z = atanh r``.

=================== ==================================================================================
`pearson`           linear relation within passages: the default for a claim about tokens
`spearman`          monotone relation within passages; one outlying token can't make it
`winsorised`        linear relation with each passage's extreme values pulled in
`partial`           linear relation within passages that other columns don't account for
`slope`             how much one column changes with another, in their units, within passages
`pooled_pearson`    over all rows as if they were one text: differences and trends included
=================== ==================================================================================

``x`` may hold several columns, shape ``(cells, rows)``: the result has one number for each, all resampled together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from functools import partial as given

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from pathlen.errors import UndefinedEstimate
from pathlen.stats.clusters import Passages, checked, checked_trend, is_rounding, trend_basis
from pathlen.stats.statistic import Smooth

__all__ = [
    "all_pairs",
    "fisher_gradient",
    "fisher_z",
    "mid_ranks",
    "partial",
    "pearson",
    "pooled_pearson",
    "pulled_in",
    "slope",
    "spearman",
    "winsorised",
]

Array = NDArray[np.float64]

POOLED_CAUTION = (
    "where passages differ, 95 % intervals of a pooled correlation covered as little as 89 % in simulations"
)
STRIP = 20
HALF_TRIANGLE = np.tril(np.ones((STRIP, STRIP))) - np.eye(STRIP) / 2


def pearson(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return Pearson's correlation of two columns within passages.

    Parameters
    ----------
    x : array_like, shape (rows,) or (cells, rows)
        One value per token.
    y : array_like, shape (rows,)
        One value per token.
    passage : array_like, shape (rows,)
        The passage of each row; rows of a passage stand together, in the order of its text.
    trend : int
        Degree, from 0 to 3, of the polynomial in the position that is taken out of each column in each passage: 1, a
        straight trend, unless said otherwise; 0 takes out means only.

    Returns
    -------
    Smooth
        ``r = S_xy / sqrt(S_xx S_yy)`` where ``S`` are sums over all rows of products of what is left of the columns.
        With one passage and ``trend=0`` this is the ordinary correlation.

    Raises
    ------
    ValueError
        If the columns differ in length, or ``trend`` is out of range.
    UndefinedEstimate
        If nothing but mean and trend is in a column, or it holds a non-finite value.

    Examples
    --------
    >>> passage = np.repeat(np.arange(6), 4)
    >>> x = np.tile([1.0, 2.0, 3.0, 4.0], 6)
    >>> y = np.tile([2.0, 1.0, 4.0, 3.0], 6) + passage
    >>> statistic = pearson(x, y, passage=passage, trend=0)
    >>> round(float(np.tanh(statistic.function(statistic.moments.sum(axis=-1)))), 3)
    0.6

    """
    passages, (one, two) = checked(passage, x=x, y=y)
    return _correlation(_named("Pearson r", trend), one, two, passages, trend)


def all_pairs(x: Array, y: Array, *, passages: Passages) -> Smooth:
    """Return Pearson's correlation of every column with every other, side by side, for resamples of whole passages.

    What each passage adds to the sums is a matrix product, and nothing is kept of single tokens: for very many numbers at
    once, of which nobody asks what a token does to them.

    Parameters
    ----------
    x : ndarray, shape (a, rows)
        One value per token, passages' means taken out.
    y : ndarray, shape (b, rows)
        Likewise.
    passages : Passages
        Five or more, or nothing can be resampled.

    Returns
    -------
    Smooth
        ``a * b`` numbers, those of the first ``x`` first. Its rows are passages.

    Raises
    ------
    UndefinedEstimate
        If a column is constant within every passage.

    """
    name = _named("Pearson r", 0)
    (one, _), (two, _) = (_standardised(name, label, column, passages, 0) for label, column in (("x", x), ("y", y)))
    shape = len(one), len(two), passages.count
    products = np.stack([one[:, rows] @ two[:, rows].T for rows in passages.slices], axis=-1)
    squares = passages.sums(one**2)[:, None], passages.sums(two**2)[None]
    moments = np.stack([products, *(np.broadcast_to(part, shape) for part in squares)])
    whole = replace(passages, starts=np.arange(passages.count), rows=passages.count)
    return _from_moments(name, moments.reshape(3, -1, passages.count), whole)


def spearman(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return Spearman's rank correlation within passages: `pearson` of the mid-ranks inside each passage.

    Ranks are over their passage's length, so that no passage counts for more by being long; a trend is taken out of the
    ranks, which leaves the number unchanged by any monotone change of a column. Where passages are resampled whole,
    ranks inside them do not change. Where they are not, a token's influence holds what it does to the ranks of
    others, and ``by="tokens"`` or ``"blocks"`` ranks anew in every resample. Parameters and errors are those of `pearson`.
    """
    name = _named("Spearman rho", trend)
    passages, (one, two) = checked(passage, x=x, y=y)
    first, second = (passages.within(mid_ranks, column) for column in (one, two))
    (own, own_size), (mate, mate_size) = (
        _standardised(name, label, ranked, passages, trend) for label, ranked in (("x", first), ("y", second))
    )

    @cache  # and not at once: nobody asks for them where passages are only resampled whole
    def sways() -> Array:
        parts = (
            own * mate + _swayed(first, mate, passages) / own_size + _swayed(second, own, passages) / mate_size,
            own**2 + 2 * _swayed(first, own, passages) / own_size,
            mate**2 + 2 * _swayed(second, mate, passages) / mate_size,
        )
        return np.stack(np.broadcast_arrays(*parts))

    @cache
    def each() -> list[Callable[[Array], Array]]:
        pairs = zip(*np.broadcast_arrays(np.atleast_2d(one), np.atleast_2d(two)), strict=True)
        return [_reranked(x, y, passages, trend) for x, y in pairs]

    return replace(
        _of_products(name, own, mate, passages),
        sways=sways,
        reranked=lambda weights: np.stack([anew(weights) for anew in each()], axis=1),
    )


def winsorised(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, tail: float = 0.05, trend: int = 1) -> Smooth:
    """Return Pearson's correlation within passages after pulling in each passage's extreme values.

    In every passage and column, values below the ``tail`` quantile are set to it, and values above the ``1 - tail``
    quantile likewise (NumPy's linear quantiles), before means and trends are taken out. Other parameters and errors are
    those of `pearson`.

    Parameters
    ----------
    x : array_like, shape (rows,) or (cells, rows)
        One value per token.
    y : array_like, shape (rows,)
        One value per token.
    passage : array_like, shape (rows,)
        The passage of each row.
    tail : float
        Share of each end that is pulled in, from 0 to below 0.5.
    trend : int
        As in `pearson`.

    Raises
    ------
    ValueError
        If ``tail`` is out of range.

    """
    if not 0.0 <= tail < 0.5:
        raise ValueError(f"tail must lie from 0 to below 0.5, but {tail} was given")
    name = _named(f"Pearson r, winsorised {tail:.0%},", trend)
    passages, columns = checked(passage, x=x, y=y)
    one, two = (passages.within(given(pulled_in, tail=tail), column) for column in columns)
    return _correlation(name, one, two, passages, trend)


def partial(x: ArrayLike, y: ArrayLike, *, given: Sequence[ArrayLike], passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return the partial correlation of two columns given others, within passages.

    Parameters
    ----------
    x, y : array_like, shape (rows,)
        One value per token.
    given : sequence of array_like, each of shape (rows,)
        The columns whose linear part is taken out of both, for example the residual norm.
    passage : array_like, shape (rows,)
        The passage of each row.
    trend : int
        As in `pearson`, for the given columns too.

    Returns
    -------
    Smooth
        ``r = A_xy / sqrt(A_xx A_yy)`` with ``A = G_11 - G_12 G_22^-1 G_21``, ``G`` being the sums of products of
        what is left of the columns, ``x, y`` first and the given columns second. The coefficients of the given
        columns are estimated anew in every resample.

    Raises
    ------
    ValueError
        If nothing is given, or columns differ in length.
    UndefinedEstimate
        If nothing but mean and trend is in a column, or the given ones are collinear.

    """
    if not given:
        raise ValueError("given must name at least one column; without any, use pearson")
    name = _named("partial r", trend) + f", given {len(given)} column{'s' if len(given) > 1 else ''}"
    names = {f"given[{place}]": column for place, column in enumerate(given)}
    passages, columns = checked(passage, x=x, y=y, **names)
    table = np.stack(
        [
            _standardised(name, label, column, passages, trend)[0]
            for label, column in zip(("x", "y", *names), columns, strict=True)
        ]
    )
    if np.linalg.cond(table[2:] @ table[2:].T) > 1e12:
        raise UndefinedEstimate(f"{name} is undefined: the given columns are collinear")
    size = len(table)
    products = np.stack([table[i] * table[j] for i in range(size) for j in range(size)])

    def parts(total: Array) -> tuple[Array, Array]:
        gram = np.moveaxis(total, 0, -1).reshape(*total.shape[1:], size, size)
        slopes = _solved(gram[..., 2:, 2:], gram[..., 2:, :2])
        left = gram[..., :2, :2] - gram[..., :2, 2:] @ slopes
        return np.stack([left[..., 0, 1], left[..., 0, 0], left[..., 1, 1]]), np.swapaxes(slopes, -1, -2)

    def gradient(total: Array) -> Array:
        left_over, slopes = parts(total)
        by_xy, by_xx, by_yy = fisher_gradient(left_over)
        inner = np.stack([np.stack([by_xx, by_xy], -1), np.stack([np.zeros_like(by_xy), by_yy], -1)], -2)
        # A change of G changes A by B dG B', with B = (1, -slopes).
        outer = np.concatenate([np.broadcast_to(np.eye(2), (*slopes.shape[:-1], 2)), -slopes], axis=-1)
        slope = np.swapaxes(outer, -1, -2) @ inner @ outer
        return np.moveaxis(slope.reshape(*total.shape[1:], -1), -1, 0)

    return Smooth(
        name=name,
        moments=products,
        function=lambda total: fisher_z(parts(total)[0]),
        gradient=gradient,
        scale="fisher z",
        passages=passages,
    )


def slope(y: ArrayLike, x: ArrayLike, *, passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return the least-squares slope of one column on another within passages, on its own scale.

    Parameters
    ----------
    y : array_like, shape (rows,) or (cells, rows)
        What is explained, one value per token.
    x : array_like, shape (rows,)
        What explains it.
    passage : array_like, shape (rows,)
        The passage of each row.
    trend : int
        As in `pearson`, of both columns.

    Returns
    -------
    Smooth
        ``b = S_xy / S_xx``, in units of ``y`` per unit of ``x``; errors in ``x`` make it smaller than it is.

    Raises
    ------
    ValueError
        As in `pearson`.
    UndefinedEstimate
        If nothing but mean and trend is in a column, or it holds a non-finite value.

    Examples
    --------
    >>> passage = np.repeat(np.arange(6), 4)
    >>> x = np.tile([1.0, 2.0, 3.0, 4.0], 6)
    >>> y = np.tile([2.0, 1.0, 4.0, 3.0], 6) + passage
    >>> round(slope(y, x, passage=passage, trend=0).value, 3)
    0.6

    """
    name = _named("slope", trend)
    passages, (explained, explains) = checked(passage, y=y, x=x)
    if explains.ndim != 1:
        raise ValueError(f"x must have one value per token, but its shape is {explains.shape}")
    (one, size), (two, unit) = (
        _standardised(name, label, column, passages, trend) for label, column in (("y", explained), ("x", explains))
    )
    each = size[..., 0] / unit[0]
    return Smooth(
        name=name,
        moments=np.stack(np.broadcast_arrays(one * two, two**2)),
        function=lambda total: each * total[0] / total[1],
        gradient=lambda total: np.stack([each / total[1], -each * total[0] / total[1] ** 2]),
        scale="identity",
        passages=passages,
    )


def pooled_pearson(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return Pearson's correlation over all rows, differences between passages and trends included.

    ``r = (n S_xy - S_x S_y) / sqrt((n S_xx - S_x^2)(n S_yy - S_y^2))`` with sums over all rows. Passages are still what
    is resampled. Parameters and errors are those of `pearson`.

    Passages that differ much make this one number out of a few passage means, and its intervals cover too rarely; the
    estimate says so.
    """
    passages, columns = checked(passage, x=x, y=y)
    # Moving and scaling a column changes no correlation, and keeps the sums well conditioned.
    moved = []
    for label, column in zip("xy", columns, strict=True):
        spread = column.std(axis=-1)
        if is_rounding(spread, column):
            raise UndefinedEstimate(f"pooled Pearson r is undefined: column {label} is constant")
        moved.append((column - column.mean(axis=-1, keepdims=True)) / spread[..., None])
    one, two = moved

    def central(total: Array) -> Array:
        n, x, y, xy, xx, yy = total
        return np.stack([xy - x * y / n, xx - x**2 / n, yy - y**2 / n])

    def gradient(total: Array) -> Array:
        n, x, y, *_ = total
        by_xy, by_xx, by_yy = fisher_gradient(central(total))
        by_n = (x * y * by_xy + x**2 * by_xx + y**2 * by_yy) / n**2
        by_x = -(y * by_xy + 2 * x * by_xx) / n
        by_y = -(x * by_xy + 2 * y * by_yy) / n
        return np.stack([by_n, by_x, by_y, by_xy, by_xx, by_yy])

    return Smooth(
        name="Pearson r, all rows pooled",
        moments=np.stack(np.broadcast_arrays(np.ones_like(one), one, two, one * two, one**2, two**2)),
        function=lambda total: fisher_z(central(total)),
        gradient=gradient,
        scale="fisher z",
        passages=passages,
        caution=POOLED_CAUTION,
    )


def mid_ranks(values: Array) -> Array:
    """Return the mid-ranks of one passage's values ``(..., rows)`` over their number."""
    ranked: Array = rankdata(values, axis=-1) / values.shape[-1]
    return ranked


def pulled_in(values: Array, tail: float = 0.05) -> Array:
    """Return one passage's values ``(..., rows)`` with those beyond the ``tail`` quantiles set to these."""
    low, high = np.quantile(values, [tail, 1 - tail], axis=-1, keepdims=True)
    clipped: Array = np.clip(values, low, high)
    return clipped


def _named(what: str, trend: int) -> str:
    return f"{what} within passages" + (", trend removed" if checked_trend(trend) else "")


def _standardised(name: str, label: str, column: Array, passages: Passages, trend: int) -> tuple[Array, Array]:
    """Return what is left of a column without mean and trend, over its root mean square, and that."""
    rest = passages.detrended(column, trend)
    size = np.sqrt(np.mean(rest**2, axis=-1))
    if is_rounding(size, column):
        kept = "constant" if trend == 0 else "nothing but a trend"
        raise UndefinedEstimate(f"{name} is undefined: column {label} is {kept} within every passage")
    return rest / size[..., None], size[..., None]


def _correlation(name: str, x: Array, y: Array, passages: Passages, trend: int) -> Smooth:
    (one, _), (two, _) = (_standardised(name, label, column, passages, trend) for label, column in (("x", x), ("y", y)))
    return _of_products(name, one, two, passages)


def _of_products(name: str, one: Array, two: Array, passages: Passages) -> Smooth:
    """Return the correlation of columns that nothing needs to be taken out of any more."""
    moments = np.empty((3, *np.broadcast_shapes(one.shape, two.shape)))
    for place, (left, right) in enumerate(((one, two), (one, one), (two, two))):
        np.multiply(left, right, out=moments[place])
    return _from_moments(name, moments, passages)


def _from_moments(name: str, moments: Array, passages: Passages) -> Smooth:
    return Smooth(
        name=name,
        moments=moments,
        function=fisher_z,
        gradient=fisher_gradient,
        scale="fisher z",
        passages=passages,
    )


def fisher_z(total: Array) -> Array:
    """Return ``z = atanh r`` with ``r = S_xy / sqrt(S_xx S_yy)`` of totals ``(xy, xx, yy)``."""
    z: Array = np.arctanh(total[0] / np.sqrt(total[1] * total[2]))
    return z


def fisher_gradient(total: Array) -> Array:
    """Return the slopes of `fisher_z`: ``dz = dr / (1 - r^2)`` with ``dr = dS_xy / sqrt(S_xx S_yy) - r / 2 (dS_xx / S_xx + dS_yy / S_yy)``."""
    root = np.sqrt(total[1] * total[2])
    r = total[0] / root
    steep = 1 / (1 - r**2)
    slope: Array = np.stack([steep / root, -r * steep / (2 * total[1]), -r * steep / (2 * total[2])])
    return slope


def _swayed(ranked: Array, other: Array, passages: Passages) -> Array:
    """Return by how much a further token like each, moving the ranks of others, would move the sum of products.

    ``c_i = (sum of other_j over tokens j ranked above i, and half of it over ties) / n``, less its mean, inside each passage.
    """
    table, against = np.atleast_2d(*np.broadcast_arrays(ranked, other))
    moved = np.empty(table.shape)
    for rows in passages.slices:
        for cell, (values, weights) in enumerate(zip(table[:, rows], against[:, rows], strict=True)):
            group = np.rint(2 * len(values) * values).astype(np.intp)  # a mid-rank is a whole number of halves
            level = np.bincount(group, weights=weights)
            above = level.sum() - np.cumsum(level)
            swayed = (above + level / 2)[group] / len(values)
            moved[cell, rows] = swayed - swayed.mean()  # ranks are over the passage's length, which grows by the token
    return moved.reshape(np.broadcast_shapes(ranked.shape, other.shape))


def _solved(matrix: Array, right: Array) -> Array:
    """Solve many systems of equations at once; a singular one has NaN for an answer, not an error for all."""
    try:
        solved = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        size = matrix.shape[-1]
        singular = np.linalg.matrix_rank(matrix) < size
        safe = np.where(singular[..., None, None], np.eye(size), matrix)
        solved = np.where(singular[..., None, None], np.nan, np.linalg.solve(safe, right))
    return np.asarray(solved, dtype=np.float64)


def _reranked(x: Array, y: Array, passages: Passages, trend: int) -> Callable[[Array], Array]:
    """Return the map from draws of tokens to Spearman's correlation of the drawn ones, on Fisher's z.

    A drawn token's mid-rank is the number of drawn ones below it plus half of those level with it. Values are sorted
    once, so a resample costs a cumulative sum and no sort.
    """
    plans = []
    for rows in passages.slices:
        first, second = (np.unique(column[rows], return_inverse=True)[1] for column in (x, y))
        order = np.argsort(first, kind="stable")  # the first column's ranks then need no sorting, nor any way back
        basis = trend_basis(len(order), trend)[order]
        plans.append((rows.start + order, _Ranks.of(first[order]), _Ranks.of(second[order]), basis))

    def function(weights: Array) -> Array:
        # A column per resample: gathers and cumulative sums then run along memory.
        every = np.ascontiguousarray(weights.T)
        totals = np.zeros((3, len(weights)))
        for rows, first, second, basis in plans:
            drawn = every[rows]
            size = drawn.sum(axis=0)
            if trend == 0:
                sums = _centred_sums(drawn, size, first, second)
            else:
                sums = _fitted_sums(drawn, first, second, basis)
            with np.errstate(all="ignore"):
                totals += np.where(size > 0, sums / size**2, 0.0)  # a passage may not be drawn at all
        with np.errstate(all="ignore"):
            return fisher_z(totals)

    return function


def _centred_sums(drawn: Array, size: Array, first: _Ranks, second: _Ranks) -> Array:
    """Return sums of products of the deviations of drawn mid-ranks from their mean: xy, xx and yy, ``(3, resamples)``.

    Mid-ranks, less a half, of ``N`` drawn tokens have the mean ``N / 2``, and their squared deviations the sum
    ``(N^3 - sum g^3) / 12`` over groups of ``g`` equal ones: the correction for ties.
    """
    levels = first.levels(drawn), second.levels(drawn)
    products = np.einsum("nb,nb->b", drawn * first.among(levels[0]), second.among(levels[1]))
    whole = size**3
    square = (whole - np.einsum("nb,nb->b", levels[0] ** 2, levels[0])) / 12
    if first.starts is None and second.starts is None:
        other = square  # no ties: the groups of both are the tokens
    else:
        other = (whole - np.einsum("nb,nb->b", levels[1] ** 2, levels[1])) / 12
    return np.stack([products - whole / 4, square, other])


def _fitted_sums(drawn: Array, first: _Ranks, second: _Ranks, basis: Array) -> Array:
    """Return the same of what a weighted least-squares fit on the basis ``(tokens, functions)`` leaves of mid-ranks."""
    ranks = [one.among(one.levels(drawn)) for one in (first, second)]
    functions = basis.shape[1]
    cross = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    gram = np.moveaxis((cross.T @ drawn).reshape(functions, functions, -1), -1, 0)
    weighted = [drawn * column for column in ranks]
    fits = [(basis.T @ column).T for column in weighted]
    slopes = _solved(gram, np.stack(fits, axis=-1))
    pairs = ((0, 1), (0, 0), (1, 1))
    whole = [np.einsum("nb,nb->b", weighted[i], ranks[j]) for i, j in pairs]
    fitted = [np.einsum("bp,bp->b", fits[i], slopes[..., j]) for i, j in pairs]
    left: Array = np.stack(whole) - np.stack(fitted)
    return left


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Where values stand among each other; ``order`` sorts them, None where they are sorted already."""

    order: NDArray[np.intp] | None
    back: NDArray[np.intp] | None
    starts: NDArray[np.intp] | None

    @classmethod
    def of(cls, group: NDArray[np.intp]) -> _Ranks:
        """Return the plan for values that carry these numbers, equal ones the same and larger ones larger."""
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
    """Return the sum of all rows above each, and half of its own: strip by strip as a matrix product.

    A cumulative sum adds one number after the other, each waiting for the last; this takes a third of its time.
    """
    rows, columns = level.shape
    strips = np.empty((-(-rows // STRIP), STRIP, columns))
    strips.reshape(-1, columns)[:rows] = level
    strips.reshape(-1, columns)[rows:] = 0
    below: Array = HALF_TRIANGLE @ strips
    whole = below[:, -1] + strips[:, -1] / 2
    below[1:] += np.cumsum(whole[:-1], axis=0)[:, None]
    return below.reshape(-1, columns)[:rows]
