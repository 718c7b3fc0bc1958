"""The one rule that turns an interval into a verdict.

A claim names a `Region` of the number line in which it would be true; an estimate brings an interval. If the interval lies
inside the region, the claim is supported; if it lies outside, the claim is refuted; if it crosses an edge, the result is
inconclusive. There is no other way to a verdict: no p-value, no "the interval contains zero".

`below` and `above` state a direction and are judged by the two-sided 95 % interval. `within` states equivalence ("about
zero") and is judged by the 90 % interval, which is the two one-sided tests procedure at 5 %: equivalence has to be *shown*,
so a short text is inconclusive instead of supporting it.

References
----------
Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", Journal of
Pharmacokinetics and Biopharmaceutics 15 (1987), 657-680.

"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = ["Logic", "Region", "Verdict", "above", "below", "combined", "within"]

Logic = Literal["each", "all", "differs"]


class Verdict(Enum):
    """The outcome of a check; the module's docstring has the rule behind the first three."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    VACUOUS = "vacuous"
    INVALID = "invalid"
    NOT_TESTED = "not tested"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Region:
    """An open interval in which a claim would be true.

    Parameters
    ----------
    low, high : float
        The ends, which do not belong to the region; ``-inf`` and ``inf`` leave a side open.

    Raises
    ------
    ValueError
        If an end is NaN, ``low >= high``, or both sides are open, so that no number could refute the claim.

    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            swapped = f": write within({self.high:g}, {self.low:g})" if self.high < self.low else ""
            raise ValueError(f"a region needs low < high, but ({self.low}, {self.high}) was given{swapped}")
        if math.isinf(self.low) and math.isinf(self.high):
            raise ValueError("a region needs at least one finite end, else nothing could refute the claim")

    @property
    def is_equivalence(self) -> bool:
        """Whether both ends are finite, so that the region states a margin rather than a direction."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def level(self) -> float:
        """The confidence level of the interval that judges this region: 0.90 for a margin, 0.95 otherwise."""
        return 0.90 if self.is_equivalence else 0.95

    def judge(self, low: float, high: float) -> Verdict:
        """Return the verdict on the interval ``[low, high]``; touching an edge decides nothing.

        Raises
        ------
        ValueError
            If an end is not finite or ``low > high``: an unusable interval gives no verdict.

        Examples
        --------
        >>> below(0.0).judge(-0.4, -0.2)
        <Verdict.SUPPORTED: 'supported'>
        >>> within(-0.1, 0.1).judge(-0.05, 0.15)
        <Verdict.INCONCLUSIVE: 'inconclusive'>

        """
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"an interval needs finite low <= high, but [{low}, {high}] was given")
        if self.low < low and high < self.high:
            return Verdict.SUPPORTED
        if high < self.low or low > self.high:
            return Verdict.REFUTED
        return Verdict.INCONCLUSIVE

    def __str__(self) -> str:
        if self.is_equivalence:
            return f"between {self.low:g} and {self.high:g}"
        return f"below {self.high:g}" if math.isinf(self.low) else f"above {self.low:g}"


def below(edge: float) -> Region:
    """Return the region of all numbers below ``edge``."""
    return Region(-math.inf, edge)


def above(edge: float) -> Region:
    """Return the region of all numbers above ``edge``."""
    return Region(edge, math.inf)


def within(low: float, high: float) -> Region:
    """Return the region between two finite numbers: an equivalence statement with that margin."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"within needs two finite ends, but ({low}, {high}) was given; use below or above")
    return Region(low, high)


def combined(verdicts: Collection[Verdict]) -> Verdict:
    """Return the verdict on a claim that must hold in *all* its cells (the intersection-union rule).

    Supported if every cell is, refuted if any cell is. No correction for multiplicity is needed, because a false
    "supported" needs every cell to be wrong at once. A cell that was not tested, or whose check failed, leaves the claim
    undecided unless another cell refutes it.

    References
    ----------
    Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982), 295-300.

    Examples
    --------
    >>> combined([Verdict.SUPPORTED, Verdict.INCONCLUSIVE])
    <Verdict.INCONCLUSIVE: 'inconclusive'>

    """
    distinct = set(verdicts)
    if not distinct:
        return Verdict.NOT_TESTED
    if len(distinct) == 1:
        return distinct.pop()
    order = (Verdict.REFUTED, Verdict.ERROR, Verdict.INVALID, Verdict.NOT_TESTED, Verdict.INCONCLUSIVE)
    return next((verdict for verdict in order if verdict in distinct), Verdict.VACUOUS)
