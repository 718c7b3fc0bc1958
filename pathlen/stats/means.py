"""Statistics made of sums: means and their ratios, shares, slopes over blocks, and the dominance of one group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathlen.errors import UndefinedEstimate
from pathlen.stats.clusters import blocks_of, checked, is_rounding
from pathlen.stats.exact import BLOCK, rare
from pathlen.stats.statistic import FEWEST_PASSAGES, Smooth, Statistic

__all__ = ["cliffs_delta", "head_cancellation", "log_slope", "mean", "ratio", "share", "variation"]

FEWEST_WITH_EXCEPTION = 5  # of five units a resample draws none once in 150 times

Array = NDArray[np.float64]


def mean(values: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return the mean of a column over all rows, with its interval on the column's own scale.

    Parameters
    ----------
    values : array_like, shape (rows,)
        One value per token.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Raises
    ------
    UndefinedEstimate
        If a value is not finite, or every unit has the same mean.

    """
    passages, (column,) = checked(passage, values=values)
    if is_rounding(np.ptp(column, axis=-1), column):
        raise UndefinedEstimate("the mean does not vary between tokens, so it has no interval")
    middle = column.mean(axis=-1)  # sums of deviations are exact where the mean is large beside them
    return Smooth(
        name="mean",
        moments=np.stack([column - middle[..., None], np.ones_like(column)]),
        function=lambda total: middle + total[0] / total[1],
        gradient=_quotient_gradient,
        scale="identity",
        passages=passages,
    )


def ratio(numerator: ArrayLike, denominator: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return the sum of one positive column over the sum of another, with an interval on the logarithm.

    Parameters
    ----------
    numerator, denominator : array_like, shape (rows,)
        Positive values, one per token.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Raises
    ------
    UndefinedEstimate
        If a value is negative or not finite, or a column sums to zero.

    """
    passages, (top, bottom) = checked(passage, numerator=numerator, denominator=denominator)
    if min(top.min(), bottom.min()) < 0:
        raise UndefinedEstimate("a ratio needs columns without negative values")
    return Smooth(
        name="ratio of means",
        moments=np.stack([top, bottom]),
        function=_log_ratio,
        gradient=_log_ratio_gradient,
        scale="log",
        passages=passages,
    )


def head_cancellation(norm_of_sum: ArrayLike, head_norms: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return how long the sum of the heads' outputs is, over what independent directions would give.

    Parameters
    ----------
    norm_of_sum : array_like, shape (rows,) or (blocks, rows)
        ``||sum_h v_h||`` of each token, in one block or in several.
    head_norms : array_like, shape (heads, rows) or (blocks, heads, rows)
        ``||v_h||`` of each head.
    passage : array_like, shape (rows,)
        The passage of each row.

    Returns
    -------
    Smooth
        ``sum ||sum_h v_h|| / sum sqrt(sum_h ||v_h||^2)`` over all tokens and blocks, with an interval on the logarithm: 1
        where heads point in unrelated directions, below 1 where they offset each other, above where they join. That it is
        below the square root of the number of heads says nothing: the triangle inequality alone does that.

    Raises
    ------
    ValueError
        If there are fewer than two heads, or the shapes don't go together.
    UndefinedEstimate
        As for `ratio`.

    """
    heads = np.asarray(head_norms, dtype=np.float64)
    together = np.asarray(norm_of_sum, dtype=np.float64)
    if heads.ndim not in (2, 3) or heads.shape[-2] < 2:
        raise ValueError(
            "head_norms must have shape (heads, rows) or (blocks, heads, rows) with two heads or more, but has "
            f"{heads.shape}"
        )
    unrelated = np.sqrt(np.sum(heads**2, axis=-2))
    if together.shape != unrelated.shape:
        raise ValueError(f"norm_of_sum must have shape {unrelated.shape} like head_norms, but has {together.shape}")
    rows = unrelated.shape[-1]
    top, bottom = (part.reshape(-1, rows).sum(axis=0) for part in (together, unrelated))
    return replace(ratio(top, bottom, passage=passage), name="length of the heads' sum over unrelated heads'")


def variation(values: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return the coefficient of variation of a positive column, with an interval on the logarithm.

    Parameters
    ----------
    values : array_like, shape (rows,)
        Positive values, one per token.
    passage : array_like, shape (rows,)
        The passage of each row.

    Returns
    -------
    Smooth
        ``sd / mean`` over all rows, differences between passages included.

    Raises
    ------
    UndefinedEstimate
        If a value is not positive and finite.

    """
    passages, (column,) = checked(passage, values=values)
    if not column.min() > 0:
        raise UndefinedEstimate(f"a coefficient of variation needs positive values, but the least is {column.min():g}")
    middle = float(column.mean())
    moved = column / middle - 1  # about zero, where sums of squares lose no digits

    def function(total: Array) -> Array:
        n, first, second = total
        logarithm: Array = 0.5 * np.log(second / n - (first / n) ** 2) - np.log1p(first / n)
        return logarithm

    def gradient(total: Array) -> Array:
        n, first, second = total
        mean = first / n
        variance = second / n - mean**2
        by_second = 0.5 / (variance * n)
        by_first = -mean / (variance * n) - 1 / (n * (1 + mean))
        # By Euler: the totals times their slopes add up to nothing.
        return np.stack([-(first * by_first + second * by_second) / n, by_first, by_second])

    return Smooth(
        name="coefficient of variation",
        moments=np.stack([np.ones_like(moved), moved, moved**2]),
        function=function,
        gradient=gradient,
        scale="log",
        passages=passages,
    )


def share(is_true: ArrayLike, *, passage: ArrayLike) -> Statistic:
    """Return the share of cells that are true, with an interval on the logit.

    Parameters
    ----------
    is_true : array_like of bool, shape (cells, rows) or (rows,)
        For example whether each of a token's steps is longer than the one before.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Notes
    -----
    Where exceptions (or their opposite) occur in fewer than five passages, resampling says little: many resamples have
    none. The estimate is a bound instead. A share of cells is at least the share of blocks of 20 neighbouring tokens without
    an exception, and that share has Clopper and Pearson's lower bound; the other end is left at 1 (or 0). Blocks with an
    exception that come together in a passage are counted as fewer (a design effect, in the method's name): a passage that
    is bad throughout is one exception of so many passages, not of so many blocks. A caution says what can't be known. With
    fewer than five passages, blocks are counted in their place, as they are.

    """
    cells = np.atleast_2d(np.asarray(is_true))
    if cells.dtype != np.bool_:
        raise TypeError(f"is_true must be an array of bool, but its type is {cells.dtype}")
    passages, _ = checked(passage, is_true=cells)
    yes = cells.sum(axis=0, dtype=np.float64)
    no = len(cells) - yes
    units = passages if passages.count >= FEWEST_PASSAGES else blocks_of(passages, BLOCK)
    if min(np.count_nonzero(units.sums(side)) for side in (yes, no)) < FEWEST_WITH_EXCEPTION:
        return rare(cells, passages)
    return Smooth(
        name="share",
        moments=np.stack([yes, no]),
        function=_log_ratio,
        gradient=_log_ratio_gradient,
        scale="logit",
        passages=passages,
    )


def log_slope(columns: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return the slope over blocks of the logarithm of a column's mean.

    Parameters
    ----------
    columns : array_like, shape (blocks, rows)
        Positive values, for example the residual norm of each token at each state.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Returns
    -------
    Smooth
        The least-squares slope of ``log(mean over rows of columns[L])`` on ``L``: the growth per block, as a
        logarithm (0.05 is about 5 % a block).

    Raises
    ------
    ValueError
        If there are fewer than two blocks.
    UndefinedEstimate
        If a value is not positive and finite.

    """
    values = np.asarray(columns, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"columns must have shape (blocks, rows) with two blocks or more, but has {values.shape}")
    passages, _ = checked(passage, columns=values)
    if not values.min() > 0:
        raise UndefinedEstimate("a slope of logarithms needs positive finite values in every block")
    place = np.arange(len(values)) - (len(values) - 1) / 2
    weights = place / np.sum(place**2)
    return Smooth(
        name="slope of the log mean over blocks",
        moments=values,
        function=lambda total: np.tensordot(weights, np.log(total), axes=1),
        gradient=lambda total: (weights / total.T).T,
        scale="identity",
        passages=passages,
    )


def cliffs_delta(values: ArrayLike, *, top: ArrayLike, bottom: ArrayLike, passage: ArrayLike) -> Smooth:
    """Return Cliff's delta between two groups of tokens, compared inside passages only.

    Parameters
    ----------
    values : array_like, shape (rows,)
        One value per token.
    top, bottom : array_like of bool, shape (rows,)
        The two groups; no token may be in both.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Returns
    -------
    Smooth
        ``delta = P(a > b) - P(a < b)`` over all pairs of a token ``a`` of the top group and a token ``b`` of the bottom
        group of the same passage: 1 if every top value is the larger one, -1 if every one is the smaller. The
        interval is on ``atanh delta``.

    Raises
    ------
    TypeError
        If a group is not an array of bool.
    ValueError
        If the groups overlap.
    UndefinedEstimate
        If no passage has tokens of both groups.

    References
    ----------
    Cliff, "Dominance statistics", Psychological Bulletin 114 (1993), 494-509.

    """
    groups = {"top": np.asarray(top), "bottom": np.asarray(bottom)}
    for name, group in groups.items():
        if group.dtype != np.bool_:
            raise TypeError(f"{name} must be an array of bool, but its type is {group.dtype}")
    if (groups["top"] & groups["bottom"]).any():
        raise ValueError(f"no token may be in both groups, but {(groups['top'] & groups['bottom']).sum()} are")
    passages, (column, *_) = checked(passage, values=values, **groups)
    if column.ndim != 1:
        raise ValueError(f"values must have one value per token, but its shape is {column.shape}")
    moments, sways = np.zeros((2, 2, passages.rows))
    for rows in passages.slices:
        inside = {name: group[rows] for name, group in groups.items()}
        for name, other, sign in (("top", "bottom", 1), ("bottom", "top", -1)):
            rivals = np.sort(column[rows][inside[other]])
            mine = column[rows][inside[name]]
            won = np.searchsorted(rivals, mine, side="left")
            lost = len(rivals) - np.searchsorted(rivals, mine, side="right")
            here = np.flatnonzero(inside[name]) + rows.start
            sways[:, here] = sign * (won - lost), np.full(len(mine), len(rivals))
            if name == "top":
                moments[:, here] = sways[:, here]
    if not moments[1].any():
        raise UndefinedEstimate("Cliff's delta is undefined: no passage has tokens of both groups")
    return Smooth(
        name="Cliff's delta within passages",
        moments=moments,
        sways=lambda: sways,
        function=lambda total: np.arctanh(total[0] / total[1]),
        gradient=lambda total: _quotient_gradient(total) / (1 - (total[0] / total[1]) ** 2),
        scale="fisher z",
        passages=passages,
        n=int(groups["top"].sum() + groups["bottom"].sum()),
    )


def _quotient_gradient(total: Array) -> Array:
    return np.stack([1 / total[1], -total[0] / total[1] ** 2])


def _log_ratio(total: Array) -> Array:
    logarithm: Array = np.log(total[0] / total[1])
    return logarithm


def _log_ratio_gradient(total: Array) -> Array:
    return np.stack([1 / total[0], -1 / total[1]])
