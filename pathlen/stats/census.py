"""Facts about the tokens that were measured, with nothing inferred from them, and bounds that need no resampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pathlen.errors import UndefinedEstimate
from pathlen.stats.bootstrap import Statistic
from pathlen.stats.estimate import Estimate
from pathlen.stats.units import Units

__all__ = ["every", "largest", "without_exception"]


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


def without_exception(truth: bool, units: Units, n: int) -> Statistic:
    """Return a share whose every cell is ``truth``, with the exact bound that `pathlen.stats.share` explains."""

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
