"""Correlations from sums of products: the parts that the statistics of `pathlen.stats.correlation` share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array
from pathlen.stats.clusters import Passages, checked_trend, is_rounding
from pathlen.stats.statistic import Smooth

__all__ = [
    "all_pairs",
    "correlation",
    "correlation_of_residuals",
    "fisher_gradient",
    "fisher_z",
    "named",
    "solved",
    "standardised",
]


def named(statistic: str, trend: int) -> str:
    """Return the name of a statistic within passages; raises `ValueError` for a trend that is not valid."""
    return f"{statistic} within passages" + (", trend removed" if checked_trend(trend) else "")


def standardised(name: str, label: str, column: Array, passages: Passages, trend: int) -> tuple[Array, Array]:
    """Return the residuals of a column without mean and trend, over their root mean square, and that root mean square.

    Raises
    ------
    UndefinedEstimate
        If the residuals are no more than rounding; ``name`` and ``label`` are the statistic and the column in the message.

    """
    residuals = passages.detrended(column, trend)
    size = np.sqrt(np.mean(residuals**2, axis=-1))
    if is_rounding(size, column):
        remainder = "constant" if trend == 0 else "nothing but a trend"
        raise UndefinedEstimate(f"{name} is undefined: column {label} is {remainder} within every passage")
    return residuals / size[..., None], size[..., None]


def correlation(name: str, x: Array, y: Array, passages: Passages, trend: int) -> Smooth:
    """Return the correlation of what is left of two columns without means and trends."""
    (first, _), (second, _) = (
        standardised(name, label, column, passages, trend) for label, column in (("x", x), ("y", y))
    )
    return correlation_of_residuals(name, first, second, passages)


def correlation_of_residuals(name: str, first: Array, second: Array, passages: Passages) -> Smooth:
    """Return the correlation of columns without means and trends."""
    moments = np.empty((3, *np.broadcast_shapes(first.shape, second.shape)))
    for moment, (left, right) in zip(moments, ((first, second), (first, first), (second, second)), strict=True):
        np.multiply(left, right, out=moment)
    return _of_moments(name, moments, passages)


def all_pairs(x: Array, y: Array, *, passages: Passages) -> Smooth:
    """Return Pearson's correlation of every column with every other, side by side, for resamples of whole passages.

    What each passage adds to the sums is a matrix product, and nothing is stored for single tokens. Use it for very many
    numbers at once whose token influences nobody needs.

    Parameters
    ----------
    x : ndarray, shape (a, rows)
        One value per token, without the means of passages.
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
    name = named("Pearson r", 0)
    (first, _), (second, _) = (standardised(name, label, column, passages, 0) for label, column in (("x", x), ("y", y)))
    shape = len(first), len(second), passages.count
    products = np.stack([first[:, rows] @ second[:, rows].T for rows in passages.slices], axis=-1)
    squares = passages.sums(first**2)[:, None], passages.sums(second**2)[None]
    moments = np.stack([products, *(np.broadcast_to(square, shape) for square in squares)])
    as_rows = replace(passages, starts=np.arange(passages.count), rows=passages.count)
    return _of_moments(name, moments.reshape(3, -1, passages.count), as_rows)


def _of_moments(name: str, moments: Array, passages: Passages) -> Smooth:
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
    """Return the gradient of `fisher_z`: ``dz = dr / (1 - r^2)`` with ``dr = dS_xy / sqrt(S_xx S_yy) - r / 2 (dS_xx / S_xx + dS_yy / S_yy)``."""
    root = np.sqrt(total[1] * total[2])
    r = total[0] / root
    steep = 1 / (1 - r**2)
    gradient: Array = np.stack([steep / root, -r * steep / (2 * total[1]), -r * steep / (2 * total[2])])
    return gradient


def solved(matrix: Array, right: Array) -> Array:
    """Solve many systems of equations at once; the solution of a singular one is NaN instead of an error for all."""
    try:
        solution = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        size = matrix.shape[-1]
        singular = np.linalg.matrix_rank(matrix) < size
        regular = np.where(singular[..., None, None], np.eye(size), matrix)
        solution = np.where(singular[..., None, None], np.nan, np.linalg.solve(regular, right))
    return np.asarray(solution, dtype=np.float64)
