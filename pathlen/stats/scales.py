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


SCALES = {
    "identity": Scale(float, float),
    "fisher z": Scale(lambda value: float(np.arctanh(value)), lambda value: float(np.tanh(value))),
    "log": Scale(lambda value: float(np.log(value)), lambda value: float(np.exp(value))),
    "logit": Scale(lambda value: float(logit(value)), lambda value: float(expit(value))),
}
