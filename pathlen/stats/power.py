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
    if estimate.standard_error == 0:
        return None
    critical = stdtrit(_freedom(estimate), (1 + estimate.level) / 2)
    return float(critical + stdtrit(_freedom(estimate), POWER)) * estimate.standard_error


def tokens_to_decide(estimate: Estimate, edge: float) -> int | None:
    """Return how many tokens of this kind would tell the value from an edge 4 times in 5, were it what it seems.

    ``n * ((arm + t_0.8 * se) / distance)^2`` on the interval's scale, where the arm reaches from the value to that end
    of its own interval that lies towards the edge. An interval that crosses the edge has an arm longer than the
    distance, so the answer is always more than the tokens that did not decide.

    Parameters
    ----------
    estimate : Estimate
        With a standard error between units, or a share without exception.
    edge : float
        The nearest end of a region, on the statistic's own scale.

    Returns
    -------
    int or None
        None if the value lies on the edge, or if the edge has no place on that scale. For a share without exception
        the tokens whose exact bound would pass the edge.

    """
    if not math.isfinite(edge):
        return None
    if estimate.standard_error == 0:
        return _tokens_without_exception(estimate, edge)
    there = SCALES[estimate.scale].there
    distance = abs(there(estimate.value) - there(edge))
    if not (math.isfinite(distance) and distance > 0):
        return None
    end = estimate.low if edge < estimate.value else estimate.high
    arm = abs(there(end) - there(estimate.value))
    reach = arm + float(stdtrit(_freedom(estimate), POWER)) * estimate.standard_error
    return math.ceil(estimate.n * (reach / distance) ** 2)


def _tokens_without_exception(estimate: Estimate, edge: float) -> int | None:
    share = edge if estimate.value == 1 else 1 - edge
    if estimate.level == 1 or estimate.value not in (0.0, 1.0) or not 0 < share < 1:
        return None
    blocks = math.log((1 - estimate.level) / 2) / math.log(share)
    return math.ceil(estimate.n * blocks / estimate.units)


def _freedom(estimate: Estimate) -> int:
    return max(1, estimate.units - 1)
