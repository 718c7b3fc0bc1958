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

__all__ = ["SCALES", "Transform"]


Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transform:
    """A monotone map of a statistic to the scale of its interval, and back.

    ``ends`` are the least and the largest value that the statistic can have; they lie at infinity on the scale.
    """

    forth_and_back: tuple[Callable[[Array], Array], Callable[[Array], Array]]
    ends: tuple[float, float]

    def there(self, value: float) -> float:
        """Return a value on the scale; one beyond the ends is at infinity, too."""
        with np.errstate(divide="ignore"):
            return float(self.forth_and_back[0](np.clip(value, *self.ends)))

    def back(self, value: float) -> float:
        """Return a value of the scale as the statistic's own."""
        return float(self.all_back(np.asarray(value)))

    def all_back(self, values: Array) -> Array:
        """Return an array of the scale's values as the statistic's own."""
        with np.errstate(over="ignore"):
            return self.forth_and_back[1](values)


SCALES = {
    "identity": Transform((np.positive, np.positive), (-np.inf, np.inf)),
    "fisher z": Transform((np.arctanh, np.tanh), (-1.0, 1.0)),
    "log": Transform((np.log, np.exp), (0.0, np.inf)),
    "logit": Transform((logit, expit), (0.0, 1.0)),
}
