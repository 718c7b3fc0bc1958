"""Facts about the measured tokens: a census, from which nothing is inferred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pathlen.errors import UndefinedEstimate
from pathlen.stats.base import Statistic
from pathlen.stats.estimate import Estimate, Interval
from pathlen.stats.exact import Exact
from pathlen.stats.inference import Sampling
from pathlen.stats.registry import public_statistic

__all__ = ["every", "largest"]


@public_statistic(
    number="largest of all values seen",
    interval="none: a census",
    sentence="none is larger",
)
def largest(values: ArrayLike) -> Statistic:
    """Return the largest of all values, as a census: a fact about what was measured, with nothing inferred."""
    cells = np.asarray(values, dtype=np.float64)
    if cells.size == 0 or not np.isfinite(cells).all():
        raise UndefinedEstimate("the largest of no values, or of non-finite ones, is undefined")
    return _census("largest value", float(cells.max()), cells.shape[-1])


@public_statistic(
    number="share of all cells seen that are true",
    interval="none: a census",
    sentence="every one, without exception",
)
def every(is_true: ArrayLike) -> Statistic:
    """Return the share of true cells, as a census: a fact about what was measured, with nothing inferred."""
    cells = np.asarray(is_true)
    if cells.dtype != np.bool_:
        raise TypeError(f"is_true must be an array of bool, but its type is {cells.dtype}")
    if cells.size == 0:
        raise UndefinedEstimate("a share of no cells is undefined")
    return _census("share of all measured", float(cells.mean()), cells.shape[-1], ends=(0.0, 1.0))


@dataclass(frozen=True, slots=True)
class _Fact(Sampling):
    """A number about tokens all of which were seen."""

    fact: Estimate

    def interval(self, level: float) -> Interval:
        """Return the number as an interval of level 1."""
        del level
        return self.fact.intervals[0]

    def p_value(self, low: float, high: float) -> None:
        """Return None: nothing is inferred."""
        del low, high

    def estimate(self, level: float = 0.95) -> Estimate:
        """Return the number."""
        del level
        return self.fact


def _census(name: str, value: float, n: int, ends: tuple[float, float] = (-np.inf, np.inf)) -> Statistic:
    fact = Estimate(
        statistic=name,
        value=value,
        intervals=(Interval(1.0, value, value),),
        n=n,
        units=n,
        unit="census",
        method="every token measured",
    )
    return Exact(name=name, known=_Fact(fact), ends=ends)
