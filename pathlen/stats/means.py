"""Statistics of sums: means and their ratios, shares, growth over blocks, and the dominance of one group of tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array
from pathlen.stats.base import Statistic
from pathlen.stats.clusters import FEWEST_PASSAGES, blocks_of, checked, is_rounding
from pathlen.stats.exact import BLOCK, rare
from pathlen.stats.registry import Kind, public_statistic
from pathlen.stats.statistic import Smooth

__all__ = ["cliffs_delta", "head_cancellation", "log_slope", "mean", "ratio", "share", "variation"]

FEWEST_WITH_EXCEPTION = 5  # of five units a resample draws none once in 150 times


@public_statistic(
    number="mean over all rows",
    interval="identity",
    sentence="on average",
    calibrated=True,
)
def mean(values: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return the mean of a column over all rows, with its interval in units of the column.

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
    middle = column.mean(axis=-1)  # summing deviations loses no digits where the mean is large compared with them
    return Smooth(
        name="mean",
        moments=np.stack([column - middle[..., None], np.ones_like(column)]),
        function=lambda total: middle + total[0] / total[1],
        gradient=_quotient_gradient,
        scale="identity",
        passages=passages,
    )


@public_statistic(
    number="sum over sum",
    interval="logarithm",
    sentence="so many times as large",
    calibrated=True,
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


@public_statistic(
    number="length of the heads' sum over that of heads with unrelated directions",
    interval="logarithm",
    sentence="heads offset each other",
)
def head_cancellation(norm_of_sum: ArrayLike, head_norms: ArrayLike, *, passage: ArrayLike) -> Smooth:
    """Return the length of the sum of the heads' outputs, relative to that of heads with unrelated directions.

    Parameters
    ----------
    norm_of_sum : array_like, shape (rows,) or (blocks, rows)
        ``||sum_h v_h||`` of each token, in one block or several.
    head_norms : array_like, shape (heads, rows) or (blocks, heads, rows)
        ``||v_h||`` of each head.
    passage : array_like, shape (rows,)
        The passage of each row.

    Returns
    -------
    Smooth
        ``sum ||sum_h v_h|| / sum sqrt(sum_h ||v_h||^2)`` over all tokens and blocks, with an interval on the logarithm: 1
        where heads point in unrelated directions, below 1 where they offset each other, above 1 where they reinforce each
        other. A value below the square root of the number of heads shows nothing: the triangle inequality guarantees it.

    Raises
    ------
    ValueError
        If there are fewer than two heads, or the shapes don't match.
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
    top, bottom = (lengths.reshape(-1, rows).sum(axis=0) for lengths in (together, unrelated))
    return replace(ratio(top, bottom, passage=passage), name="length of the heads' sum over unrelated heads'")


@public_statistic(
    number="standard deviation over mean",
    interval="logarithm",
    sentence="about the same for every token",
)
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
    deviation = column / middle - 1  # around zero, where sums of squares lose no digits

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
        # Euler: the totals times their slopes sum to zero.
        return np.stack([-(first * by_first + second * by_second) / n, by_first, by_second])

    return Smooth(
        name="coefficient of variation",
        moments=np.stack([np.ones_like(deviation), deviation, deviation**2]),
        function=function,
        gradient=gradient,
        scale="log",
        passages=passages,
    )


@public_statistic(
    number="share of true cells",
    interval="logit",
    sentence="most; where exceptions are rare, an exact bound on blocks instead of a bootstrap",
    calibrated=True,
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
    exception that cluster in a passage count for fewer trials (a design effect, named in the method): a passage that
    consists of exceptions is one exception among the passages, not one for each of its blocks. A caution says what can't be
    known. With fewer than five passages, blocks are counted instead of passages, without a design effect.

    """
    cells = np.atleast_2d(np.asarray(is_true))
    if cells.dtype != np.bool_:
        raise TypeError(f"is_true must be an array of bool, but its type is {cells.dtype}")
    passages, _ = checked(passage, is_true=cells)
    true = cells.sum(axis=0, dtype=np.float64)
    false = len(cells) - true
    units = passages if passages.count >= FEWEST_PASSAGES else blocks_of(passages, BLOCK)
    if min(np.count_nonzero(units.sums(count)) for count in (true, false)) < FEWEST_WITH_EXCEPTION:
        return rare(cells, passages)
    return Smooth(
        name="share",
        moments=np.stack([true, false]),
        function=_log_ratio,
        gradient=_log_ratio_gradient,
        scale="logit",
        passages=passages,
    )


@public_statistic(
    number="slope of the log mean over blocks",
    interval="identity",
    sentence="grows through the blocks",
    calibrated=True,
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
        logarithm (0.05 is about 5 % per block).

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
    block = np.arange(len(values)) - (len(values) - 1) / 2
    weights = block / np.sum(block**2)
    return Smooth(
        name="slope of the log mean over blocks",
        moments=values,
        function=lambda total: np.tensordot(weights, np.log(total), axes=1),
        gradient=lambda total: (weights / total.T).T,
        scale="identity",
        passages=passages,
    )


@public_statistic(
    number="dominance of one group over another within passages",
    interval="Fisher's z",
    sentence="one kind of token more than another (Cliff, *Psychological Bulletin* 114, 1993, 494-509)",
    named="Cliff's delta",
    kind=Kind.DOMINANCE,
    calibrated=True,
)
def cliffs_delta(values: ArrayLike, *, top: ArrayLike, bottom: ArrayLike, passage: ArrayLike) -> Smooth:
    """Return Cliff's delta between two groups of tokens, compared only within passages.

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
        group in the same passage: 1 if the top value is larger in every pair, -1 if it is smaller in every pair. The
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
        members = {name: group[rows] for name, group in groups.items()}
        for name, other, sign in (("top", "bottom", 1), ("bottom", "top", -1)):
            rivals = np.sort(column[rows][members[other]])
            group_values = column[rows][members[name]]
            won = np.searchsorted(rivals, group_values, side="left")
            lost = len(rivals) - np.searchsorted(rivals, group_values, side="right")
            tokens = np.flatnonzero(members[name]) + rows.start
            sways[:, tokens] = sign * (won - lost), np.full(len(group_values), len(rivals))
            if name == "top":
                moments[:, tokens] = sways[:, tokens]
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
