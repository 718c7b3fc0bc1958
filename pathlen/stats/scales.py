"""The scales on which intervals are made, and the way back from each.

On these scales the spread of a statistic hardly depends on its value, and an interval made there and carried
back can't leave the statistic's range: no correlation beyond one, no negative ratio, no share above 100 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

__all__ = ["SCALES", "Scale"]


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone map of a statistic to the scale of its interval, and back."""

    there: Callable[[float], float]
    back: Callable[[float], float]


def _quiet(function: Callable[[float], float]) -> Callable[[float], float]:
    """The ends of a scale lie at infinity, and what lies beyond them is NaN; both are asked for, neither is a mishap."""

    def quietly(value: float) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(function(value))

    return quietly


SCALES = {
    "identity": Scale(float, float),
    "fisher z": Scale(_quiet(np.arctanh), _quiet(np.tanh)),
    "log": Scale(_quiet(np.log), _quiet(np.exp)),
    "logit": Scale(_quiet(logit), _quiet(expit)),
}
