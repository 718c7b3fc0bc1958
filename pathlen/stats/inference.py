"""From a value, its standard error and the distribution of their ratio to intervals and p-values.

One distribution serves everything that is said about a number, so that nothing can contradict: an interval of
level ``1 - a`` lies inside a region exactly when the p-value of "the truth is outside of it" is below ``a`` (for a margin,
when both one-sided tests reject at ``a``, which is the interval of level ``1 - 2a``).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from pathlen.errors import UndefinedEstimate
from pathlen.stats.estimate import LEVELS, PROBABILITIES, Estimate, Interval
from pathlen.stats.transforms import SCALES

__all__ = ["Bounds", "Pivot", "Sampling", "Studentised"]

Array = NDArray[np.float64]


class Sampling(ABC):
    """What is known about the truth behind a number."""

    @abstractmethod
    def interval(self, level: float) -> Interval:
        """Return the confidence interval of a level."""

    @abstractmethod
    def p_value(self, low: float, high: float) -> float | None:
        """Return the p-value of the hypothesis that the truth lies outside ``(low, high)``; None where none exists.

        Two-sided for a region with one open side (twice the one-sided, at most 1), the larger of the two one-sided ones
        for a region with two ends; never 0 where resamples were drawn.
        """

    @abstractmethod
    def estimate(self, level: float = 0.95) -> Estimate:
        """Return the number with its interval of this level and of those in `LEVELS`.

        Raises
        ------
        ValueError
            If ``level`` does not lie strictly between 0 and 1.
        UndefinedEstimate
            If there is no interval.

        """

    def intervals(self, level: float) -> tuple[Interval, ...]:
        """Return the interval of this level, then those of `LEVELS` that it is not."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"level must lie strictly between 0 and 1, but {level} was given")
        return tuple(map(self.interval, dict.fromkeys((level, *LEVELS))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """The distribution of ``(estimate - truth) / standard error``.

    Attributes
    ----------
    freedom : float
        Of Student's t.
    sorted : ndarray or None, shape (replicates,)
        Quantiles at ``j / (replicates + 1)``; None where Student's are taken as they are.

    """

    freedom: float
    sorted: Array | None = None

    @classmethod
    def blended(cls, scores: Array, freedom: float) -> Pivot:
        """Return the pivot of bootstrapped scores, each quantile averaged with Student's.

        With a dozen units the bootstrap's own quantiles are estimates, and noisy ones in the tails; Student's are exact for
        normal influences and know nothing of skew or tails. Over the simulated data of `pathlen.stats.calibration.simulation`, the
        average is nearer to its level in the worst case than either: where passage totals have heavy tails the
        bootstrap alone covers 92 %, where they are skewed Student's alone covers 93 %.
        """
        usable = np.sort(scores)
        return cls(freedom=freedom, sorted=(usable + _students(len(usable), freedom)) / 2)

    def quantile(self, probability: float) -> float:
        """Return a quantile."""
        if self.sorted is None:
            return float(stdtrit(self.freedom, probability))
        place = probability * (len(self.sorted) + 1) - 1
        return float(np.interp(place, np.arange(len(self.sorted)), self.sorted))

    def beyond(self, score: float) -> float:
        """Return the probability of a score farther out on its side of zero, at least one over the resamples plus one."""
        if self.sorted is None:
            return float(stdtr(self.freedom, -abs(score)))
        # The inverse of `quantile`, so that intervals and p-values agree to the last resample.
        m = len(self.sorted)
        below = float(np.interp(score, self.sorted, np.arange(1, m + 1) / (m + 1)))
        return 1 - below if score > 0 else below


@lru_cache(maxsize=16)
def _students(count: int, freedom: float) -> Array:
    quantiles: Array = stdtrit(freedom, np.arange(1, count + 1) / (count + 1))
    return quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Studentised(Sampling):
    """A number with a standard error on a scale, and the distribution of their ratio.

    Attributes
    ----------
    value, error : float
        On the scale.
    pivot : Pivot
    scale : str
        A key of `SCALES`.
    blank : callable
        Everything else of the `Estimate`, which only a reader needs: called with what was found here.

    """

    value: float
    error: float
    pivot: Pivot
    scale: str
    blank: Callable[..., Estimate]

    def interval(self, level: float) -> Interval:
        """Return ``value - q error`` for the pivot's quantiles ``q``, carried back from the scale."""
        drawn = self.pivot.sorted
        if drawn is not None and (1 - level) / 2 * (len(drawn) + 1) < 1 - 1e-9:
            raise ValueError(f"level {level:g} needs more than the {len(drawn)} replicates that were drawn")
        low, high = (self.pivot.quantile(tail) for tail in ((1 - level) / 2, (1 + level) / 2))
        if not low < 0 < high:
            raise UndefinedEstimate(
                f"resamples lie on one side: {level:.0%} of their scores lie between {low:.3g} and {high:.3g}, "
                "so no interval could hold the value"
            )
        back = SCALES[self.scale].back
        return Interval(level, back(self.value - high * self.error), back(self.value - low * self.error))

    def p_value(self, low: float, high: float) -> float | None:
        """Return the p-value as `Sampling.p_value` says."""
        sides = [self._outside(low, 1), self._outside(high, -1)]
        return max(sides) if math.isfinite(low) and math.isfinite(high) else min(1.0, 2 * max(sides))

    def _outside(self, edge: float, sign: int) -> float:
        """Return the one-sided p-value of the truth lying on the edge, against its lying towards ``sign`` of it."""
        place = SCALES[self.scale].there(edge)
        if place == -sign * math.inf:
            return 0.0  # the hypothesis lies beyond the end of the scale, where nothing can
        score = (self.value - place) / self.error
        return self.pivot.beyond(score) if sign * score > 0 else 1 - self.pivot.beyond(score)

    def estimate(self, level: float = 0.95) -> Estimate:
        """Return the number as `Sampling.estimate` says."""
        back = SCALES[self.scale].back
        ends = [self.pivot.quantile(1 - probability) for probability in PROBABILITIES]
        return self.blank(
            value=back(self.value),
            intervals=self.intervals(level),
            scale=self.scale,
            standard_error=self.error,
            freedom=self.pivot.freedom,
            quantiles=tuple(back(self.value - end * self.error) for end in ends),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds(Sampling):
    """A number whose interval of any level is known directly.

    Attributes
    ----------
    value : float
    ends : callable
        From a level to the ends of its interval.
    blank : callable
        As in `Studentised`.
    floor : float
        The smallest p-value that can be told; with resamples, one over one more than there are.

    """

    value: float
    ends: Callable[[float], tuple[float, float]]
    blank: Callable[..., Estimate]
    floor: float = 0.0

    def interval(self, level: float) -> Interval:
        """Return the interval of a level."""
        return Interval(level, *self.ends(level))

    def p_value(self, low: float, high: float) -> float | None:
        """Return the smallest ``a`` whose interval lies inside the region, by bisection, to 1e-6."""
        tails = 2 if math.isfinite(low) and math.isfinite(high) else 1

        def inside(a: float) -> bool:
            ends = self.ends(1 - tails * a)
            return low < ends[0] and ends[1] < high

        least, most = 0.0, 1.0 / tails
        if not low < self.value < high:
            return 1.0
        while most - least > 1e-6:
            middle = (least + most) / 2
            least, most = (least, middle) if inside(middle) else (middle, most)
        return max(most, self.floor)

    def estimate(self, level: float = 0.95) -> Estimate:
        """Return the number as `Sampling.estimate` says."""
        return self.blank(value=self.value, intervals=self.intervals(level))
