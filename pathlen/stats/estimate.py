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
        if not self.low <= self.value <= self.high:
            raise UndefinedEstimate(
                f"{self.statistic}: the value {self.value} lies outside its interval [{self.low}, {self.high}]"
            )

    def __str__(self) -> str:
        if self.unit == "census":
            return f"{self.value:.3g} ({self.n:,} tokens, all of them)"
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}] ({self.n:,} tokens in {self.units} {self.unit})"
