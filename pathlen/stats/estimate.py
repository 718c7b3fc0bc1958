"""An estimate: a number, its intervals, and what a reader needs to judge them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from pathlen.errors import UndefinedEstimate
from pathlen.stats.registry import Kind, kind_of

__all__ = ["LEVELS", "PROBABILITIES", "Estimate", "Interval"]

LEVELS = (0.95, 0.90)  # for directions, and for margins: two one-sided tests at 5 % are a 90 % interval
PROBABILITIES = (0.005, 0.025, 0.05, *(step / 10 for step in range(1, 10)), 0.95, 0.975, 0.995)


@dataclass(frozen=True, slots=True)
class Interval:
    """The ends of a confidence interval, in units of the statistic, and its level: 1.0 for a census."""

    level: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic with its confidence intervals.

    Attributes
    ----------
    statistic : str
        What was estimated, in words: ``"Pearson r within passages, trend removed"``.
    value : float
        The number, in units of the statistic.
    intervals : tuple of Interval
        First the requested interval, whose ends and level are also ``low``, ``high`` and ``level``; then the others of
        `LEVELS`. An interval of a higher level contains those of lower levels.
    n : int
        Number of rows (tokens).
    effective_n : float or None
        Number of independent tokens that would give this standard error: ``n`` times the variance under independence
        over the estimated variance. With a dozen passages it is good to a third either way, and it may exceed ``n``.
        None where nothing was inferred.
    units : int
        Number of units that were resampled or read as a series.
    unit : str
        ``"passages"``, ``"texts"``, ``"blocks of 20 tokens"``, ``"tokens"`` or ``"census"``.
    method : str
        How the intervals were made.
    scale : str
        The scale on which they were made: ``"fisher z"``, ``"log"``, ``"logit"``, ``"identity"``.
    standard_error : float
        Of the statistic on that scale.
    freedom : float
        Degrees of freedom of that standard error; 0 where there are none.
    autocorrelation : float or None
        Lag-one autocorrelation, within passages, of the tokens' influences on the number: the dependence that matters.
    replicates, seed : int
        Bootstrap replicates and the seed they were drawn with; both 0 where nothing was drawn.
    caution : str
        How rarely intervals of this kind cover, where they are known to cover too rarely; empty where they hold their
        level.
    quantiles : tuple of float
        Of the distribution that the intervals are read from, at `PROBABILITIES`, in units of the statistic; empty for
        a census and for exact bounds.

    Raises
    ------
    UndefinedEstimate
        If a number is not finite, the value lies outside an interval, or intervals are not nested. Without an estimate
        there is no verdict.

    """

    statistic: str
    value: float
    intervals: tuple[Interval, ...]
    n: int
    units: int
    unit: str
    method: str
    effective_n: float | None = None
    scale: str = "identity"
    standard_error: float = 0.0
    freedom: float = 0.0
    autocorrelation: float | None = None
    replicates: int = 0
    seed: int = 0
    caution: str = ""
    quantiles: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.intervals:
            raise UndefinedEstimate(f"{self.statistic}: an estimate needs an interval, but none was given")
        for interval in self.intervals:
            low, high, level = interval.low, interval.high, interval.level
            if not all(map(math.isfinite, (self.value, low, high, self.standard_error, *self.quantiles))):
                raise UndefinedEstimate(
                    f"{self.statistic}: an estimate needs finite numbers, but the value is {self.value} "
                    f"and the interval [{low}, {high}]"
                )
            if not 0.0 < level <= 1.0:
                raise UndefinedEstimate(
                    f"{self.statistic}: a level lies above 0 and is at most 1, but {level} was given"
                )
            if not low <= self.value <= high:
                raise UndefinedEstimate(
                    f"{self.statistic}: the value {self.value} lies outside its interval [{low}, {high}]"
                )
        for narrow, wide in pairwise(sorted(self.intervals, key=lambda interval: interval.level)):
            if not wide.low <= narrow.low <= narrow.high <= wide.high:
                raise UndefinedEstimate(f"{self.statistic}: {wide} does not hold {narrow}")

    @property
    def kind(self) -> Kind | None:
        """What kind of number it is, where sentences have a short name for it: a correlation, a dominance, ..."""
        return kind_of(self.statistic)

    @property
    def low(self) -> float:
        """Lower end of the requested interval."""
        return self.intervals[0].low

    @property
    def high(self) -> float:
        """Upper end of the requested interval."""
        return self.intervals[0].high

    @property
    def level(self) -> float:
        """Level of the requested interval."""
        return self.intervals[0].level

    def at(self, level: float) -> Interval:
        """Return the interval of a level; a census has a single one, for any level."""
        for interval in self.intervals:
            if interval.level in (level, 1.0):
                return interval
        raise ValueError(
            f"level must be one of {[interval.level for interval in self.intervals]}, but {level} was given"
        )

    @property
    def digits(self) -> tuple[str, str, str]:
        """Value, low and high, rounded to the digits that the width of the interval allows, and never "-0".

        Two digits of the half-width are shown, more where an end would otherwise look like zero. Beyond six decimals as
        many significant digits are shown instead; without a width, three.

        Examples
        --------
        >>> estimate = Estimate(statistic="r", value=-0.28731, intervals=(Interval(0.95, -0.32411, -0.24903),), n=99,
        ...                     units=9, unit="passages", method="by hand")
        >>> estimate.digits
        ('-0.287', '-0.324', '-0.249')

        """
        numbers = (self.value, self.low, self.high)
        half = (self.high - self.low) / 2
        if half == 0:
            text = f"{self.value:.3g}"
            return (f"{self.value:.6g}" if float(text) == 1 != self.value else text,) * 3
        decimals = max(0, 1 - math.floor(math.log10(half)))
        # An end that is not zero must not look like zero: a claim may turn on it.
        while decimals < 6 and any(number != 0 and round(number, decimals) == 0 for number in numbers):
            decimals += 1
        if decimals > 6:
            largest = max(map(abs, numbers))
            significant = max(3, decimals + math.floor(math.log10(largest)) + 1)
            value, low, high = (f"{number + 0.0:.{significant}g}" for number in numbers)
        else:
            value, low, high = (f"{round(number, decimals) + 0.0:.{decimals}f}" for number in numbers)
        return value, low, high

    @property
    def sample(self) -> str:
        """The size of the sample, in words: ``"6,163 tokens in 14 passages"``."""
        tokens = f"{self.n:,} tokens"
        if self.unit == "census":
            return tokens
        return f"{tokens} in {self.units:,} {self.unit.removesuffix('s') if self.units == 1 else self.unit}"

    def __str__(self) -> str:
        value, low, high = self.digits
        if self.unit == "census":
            return f"{value} ({self.sample}, all of them)"
        return f"{value} [{low}, {high}] ({self.sample})"
