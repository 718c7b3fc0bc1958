"""Which effects an estimate could have detected, and how many tokens to plan for.

`smallest_effect`, `smallest_margin` and `tokens_to_decide` start from the measured standard error, on the scale of the
interval, and from Student's t with its degrees of freedom. They are as precise as that standard error: with a dozen
passages, to a fifth either way. `tokens_for_effect` and `tokens_for_margin` need no data, only how strongly neighbouring
tokens depend on each other.
"""

from __future__ import annotations

import math

from scipy.special import ndtri, stdtrit

from pathlen.stats.estimate import Estimate
from pathlen.stats.transforms import SCALES

__all__ = [
    "POWER",
    "passages_in",
    "smallest_effect",
    "smallest_margin",
    "tokens_for_effect",
    "tokens_for_margin",
    "tokens_to_decide",
]

POWER = 0.80


def smallest_effect(estimate: Estimate) -> float | None:
    """Return the smallest distance from an edge, on the interval's scale, that is detected with 80 % power.

    ``(t_0.975 + t_0.8) * se``, for the two-sided 95 % interval. None where there is no standard error.
    """
    return _reach(estimate, 0.975, POWER)


def smallest_margin(estimate: Estimate) -> float | None:
    """Return the smallest margin around the true value, on the interval's scale, that is shown with 80 % power.

    ``(t_0.95 + t_0.9) * se``: both one-sided tests at 5 % must reject, and each may fail in 10 % of cases. None where
    there is no standard error.
    """
    return _reach(estimate, 0.95, (1 + POWER) / 2)


def _reach(estimate: Estimate, *probabilities: float) -> float | None:
    if estimate.standard_error == 0:
        return None
    return estimate.standard_error * sum(float(stdtrit(estimate.freedom, probability)) for probability in probabilities)


def tokens_to_decide(estimate: Estimate, edge: float) -> int | None:
    """Return how many such tokens tell the estimated value from an edge with 80 % power, if it is the true value.

    ``n * ((arm + t_0.8 * se) / distance)^2`` on the interval's scale, where the arm reaches from the value to the end of
    its interval on the side of the edge. If the interval crosses the edge, the arm is longer than the distance, so the
    result exceeds the number of tokens that did not decide.

    Parameters
    ----------
    estimate : Estimate
        With a standard error, or a share without exception.
    edge : float
        The nearest end of a region, in units of the statistic.

    Returns
    -------
    int or None
        None if the value lies on the edge, or if the edge does not lie on that scale. For a share without exception,
        the number of tokens whose exact bound would pass the edge.

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
    reach = arm + float(stdtrit(estimate.freedom, POWER)) * estimate.standard_error
    return math.ceil(estimate.n * (reach / distance) ** 2)


def passages_in(tokens: int, estimate: Estimate) -> int | None:
    """Return how many passages like those of an estimate hold this many tokens; None if passages are not its unit."""
    return math.ceil(tokens * estimate.units / estimate.n) if estimate.unit == "passages" else None


def _tokens_without_exception(estimate: Estimate, edge: float) -> int | None:
    share = edge if estimate.value == 1 else 1 - edge
    if estimate.level == 1 or estimate.value not in (0.0, 1.0) or not 0 < share < 1:
        return None
    blocks = math.log((1 - estimate.level) / 2) / math.log(share)
    return math.ceil(estimate.n * blocks / estimate.units)


def tokens_for_effect(r: float, *, inflation: float = 1.0) -> int:
    """Return how many tokens detect the sign of a true correlation with 80 % power, by the two-sided 95 % interval.

    ``V ((z_0.975 + z_0.8) / atanh |r|)^2 + 3``.

    Parameters
    ----------
    r : float
        The true correlation, not 0.
    inflation : float
        Variance inflation ``V = n / effective n``: 1 for independent tokens, ``(1 + ab) / (1 - ab)`` for two series with
        geometrically decaying autocorrelations ``a`` and ``b``.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> tokens_for_effect(-0.1), tokens_for_effect(-0.1, inflation=(1 + 0.36) / (1 - 0.36))
    (783, 1660)

    """
    return _tokens_for("r", r, (0.975, POWER), inflation)


def tokens_for_margin(margin: float, *, inflation: float = 1.0) -> int:
    """Return how many tokens show ``|r| < margin`` with 80 % power, by the 90 % interval, if the true correlation is 0.

    ``V ((z_0.95 + z_0.9) / atanh margin)^2 + 3``; arguments and errors as in `tokens_for_effect`.

    Examples
    --------
    >>> tokens_for_margin(0.1), tokens_for_margin(0.1, inflation=(1 + 0.36) / (1 - 0.36))
    (854, 1811)

    """
    return _tokens_for("margin", margin, (0.95, (1 + POWER) / 2), inflation)


def _tokens_for(name: str, size: float, probabilities: tuple[float, float], inflation: float) -> int:
    if not 1e-6 <= abs(size) < 1:
        raise ValueError(f"{name} must lie between 1e-6 and 1 in size, but {size} was given")
    if not 0 < inflation < math.inf:
        raise ValueError(f"inflation must be positive and finite, but {inflation} was given")
    reach = float(ndtri(probabilities[0]) + ndtri(probabilities[1]))
    return math.ceil(inflation * (reach / math.atanh(abs(size))) ** 2 + 3)
