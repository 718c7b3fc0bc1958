"""The scales on which intervals are made, and the way back from each.

On these scales the spread of a statistic hardly depends on its value, and an interval made there and carried
back can't leave the statistic's range: no correlation beyond one, no negative ratio, no share above 100 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

__all__ = ["SCALES", "Scale"]


Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone map of a statistic to the scale of its interval, and back.

    The ends of a scale lie at infinity, and what lies beyond them is NaN; both are asked for, neither is a mishap.
    """

    forth_and_back: tuple[Callable[[Array], Array], Callable[[Array], Array]]

    def there(self, value: float) -> float:
        """Return a value on the scale."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(self.forth_and_back[0](np.asarray(value)))

    def back(self, value: float) -> float:
        """Return a value of the scale as the statistic's own."""
        return float(self.all_back(np.asarray(value)))

    def all_back(self, values: Array) -> Array:
        """Return an array of the scale's values as the statistic's own."""
        with np.errstate(over="ignore"):
            return self.forth_and_back[1](values)


SCALES = {
    "identity": Scale((np.positive, np.positive)),
    "fisher z": Scale((np.arctanh, np.tanh)),
    "log": Scale((np.log, np.exp)),
    "logit": Scale((logit, expit)),
}
