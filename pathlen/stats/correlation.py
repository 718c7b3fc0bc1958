"""Correlations of two columns, and slopes of one on another.

All but `pooled_pearson` are about tokens *within* passages: each passage's mean is subtracted from each column, and so is a
straight trend along the position in the text (``trend=0`` leaves the trend in). A difference between two texts then can't
pass for a relation between tokens, nor can two columns that both drift along a text. Correlations have their interval on
Fisher's ``z = atanh r``.

``x`` may hold several columns, shape ``(cells, rows)``: the result has one number for each, all resampled together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from functools import partial as bind

import numpy as np
from numpy.typing import ArrayLike

from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array
from pathlen.stats.clusters import checked, is_rounding
from pathlen.stats.products import (
    correlation,
    correlation_of_residuals,
    fisher_gradient,
    fisher_z,
    named,
    solved,
    standardised,
)
from pathlen.stats.ranks import mid_ranks, pulled_in, reranked, swayed
from pathlen.stats.registry import Kind, public_statistic
from pathlen.stats.statistic import Smooth

__all__ = ["partial", "pearson", "pooled_pearson", "slope", "spearman", "winsorised"]

POOLED_CAUTION = (
    "where passages differ, 95 % intervals of a pooled correlation covered as little as 89 % in simulations"
)


@public_statistic(
    number="linear relation within passages",
    interval="Fisher's z",
    sentence="the more, the more",
    named="Pearson r",
    kind=Kind.CORRELATION,
    calibrated=True,
)
def pearson(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return Pearson's correlation of two columns within passages.

    Parameters
    ----------
    x : array_like, shape (rows,) or (cells, rows)
        One value per token.
    y : array_like, shape (rows,)
        One value per token.
    passage : array_like, shape (rows,)
        The passage of each row; rows of a passage are contiguous, in the order of its text.
    trend : int
        Degree, from 0 to 3, of the polynomial in the position that is subtracted from each column in each passage. The
        default, 1, is a straight trend; 0 subtracts means only.

    Returns
    -------
    Smooth
        ``r = S_xy / sqrt(S_xx S_yy)`` where ``S`` are sums over all rows of products of the columns' residuals. With one
        passage and ``trend=0`` this is the ordinary correlation.

    Raises
    ------
    ValueError
        If the columns differ in length, or ``trend`` is out of range.
    UndefinedEstimate
        If a column is nothing but mean and trend, or it holds a non-finite value.

    Examples
    --------
    >>> passage = np.repeat(np.arange(6), 4)
    >>> x = np.tile([1.0, 2.0, 3.0, 4.0], 6)
    >>> y = np.tile([2.0, 1.0, 4.0, 3.0], 6) + passage
    >>> statistic = pearson(x, y, passage=passage, trend=0)
    >>> round(float(np.tanh(statistic.function(statistic.moments.sum(axis=-1)))), 3)
    0.6

    """
    passages, (x_values, y_values) = checked(passage, x=x, y=y)
    return correlation(named("Pearson r", trend), x_values, y_values, passages, trend)


@public_statistic(
    number="monotone relation within passages",
    interval="Fisher's z",
    sentence="the more, the more, by rank: a single outlying token can't make it",
    named="Spearman rho",
    kind=Kind.RANK_CORRELATION,
    calibrated=True,
)
def spearman(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return Spearman's rank correlation within passages: `pearson` of the mid-ranks within each passage.

    Ranks are divided by their passage's length, so that a long passage does not dominate. The trend is subtracted from the
    ranks, which keeps the number unchanged under any monotone change of a column. Where passages are resampled whole, ranks
    within them do not change. Otherwise a token's influence includes its effect on the ranks of other tokens, and
    ``by="tokens"`` or ``"blocks"`` ranks anew in every resample. Parameters and errors are those of `pearson`.
    """
    name = named("Spearman rho", trend)
    passages, (x_values, y_values) = checked(passage, x=x, y=y)
    x_ranks, y_ranks = (passages.within(mid_ranks, column) for column in (x_values, y_values))
    (first, first_size), (second, second_size) = (
        standardised(name, label, ranks, passages, trend) for label, ranks in (("x", x_ranks), ("y", y_ranks))
    )

    @cache  # and computed on demand: not needed where passages are only resampled whole
    def sways() -> Array:
        changes = (
            first * second
            + swayed(x_ranks, second, passages) / first_size
            + swayed(y_ranks, first, passages) / second_size,
            first**2 + 2 * swayed(x_ranks, first, passages) / first_size,
            second**2 + 2 * swayed(y_ranks, second, passages) / second_size,
        )
        return np.stack(np.broadcast_arrays(*changes))

    @cache
    def by_cell() -> list[Callable[[Array], Array]]:
        pairs = zip(*np.broadcast_arrays(np.atleast_2d(x_values), np.atleast_2d(y_values)), strict=True)
        return [reranked(x_column, y_column, passages, trend) for x_column, y_column in pairs]

    return replace(
        correlation_of_residuals(name, first, second, passages),
        sways=sways,
        reranked=lambda weights: np.stack([of_draws(weights) for of_draws in by_cell()], axis=1),
    )


@public_statistic(
    number="linear relation within passages, extreme values pulled in",
    interval="Fisher's z",
    sentence="the more, the more, not by a few extremes",
    calibrated=True,
)
def winsorised(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, tail: float = 0.05, trend: int = 1) -> Smooth:
    """Return Pearson's correlation within passages after pulling in each passage's extreme values.

    In every passage and column, values below the ``tail`` quantile are set to it, and values above the ``1 - tail``
    quantile likewise (NumPy's linear quantiles), before means and trends are subtracted. Other parameters and errors are
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
        Share of values that is pulled in at each end, from 0 to below 0.5.
    trend : int
        As in `pearson`.

    Raises
    ------
    ValueError
        If ``tail`` is out of range.

    """
    if not 0.0 <= tail < 0.5:
        raise ValueError(f"tail must lie from 0 to below 0.5, but {tail} was given")
    name = named(f"Pearson r, winsorised {tail:.0%},", trend)
    passages, columns = checked(passage, x=x, y=y)
    x_values, y_values = (passages.within(bind(pulled_in, tail=tail), column) for column in columns)
    return correlation(name, x_values, y_values, passages, trend)


@public_statistic(
    number="linear relation within passages that other columns don't account for",
    interval="Fisher's z",
    sentence="the more, the more, and something else does not account for it",
    named="partial r",
    kind=Kind.PARTIAL_CORRELATION,
    calibrated=True,
)
def partial(x: ArrayLike, y: ArrayLike, *, given: Sequence[ArrayLike], passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return the partial correlation of two columns given others, within passages.

    Parameters
    ----------
    x, y : array_like, shape (rows,)
        One value per token.
    given : sequence of array_like, each of shape (rows,)
        The columns whose linear part is subtracted from both, for example the residual norm.
    passage : array_like, shape (rows,)
        The passage of each row.
    trend : int
        As in `pearson`, for the given columns too.

    Returns
    -------
    Smooth
        ``r = A_xy / sqrt(A_xx A_yy)`` with ``A = G_11 - G_12 G_22^-1 G_21``, where ``G`` are the sums of products of the
        columns' residuals, ``x, y`` first and the given columns second. The coefficients of the given columns are
        estimated anew in every resample.

    Raises
    ------
    ValueError
        If nothing is given, or columns differ in length.
    UndefinedEstimate
        If a column is nothing but mean and trend, or the given ones are collinear.

    """
    if not given:
        raise ValueError("given must name at least one column; without any, use pearson")
    name = named("partial r", trend) + f", given {len(given)} column{'s' if len(given) > 1 else ''}"
    labelled = {f"given[{index}]": column for index, column in enumerate(given)}
    passages, columns = checked(passage, x=x, y=y, **labelled)
    residuals = np.stack(
        [
            standardised(name, label, column, passages, trend)[0]
            for label, column in zip(("x", "y", *labelled), columns, strict=True)
        ]
    )
    if np.linalg.cond(residuals[2:] @ residuals[2:].T) > 1e12:
        raise UndefinedEstimate(f"{name} is undefined: the given columns are collinear")
    size = len(residuals)
    products = np.stack([residuals[i] * residuals[j] for i in range(size) for j in range(size)])

    def adjusted(total: Array) -> tuple[Array, Array]:
        """Return ``A``, as its entries xy, xx and yy, and the slopes on the given columns."""
        gram = np.moveaxis(total, 0, -1).reshape(*total.shape[1:], size, size)
        slopes = solved(gram[..., 2:, 2:], gram[..., 2:, :2])
        sums = gram[..., :2, :2] - gram[..., :2, 2:] @ slopes
        return np.stack([sums[..., 0, 1], sums[..., 0, 0], sums[..., 1, 1]]), np.swapaxes(slopes, -1, -2)

    def gradient(total: Array) -> Array:
        sums, slopes = adjusted(total)
        by_xy, by_xx, by_yy = fisher_gradient(sums)
        inner = np.stack([np.stack([by_xx, by_xy], -1), np.stack([np.zeros_like(by_xy), by_yy], -1)], -2)
        # dA = B dG B' with B = (1, -slopes).
        outer = np.concatenate([np.broadcast_to(np.eye(2), (*slopes.shape[:-1], 2)), -slopes], axis=-1)
        by_product = np.swapaxes(outer, -1, -2) @ inner @ outer
        return np.moveaxis(by_product.reshape(*total.shape[1:], -1), -1, 0)

    return Smooth(
        name=name,
        moments=products,
        function=lambda total: fisher_z(adjusted(total)[0]),
        gradient=gradient,
        scale="fisher z",
        passages=passages,
    )


@public_statistic(
    number="how much one column changes with another within passages, in their units",
    interval="identity",
    sentence="so many units more for each unit",
)
def slope(y: ArrayLike, x: ArrayLike, *, passage: ArrayLike, trend: int = 1) -> Smooth:
    """Return the least-squares slope of one column on another within passages, in their units.

    Parameters
    ----------
    y : array_like, shape (rows,) or (cells, rows)
        The dependent column, one value per token.
    x : array_like, shape (rows,)
        The explanatory column.
    passage : array_like, shape (rows,)
        The passage of each row.
    trend : int
        As in `pearson`, of both columns.

    Returns
    -------
    Smooth
        ``b = S_xy / S_xx``, in units of ``y`` per unit of ``x``; errors in ``x`` bias it towards 0.

    Raises
    ------
    ValueError
        As in `pearson`.
    UndefinedEstimate
        If a column is nothing but mean and trend, or it holds a non-finite value.

    Examples
    --------
    >>> passage = np.repeat(np.arange(6), 4)
    >>> x = np.tile([1.0, 2.0, 3.0, 4.0], 6)
    >>> y = np.tile([2.0, 1.0, 4.0, 3.0], 6) + passage
    >>> round(slope(y, x, passage=passage, trend=0).value, 3)
    0.6

    """
    name = named("slope", trend)
    passages, (dependent, explanatory) = checked(passage, y=y, x=x)
    if explanatory.ndim != 1:
        raise ValueError(f"x must have one value per token, but its shape is {explanatory.shape}")
    (y_residuals, y_size), (x_residuals, x_size) = (
        standardised(name, label, column, passages, trend) for label, column in (("y", dependent), ("x", explanatory))
    )
    unit = y_size[..., 0] / x_size[0]
    return Smooth(
        name=name,
        moments=np.stack(np.broadcast_arrays(y_residuals * x_residuals, x_residuals**2)),
        function=lambda total: unit * total[0] / total[1],
        gradient=lambda total: np.stack([unit / total[1], -unit * total[0] / total[1] ** 2]),
        scale="identity",
        passages=passages,
    )


@public_statistic(
    number="linear relation over all rows as if they were one text, differences between passages and trends included",
    interval="Fisher's z",
    sentence="texts with more have more",
    calibrated=True,
)
def pooled_pearson(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return Pearson's correlation over all rows, differences between passages and trends included.

    ``r = (n S_xy - S_x S_y) / sqrt((n S_xx - S_x^2)(n S_yy - S_y^2))`` with sums over all rows. Passages are still
    resampled. Parameters and errors are those of `pearson`.

    Where passages differ much, this is a correlation of a few passage means, and its intervals cover too rarely; the
    estimate says so.
    """
    passages, columns = checked(passage, x=x, y=y)
    # Shifting and scaling a column changes no correlation, and keeps the sums well conditioned.
    scores = []
    for label, column in zip("xy", columns, strict=True):
        spread = column.std(axis=-1)
        if is_rounding(spread, column):
            raise UndefinedEstimate(f"pooled Pearson r is undefined: column {label} is constant")
        scores.append((column - column.mean(axis=-1, keepdims=True)) / spread[..., None])
    first, second = scores

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
        moments=np.stack(
            np.broadcast_arrays(np.ones_like(first), first, second, first * second, first**2, second**2),
        ),
        function=lambda total: fisher_z(central(total)),
        gradient=gradient,
        scale="fisher z",
        passages=passages,
        caution=POOLED_CAUTION,
    )
