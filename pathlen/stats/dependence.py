"""How strongly neighbouring tokens depend on each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["lag_one"]


def lag_one(column: ArrayLike, *, passage: ArrayLike) -> float | None:
    """Return the lag-one autocorrelation of a column within passages; None if it is constant there.

    ``sum_t d_t d_(t+1) / sum_t d_t^2`` with deviations ``d`` from each passage's own mean, products never
    reaching across two passages.

    Examples
    --------
    >>> lag_one([1.0, -1.0, 1.0, -1.0], passage=[0, 0, 0, 0])
    -0.75

    """
    values, label = np.asarray(column, dtype=np.float64), np.asarray(passage)
    products = total = 0.0
    for one in np.unique(label):
        deviation = values[label == one] - values[label == one].mean()
        products += float(deviation[:-1] @ deviation[1:])
        total += float(deviation @ deviation)
    return products / total if total > 0 else None
