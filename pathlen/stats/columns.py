"""From measured columns to statistics: the constructors that claims call.

All take columns with one row per token and the passage of each row; none takes a region, a level or a seed, so
a claim's body can't see what would make it true.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from pathlen.errors import UndefinedEstimate
from pathlen.stats.bootstrap import Statistic
from pathlen.stats.estimate import Estimate
from pathlen.stats.units import Units, resampling_units, token_blocks

__all__ = ["every", "largest", "log_slope", "pearson", "ratio", "share", "spearman"]

Array = NDArray[np.float64]


def pearson(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike) -> Statistic:
    """Return Pearson's correlation of two columns within passages.

    Parameters
    ----------
    x, y : array_like, shape (rows,)
        One value per token.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Returns
    -------
    Statistic
        ``r = S_xy / sqrt(S_xx S_yy)`` where ``S`` are sums over all rows of products of deviations from the
        row's *own passage mean*. With one passage this is the ordinary correlation; with several, differences
        between passages (subject, style) can't pass for a relation between tokens. The interval is made on
        Fisher's ``z = atanh r``.

    Raises
    ------
    ValueError
        If the columns differ in length.
    UndefinedEstimate
        If a column is constant within every passage or holds a non-finite value, or units are too few.

    Notes
    -----
    The trap: a common trend along the position in the text is a relation between tokens too, and is not removed.

    Examples
    --------
    >>> passage = np.repeat(np.arange(6), 4)
    >>> x = np.tile([1.0, 2.0, 3.0, 4.0], 6)
    >>> y = np.tile([2.0, 1.0, 4.0, 3.0], 6) + passage
    >>> statistic = pearson(x, y, passage=passage)
    >>> round(float(np.tanh(statistic.function(statistic.moments.sum(axis=0)))), 3)
    0.6

    """
    units, (one, two) = _columns(passage, x=x, y=y)
    return _correlation("Pearson r within passages", one, two, units)


def spearman(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike) -> Statistic:
    """Return Spearman's rank correlation within passages: `pearson` of the mid-ranks inside each passage.

    Ranks are taken once, not anew in every resample; passages are resampled whole, so a row's rank among its
    own passage does not change when other passages come and go. Parameters and errors are those of `pearson`.
    """
    units, (one, two) = _columns(passage, x=x, y=y)
    ranked = [_within(rankdata, column, units) for column in (one, two)]
    return _correlation("Spearman rho within passages", ranked[0], ranked[1], units)


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
    units, (top, bottom) = _columns(passage, numerator=numerator, denominator=denominator)
    if min(top.min(), bottom.min()) < 0:
        raise UndefinedEstimate("a ratio needs columns without negative values")
    return Statistic(
        name="ratio of means",
        moments=np.stack([units.sums(top), units.sums(bottom)], axis=1),
        function=lambda total: np.log(total[..., 0] / total[..., 1]),
        gradient=lambda total: np.stack([1 / total[..., 0], -1 / total[..., 1]], axis=-1),
        scale="log",
        n=len(top),
        unit=units.name,
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
    Where every cell is true (or none is) there is no spread between passages to make an interval from, and the
    estimate is an exact bound instead. A share of cells is at least the share of token blocks without an
    exception, and ``k`` of ``k`` such blocks bound that share from below by ``(alpha / 2) ** (1 / k)`` (Clopper
    and Pearson). Blocks of 20 neighbouring tokens stand for independent trials there; the unit's name says so.

    """
    cells = np.atleast_2d(np.asarray(is_true))
    if cells.dtype != np.bool_:
        raise TypeError(f"is_true must be an array of bool, but its type is {cells.dtype}")
    units, _ = _columns(passage, is_true=cells[0])
    if cells.all() or not cells.any():
        return _without_exception(bool(cells[0, 0]), token_blocks(passage), cells.shape[1])
    yes = units.sums(cells.sum(axis=0).astype(np.float64))
    no = units.sums((~cells).sum(axis=0).astype(np.float64))
    return Statistic(
        name="share",
        moments=np.stack([yes, no], axis=1),
        function=lambda total: np.log(total[..., 0] / total[..., 1]),
        gradient=lambda total: np.stack([1 / total[..., 0], -1 / total[..., 1]], axis=-1),
        scale="logit",
        n=cells.shape[1],
        unit=units.name,
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
    units, _ = _columns(passage, columns=values[0])
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
        unit=units.name,
    )


def largest(values: ArrayLike) -> Statistic:
    """Return the largest of all values, as a census: a fact about what was measured, with nothing inferred."""
    cells = np.asarray(values, dtype=np.float64)
    if cells.size == 0 or not np.isfinite(cells).all():
        raise UndefinedEstimate("the largest of no values, or of non-finite ones, is undefined")
    return _census("largest value", float(cells.max()), cells.shape[-1])


def every(is_true: ArrayLike) -> Statistic:
    """Return the share of true cells, as a census: a fact about what was measured, with nothing inferred."""
    cells = np.asarray(is_true)
    if cells.dtype != np.bool_:
        raise TypeError(f"is_true must be an array of bool, but its type is {cells.dtype}")
    if cells.size == 0:
        raise UndefinedEstimate("a share of no cells is undefined")
    return _census("share of all measured", float(cells.mean()), cells.shape[-1])


def _census(name: str, value: float, n: int) -> Statistic:
    def everything(level: float) -> Estimate:
        return Estimate(
            statistic=name,
            value=value,
            low=value,
            high=value,
            level=1.0,
            n=n,
            units=n,
            unit="census",
            method="every token measured",
        )

    return _closed_form(name, everything, n, "census")


def _without_exception(truth: bool, units: Units, n: int) -> Statistic:
    def bound(level: float) -> Estimate:
        least = ((1 - level) / 2) ** (1 / units.count)
        return Estimate(
            statistic="share",
            value=float(truth),
            low=least if truth else 0.0,
            high=1.0 if truth else 1 - least,
            level=level,
            n=n,
            units=units.count,
            unit=units.name,
            method="exact bound without an exception",
        )

    return _closed_form("share", bound, n, units.name)


def _closed_form(name: str, estimate: Callable[[float], Estimate], n: int, unit: str) -> Statistic:
    return Statistic(
        name=name,
        moments=np.empty((0, 0)),
        function=lambda total: total,
        gradient=lambda total: total,
        scale="identity",
        n=n,
        unit=unit,
        closed_form=estimate,
    )


def _correlation(name: str, x: Array, y: Array, units: Units) -> Statistic:
    deviations = []
    for label, column in (("x", x), ("y", y)):
        centred = _within(lambda values: values - values.mean(), column, units)
        spread = np.sqrt(np.mean(centred**2))
        if not spread > 1e-12 * np.abs(column).max():
            raise UndefinedEstimate(f"{name} is undefined: column {label} is constant within every passage")
        deviations.append(centred / spread)
    one, two = deviations
    return Statistic(
        name=name,
        moments=np.stack([units.sums(one * two), units.sums(one**2), units.sums(two**2)], axis=1),
        function=lambda total: np.arctanh(_r(total)),
        gradient=_fisher_gradient,
        scale="fisher z",
        n=len(x),
        unit=units.name,
    )


def _r(total: Array) -> Array:
    r: Array = total[..., 0] / np.sqrt(total[..., 1] * total[..., 2])
    return r


def _fisher_gradient(total: Array) -> Array:
    """``dz = dr / (1 - r^2)`` with ``dr = dS_xy / sqrt(S_xx S_yy) - r / 2 (dS_xx / S_xx + dS_yy / S_yy)``."""
    r = _r(total)
    parts = [1 / np.sqrt(total[..., 1] * total[..., 2]), -r / (2 * total[..., 1]), -r / (2 * total[..., 2])]
    return np.stack(parts, axis=-1) / (1 - r**2)[..., None]


def _within(function: Callable[[Array], Array], column: Array, units: Units) -> Array:
    result = np.empty_like(column)
    for passage in range(int(units.passage.max()) + 1):
        rows = units.passage == passage
        result[rows] = function(column[rows])
    return result


def _columns(passage: ArrayLike, **given: ArrayLike) -> tuple[Units, list[Array]]:
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
