"""The power of an estimate in words: what its tokens could have shown, and how many tokens would decide."""

from __future__ import annotations

import math

from pathlen.claims.verdict import Region
from pathlen.stats.estimate import Estimate
from pathlen.stats.power import passages_in, smallest_effect, smallest_margin, tokens_to_decide
from pathlen.stats.registry import Kind
from pathlen.stats.transforms import SCALES

__all__ = ["crossed_edges", "detectable", "needed", "rounded_up"]

# What a value is called in a sentence, by the scale of its interval.
NAMES = {"fisher z": "an r", "identity": "a value", "log": "a ratio", "logit": "a share"}


def detectable(estimate: Estimate, region: Region) -> str:
    """Return in words what this many tokens could have shown; empty without a standard error.

    For a direction, that is the value nearest to its edge that 80 % power detects. For a margin, it is the tightest bounds
    around its middle that 80 % power shows.
    """
    scale = SCALES[estimate.scale]
    low, high = scale.there(region.low), scale.there(region.high)
    name = Kind.DOMINANCE.indefinite if estimate.kind is Kind.DOMINANCE else NAMES[estimate.scale]
    if math.isfinite(low) and math.isfinite(high):
        margin = smallest_margin(estimate)
        if margin is None:
            return ""
        lower, upper = (scale.back((low + high) / 2 + side * margin) for side in (-1, 1))
        return f"show {name} between {lower:.3g} and {upper:.3g} at best, four times in five"
    effect = smallest_effect(estimate)
    if effect is None:
        return ""
    if math.isfinite(low):
        return f"find {name} of {scale.back(low + effect):.3g} or more four times in five"
    if math.isfinite(high):
        return f"find {name} of {scale.back(high - effect):.3g} or less four times in five"
    return ""


def needed(estimate: Estimate, region: Region) -> str:
    """Return in words how many tokens would decide; empty if that is unknown or the interval crosses no edge."""
    counts = [tokens_to_decide(estimate, edge) for edge in crossed_edges(estimate, region)]
    tokens = max((count for count in counts if count is not None), default=None)
    if tokens is None:
        return ""
    passages = passages_in(tokens, estimate)
    in_passages = f" in {passages:,} such passages" if passages else ""
    return f"about {rounded_up(tokens):,}{in_passages} would decide, were the value what it seems"


def crossed_edges(estimate: Estimate, region: Region) -> list[float]:
    """Return the edges of a region that lie in an estimate's interval: those that leave its claim undecided."""
    return [edge for edge in (region.low, region.high) if estimate.low <= edge <= estimate.high]


def rounded_up(number: int) -> int:
    """Return a count rounded up to two significant digits.

    Examples
    --------
    >>> rounded_up(6163), rounded_up(7)
    (6200, 7)

    """
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit
