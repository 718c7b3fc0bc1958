"""The scales on which intervals are made, and the transforms to them and back.

On these scales the spread of a statistic hardly depends on its value. An interval made there and transformed back can't
leave the statistic's range: no correlation beyond 1, no negative ratio, no share above 100 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from pathlen.stats.arrays import Array

__all__ = ["SCALES", "Transform"]


@dataclass(frozen=True, slots=True)
class Transform:
    """A monotone map of a statistic to the scale of its interval, and its inverse.

    ``ends`` are the smallest and the largest value that the statistic can have; on the scale they are infinite.
    """

    forth_and_back: tuple[Callable[[Array], Array], Callable[[Array], Array]]
    ends: tuple[float, float]

    def there(self, value: float) -> float:
        """Return a value on the scale; a value beyond the ends is infinite there, too."""
        with np.errstate(divide="ignore"):
            return float(self.forth_and_back[0](np.clip(value, *self.ends)))

    def back(self, value: float) -> float:
        """Return a value given on the scale as the statistic's value."""
        return float(self.all_back(np.asarray(value)))

    def all_back(self, values: Array) -> Array:
        """Return an array of values given on the scale as the statistic's values."""
        with np.errstate(over="ignore"):
            return self.forth_and_back[1](values)


SCALES = {
    "identity": Transform((np.positive, np.positive), (-np.inf, np.inf)),
    "fisher z": Transform((np.arctanh, np.tanh), (-1.0, 1.0)),
    "log": Transform((np.log, np.exp), (0.0, np.inf)),
    "logit": Transform((logit, expit), (0.0, 1.0)),
}
