"""Statistics made of sums: means and their ratios, shares, slopes over blocks, and the dominance of one group."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathlen.errors import UndefinedEstimate
from pathlen.stats.bootstrap import Statistic
from pathlen.stats.census import rare
from pathlen.stats.units import FEWEST_PASSAGES, checked_columns, token_blocks

__all__ = ["cliffs_delta", "log_slope", "mean", "ratio", "share"]

FEWEST_WITH_EXCEPTION = 5  # of five units a resample draws none once in 150 times

Array = NDArray[np.float64]


def mean(values: ArrayLike, *, passage: ArrayLike) -> Statistic:
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
    units, (column,) = checked_columns(passage, values=values)
    return Statistic(
        name="mean",
        moments=units.sums(np.stack([column, np.ones_like(column)])),
        function=lambda total: total[..., 0] / total[..., 1],
        gradient=lambda total: np.stack([1 / total[..., 1], -total[..., 0] / total[..., 1] ** 2], axis=-1),
        scale="identity",
        n=len(column),
        units=units,
    )


def ratio(numerator: ArrayLike, denominator: ArrayLike, *, passage: ArrayLike) -> Statistic:
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
    units, (top, bottom) = checked_columns(passage, numerator=numerator, denominator=denominator)
    if min(top.min(), bottom.min()) < 0:
        raise UndefinedEstimate("a ratio needs columns without negative values")
    return Statistic(
        name="ratio of means",
        moments=np.stack([units.sums(top), units.sums(bottom)], axis=1),
        function=lambda total: np.log(total[..., 0] / total[..., 1]),
        gradient=lambda total: np.stack([1 / total[..., 0], -1 / total[..., 1]], axis=-1),
        scale="log",
        n=len(top),
        units=units,
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
    Where exceptions (or their opposite) occur in fewer than five units, resampling says little: many resamples have
    none. The estimate is an exact bound instead. A share of cells is at least the share of token blocks without an
    exception, and that share has Clopper and Pearson's lower bound, with blocks of 20 neighbouring tokens standing for
    independent trials; the other end is left at 1 (or 0). The unit's name and the method say so.

    """
    cells = np.atleast_2d(np.asarray(is_true))
    if cells.dtype != np.bool_:
        raise TypeError(f"is_true must be an array of bool, but its type is {cells.dtype}")
    units, _ = checked_columns(passage, is_true=cells[0])
    yes = units.sums(cells.sum(axis=0).astype(np.float64))
    no = units.sums((~cells).sum(axis=0).astype(np.float64))
    if min(np.count_nonzero(yes), np.count_nonzero(no)) < FEWEST_WITH_EXCEPTION:
        return rare(cells, token_blocks(passage))
    return Statistic(
        name="share",
        moments=np.stack([yes, no], axis=1),
        function=lambda total: np.log(total[..., 0] / total[..., 1]),
        gradient=lambda total: np.stack([1 / total[..., 0], -1 / total[..., 1]], axis=-1),
        scale="logit",
        n=cells.shape[1],
        units=units,
    )


def log_slope(columns: ArrayLike, *, passage: ArrayLike) -> Statistic:
    """Return the slope over blocks of the logarithm of a column's mean.

    Parameters
    ----------
    columns : array_like, shape (blocks, rows)
        Positive values, for example the residual norm of each token at each state.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Returns
    -------
    Statistic
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
    units, _ = checked_columns(passage, columns=values[0])
    if not (np.isfinite(values).all() and values.min() > 0):
        raise UndefinedEstimate("a slope of logarithms needs positive finite values in every block")
    place = np.arange(len(values)) - (len(values) - 1) / 2
    weights = place / np.sum(place**2)
    return Statistic(
        name="slope of the log mean over blocks",
        moments=units.sums(values),
        function=lambda total: np.log(total) @ weights,
        gradient=lambda total: weights / total,
        scale="identity",
        n=values.shape[1],
        units=units,
    )


def cliffs_delta(values: ArrayLike, *, top: ArrayLike, bottom: ArrayLike, passage: ArrayLike) -> Statistic:
    """Return Cliff's delta between two groups of tokens, compared inside passages only.

    Parameters
    ----------
    values : array_like, shape (rows,)
        One value per token.
    top, bottom : array_like of bool, shape (rows,)
        The two groups; no token may be in both.
    passage : array_like of int, shape (rows,)
        The passage of each row; at least five, since a pair of tokens belongs to no block of one.

    Returns
    -------
    Statistic
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
        If no passage has tokens of both groups, or there are fewer than five passages.

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
    units, (column, *_) = checked_columns(passage, values=values, **groups)
    if units.name != "passages":
        raise UndefinedEstimate(f"Cliff's delta needs at least {FEWEST_PASSAGES} passages to resample")
    sums = np.array([_dominance(column, groups, units.passage == one) for one in range(units.count)], dtype=np.float64)
    if not sums[:, 1].any():
        raise UndefinedEstimate("Cliff's delta is undefined: no passage has tokens of both groups")
    return Statistic(
        name="Cliff's delta within passages",
        moments=sums,
        function=lambda total: np.arctanh(total[..., 0] / total[..., 1]),
        gradient=lambda total: (
            np.stack([1 / total[..., 1], -total[..., 0] / total[..., 1] ** 2], axis=-1)
            / (1 - (total[..., 0] / total[..., 1]) ** 2)[..., None]
        ),
        scale="fisher z",
        n=int(groups["top"].sum() + groups["bottom"].sum()),
        units=units,
    )


def _dominance(values: Array, groups: dict[str, NDArray[np.bool_]], rows: NDArray[np.bool_]) -> tuple[int, int]:
    """Return, for one passage, the pairs won less the pairs lost by the top group, and all its pairs."""
    top, bottom = values[rows & groups["top"]], np.sort(values[rows & groups["bottom"]])
    won = np.searchsorted(bottom, top, side="left").sum()
    lost = (len(bottom) - np.searchsorted(bottom, top, side="right")).sum()
    return int(won - lost), len(top) * len(bottom)
