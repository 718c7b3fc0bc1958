"""A number, its interval, and everything needed to judge whether to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pathlen.errors import UndefinedEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic with its confidence interval.

    Attributes
    ----------
    statistic : str
        What was estimated, in words: ``"Pearson r within passages"``.
    value, low, high : float
        The number and the ends of its interval, on the statistic's own scale.
    level : float
        Confidence level of the interval; 1.0 for a census, which has no sampling error.
    n : int
        Rows (tokens) that went in.
    units : int
        Resampling units they were grouped into.
    unit : str
        ``"passages"``, ``"blocks of 20 tokens"`` or ``"census"``.
    method : str
        How the interval was made.
    scale : str
        The scale on which it was made: ``"fisher z"``, ``"log"``, ``"logit"``, ``"identity"``.
    standard_error : float
        Of the statistic on that scale, between units.
    replicates, seed : int
        Bootstrap replicates and the seed they were drawn with; both 0 where nothing was drawn.

    Raises
    ------
    UndefinedEstimate
        If any number is not finite, or the value lies outside its interval: no estimate, and so no verdict.

    """

    statistic: str
    value: float
    low: float
    high: float
    level: float
    n: int
    units: int
    unit: str
    method: str
    scale: str = "identity"
    standard_error: float = 0.0
    replicates: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high, self.standard_error)
        if not all(map(math.isfinite, numbers)):
            raise UndefinedEstimate(
                f"{self.statistic}: an estimate needs finite numbers, but the value is {self.value} "
                f"and the interval [{self.low}, {self.high}]"
            )
        if not 0.0 < self.level <= 1.0:
            raise UndefinedEstimate(
                f"{self.statistic}: a level lies above 0 and is at most 1, but {self.level} was given"
            )
        if not self.low <= self.value <= self.high:
            raise UndefinedEstimate(
                f"{self.statistic}: the value {self.value} lies outside its interval [{self.low}, {self.high}]"
            )

    @property
    def digits(self) -> tuple[str, str, str]:
        """Value, low and high with the digits that the width of the interval allows, and never "-0".

        Two digits of the half-width are kept, more where an end would else look like zero, and beyond six decimals
        as many significant ones; without a width, three significant digits.

        Examples
        --------
        >>> one = Estimate(statistic="r", value=-0.28731, low=-0.32411, high=-0.24903, level=0.95, n=99, units=9,
        ...                unit="passages", method="by hand")
        >>> one.digits
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

    def __str__(self) -> str:
        value, low, high = self.digits
        if self.unit == "census":
            return f"{value} ({self.n:,} tokens, all of them)"
        return f"{value} [{low}, {high}] ({self.n:,} tokens in {self.units} {self.unit})"
