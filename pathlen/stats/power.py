"""What an estimate could have seen, and what it would take to decide.

Both start from the standard error that was measured, on the scale of the interval, and from Student's t with one
degree of freedom less than there are resampling units. They are first answers, good to the precision of that
standard error: with a dozen units, a fifth either way.
"""

from __future__ import annotations

import math

from scipy.special import stdtrit

from pathlen.stats.estimate import Estimate
from pathlen.stats.scales import SCALES

__all__ = ["POWER", "smallest_effect", "tokens_to_decide"]

POWER = 0.80


def smallest_effect(estimate: Estimate) -> float | None:
    """Return the smallest distance from zero, on the interval's scale, that would be found 4 times in 5.

    ``(t_(level) + t_0.8) * se``, two-sided at the estimate's level. None where nothing was resampled.
    """
    return None if estimate.standard_error == 0 else _reach(estimate)


def tokens_to_decide(estimate: Estimate, edge: float) -> int | None:
    """Return how many tokens of this kind would tell the value from an edge 4 times in 5, were it what it seems.

    Parameters
    ----------
    estimate : Estimate
        With a standard error between units.
    edge : float
        The nearest end of a region, on the statistic's own scale.

    Returns
    -------
    int or None
        ``n * (reach / distance)^2``, both on the interval's scale; None if the value lies on the edge, if the edge
        has no place on that scale, or if nothing was resampled.

    """
    if estimate.standard_error == 0 or not math.isfinite(edge):
        return None
    there = SCALES[estimate.scale].there
    distance = abs(there(estimate.value) - there(edge))
    if not (math.isfinite(distance) and distance > 0):
        return None
    return math.ceil(estimate.n * (_reach(estimate) / distance) ** 2)


def _reach(estimate: Estimate) -> float:
    freedom = max(1, estimate.units - 1)
    critical = stdtrit(freedom, (1 + estimate.level) / 2) + stdtrit(freedom, POWER)
    return float(critical * estimate.standard_error)
