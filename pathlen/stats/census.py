"""Facts about the tokens that were measured, with nothing inferred from them, and bounds that need no resampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from pathlen.errors import UndefinedEstimate
from pathlen.stats.bootstrap import Statistic
from pathlen.stats.estimate import Estimate
from pathlen.stats.units import Units

__all__ = ["every", "largest", "rare"]


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


def rare(is_true: NDArray[np.bool_], blocks: Units) -> Statistic:
    """Return a share that is nearly one (or nearly zero), with the exact bound that `pathlen.stats.share` explains.

    Parameters
    ----------
    is_true : ndarray of bool, shape (cells, rows)
        Whether a cell is true.
    blocks : Units
        Blocks of tokens that stand for independent trials.

    """
    value = float(is_true.mean())
    mostly = value > 0.5
    with_exception = np.unique(blocks.label[(is_true != mostly).any(axis=0)]).size
    clean = blocks.count - with_exception

    def bound(level: float) -> Estimate:
        # Clopper and Pearson's lower bound on the share of blocks without an exception.
        least = float(betaincinv(clean, with_exception + 1, (1 - level) / 2)) if clean else 0.0
        return Estimate(
            statistic="share",
            value=value,
            low=least if mostly else 0.0,
            high=1.0 if mostly else 1 - least,
            level=level,
            n=is_true.shape[1],
            units=blocks.count,
            unit=blocks.name,
            method="exact bound, exceptions are too rare to resample",
        )

    return _closed_form("share", bound, is_true.shape[1])


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

    return _closed_form(name, everything, n)


def _closed_form(name: str, estimate: Callable[[float], Estimate], n: int) -> Statistic:
    return Statistic(
        name=name,
        moments=np.empty((0, 0)),
        function=lambda total: total,
        gradient=lambda total: total,
        scale="identity",
        n=n,
        units=None,
        closed_form=estimate,
    )
