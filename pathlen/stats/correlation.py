"""Correlations of two columns, and which relation each is about.

All but `pooled_pearson` are about tokens *within* passages: columns are taken as deviations from their passage's own
mean (or as ranks inside it), so that a difference between two texts can't pass for a relation between tokens. All
have their interval on Fisher's ``z = atanh r``.

=================== ==================================================================================
`pearson`           linear relation within passages: the default for a claim about tokens
`spearman`          monotone relation within passages; one outlying token can't make it
`winsorised`        linear relation with each passage's extreme values pulled in
`partial`           linear relation within passages that other columns don't account for
`pooled_pearson`    over all rows as if they were one text: differences between passages included
=================== ==================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from pathlen.errors import UndefinedEstimate
from pathlen.stats.bootstrap import Statistic
from pathlen.stats.units import Units, checked_columns

__all__ = ["partial", "pearson", "pooled_pearson", "spearman", "winsorised"]

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
    units, (one, two) = checked_columns(passage, x=x, y=y)
    return _correlation("Pearson r within passages", one, two, units)


def spearman(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike) -> Statistic:
    """Return Spearman's rank correlation within passages: `pearson` of the mid-ranks inside each passage.

    Ranks are taken once, not anew in every resample; passages are resampled whole, so a row's rank among its
    own passage does not change when other passages come and go. Parameters and errors are those of `pearson`.
    """
    units, (one, two) = checked_columns(passage, x=x, y=y)
    ranked = [units.within(rankdata, column) for column in (one, two)]
    return _correlation("Spearman rho within passages", ranked[0], ranked[1], units)


def winsorised(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, tail: float = 0.05) -> Statistic:
    """Return Pearson's correlation within passages after pulling in each passage's extreme values.

    In every passage and column, values below the ``tail`` quantile are set to it, and values above the ``1 - tail``
    quantile likewise (NumPy's linear quantiles). Other parameters and errors are those of `pearson`.

    Parameters
    ----------
    x, y : array_like, shape (rows,)
        One value per token.
    passage : array_like of int, shape (rows,)
        The passage of each row.
    tail : float
        Share of each end that is pulled in, from 0 to below 0.5.

    Raises
    ------
    ValueError
        If ``tail`` is out of range.

    """
    if not 0.0 <= tail < 0.5:
        raise ValueError(f"tail must lie from 0 to below 0.5, but {tail} was given")
    units, columns = checked_columns(passage, x=x, y=y)

    def pulled_in(values: Array) -> Array:
        low, high = np.quantile(values, [tail, 1 - tail])
        return np.clip(values, low, high)

    one, two = (units.within(pulled_in, column) for column in columns)
    return _correlation(f"Pearson r within passages, winsorised {tail:.0%}", one, two, units)


def partial(x: ArrayLike, y: ArrayLike, *, given: Sequence[ArrayLike], passage: ArrayLike) -> Statistic:
    """Return the partial correlation of two columns given others, within passages.

    Parameters
    ----------
    x, y : array_like, shape (rows,)
        One value per token.
    given : sequence of array_like, each of shape (rows,)
        The columns whose linear part is taken out of both, for example the residual norm and the position.
    passage : array_like of int, shape (rows,)
        The passage of each row.

    Returns
    -------
    Statistic
        ``r = A_xy / sqrt(A_xx A_yy)`` with ``A = G_11 - G_12 G_22^-1 G_21``, ``G`` being the sums of products of
        deviations from passage means, ``x, y`` first and the given columns second. The coefficients of the given
        columns are estimated anew in every resample.

    Raises
    ------
    ValueError
        If nothing is given, or columns differ in length.
    UndefinedEstimate
        If a column is constant within every passage, or the given ones are collinear.

    """
    if not given:
        raise ValueError("given must name at least one column; without any, use pearson")
    names = {f"given[{place}]": column for place, column in enumerate(given)}
    units, columns = checked_columns(passage, x=x, y=y, **names)
    name = f"partial r within passages, given {len(given)} column{'s' if len(given) > 1 else ''}"
    table = np.stack(
        [_standardised(name, label, column, units) for label, column in zip(("x", "y", *names), columns, strict=True)]
    )
    if np.linalg.cond(table[2:] @ table[2:].T) > 1e12:
        raise UndefinedEstimate(f"{name} is undefined: the given columns are collinear")
    size = len(table)
    products = np.stack([table[i] * table[j] for i in range(size) for j in range(size)])

    def parts(total: Array) -> tuple[Array, Array]:
        gram = total.reshape(*total.shape[:-1], size, size)
        slopes = np.linalg.solve(gram[..., 2:, 2:], gram[..., 2:, :2])
        left_over = gram[..., :2, :2] - gram[..., :2, 2:] @ slopes
        return left_over, np.swapaxes(slopes, -1, -2)

    def function(total: Array) -> Array:
        left_over, _ = parts(total)
        return np.arctanh(left_over[..., 0, 1] / np.sqrt(left_over[..., 0, 0] * left_over[..., 1, 1]))

    def gradient(total: Array) -> Array:
        left_over, slopes = parts(total)
        pair = np.stack([left_over[..., 0, 1], left_over[..., 0, 0], left_over[..., 1, 1]], axis=-1)
        by_xy, by_xx, by_yy = np.moveaxis(_fisher_gradient(pair), -1, 0)
        inner = np.stack([np.stack([by_xx, by_xy], -1), np.stack([np.zeros_like(by_xy), by_yy], -1)], -2)
        # A change of G changes A by B dG B', with B = (1, -slopes).
        outer = np.concatenate([np.broadcast_to(np.eye(2), (*slopes.shape[:-1], 2)), -slopes], axis=-1)
        slope: Array = np.swapaxes(outer, -1, -2) @ inner @ outer
        return slope.reshape(total.shape)

    return Statistic(
        name=name,
        moments=units.sums(products),
        function=function,
        gradient=gradient,
        scale="fisher z",
        n=table.shape[1],
        units=units,
    )


def pooled_pearson(x: ArrayLike, y: ArrayLike, *, passage: ArrayLike) -> Statistic:
    """Return Pearson's correlation over all rows, differences between passages included.

    ``r = (n S_xy - S_x S_y) / sqrt((n S_xx - S_x^2)(n S_yy - S_y^2))`` with sums over all rows. Passages are still what
    is resampled. Parameters and errors are those of `pearson`.
    """
    units, columns = checked_columns(passage, x=x, y=y)
    # Moving and scaling a column changes no correlation, and keeps the sums well conditioned.
    moved = []
    for label, column in zip("xy", columns, strict=True):
        spread = column.std()
        if not spread > 1e-12 * np.abs(column).max():
            raise UndefinedEstimate(f"pooled Pearson r is undefined: column {label} is constant")
        moved.append((column - column.mean()) / spread)
    one, two = moved
    sums = units.sums(np.stack([np.ones_like(one), one, two, one * two, one**2, two**2]))

    def central(total: Array) -> Array:
        n, x, y, xy, xx, yy = np.moveaxis(total, -1, 0)
        return np.stack([xy - x * y / n, xx - x**2 / n, yy - y**2 / n], axis=-1)

    def gradient(total: Array) -> Array:
        n, x, y, *_ = np.moveaxis(total, -1, 0)
        by_xy, by_xx, by_yy = np.moveaxis(_fisher_gradient(central(total)), -1, 0)
        by_n = (x * y * by_xy + x**2 * by_xx + y**2 * by_yy) / n**2
        by_x = -(y * by_xy + 2 * x * by_xx) / n
        by_y = -(x * by_xy + 2 * y * by_yy) / n
        return np.stack([by_n, by_x, by_y, by_xy, by_xx, by_yy], axis=-1)

    return Statistic(
        name="Pearson r, all rows pooled",
        moments=sums,
        function=lambda total: np.arctanh(_r(central(total))),
        gradient=gradient,
        scale="fisher z",
        n=len(one),
        units=units,
    )


def _centred(values: Array) -> Array:
    deviations: Array = values - values.mean()
    return deviations


def _standardised(name: str, label: str, column: Array, units: Units) -> Array:
    """Return deviations from passage means, over their root mean square."""
    centred = units.within(_centred, column)
    spread = np.sqrt(np.mean(centred**2))
    if not spread > 1e-12 * np.abs(column).max():
        raise UndefinedEstimate(f"{name} is undefined: column {label} is constant within every passage")
    scaled: Array = centred / spread
    return scaled


def _correlation(name: str, x: Array, y: Array, units: Units) -> Statistic:
    one, two = (_standardised(name, label, column, units) for label, column in (("x", x), ("y", y)))
    return Statistic(
        name=name,
        moments=units.sums(np.stack([one * two, one**2, two**2])),
        function=lambda total: np.arctanh(_r(total)),
        gradient=_fisher_gradient,
        scale="fisher z",
        n=len(x),
        units=units,
    )


def _r(total: Array) -> Array:
    r: Array = total[..., 0] / np.sqrt(total[..., 1] * total[..., 2])
    return r


def _fisher_gradient(total: Array) -> Array:
    """``dz = dr / (1 - r^2)`` with ``dr = dS_xy / sqrt(S_xx S_yy) - r / 2 (dS_xx / S_xx + dS_yy / S_yy)``."""
    r = _r(total)
    parts = [1 / np.sqrt(total[..., 1] * total[..., 2]), -r / (2 * total[..., 1]), -r / (2 * total[..., 2])]
    return np.stack(parts, axis=-1) / (1 - r**2)[..., None]
