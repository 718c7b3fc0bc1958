"""Statistics on measured columns, with intervals that respect that tokens are not independent.

NumPy and SciPy only: nothing here knows what a model is.

A `Statistic` is a number together with the sums it is made of, one row of sums per resampling unit. From those
alone come its value, its standard error and its bootstrap interval (`Statistic.estimate`), and two statistics
on the same units can be subtracted (`Statistic.minus`), which gives their paired contrast.

======================================== ================================ ==========================
constructor                              number                           scale of the interval
======================================== ================================ ==========================
`pearson`, `spearman`, `winsorised`      correlation within passages      Fisher's z
`partial`                                the same, given other columns    Fisher's z
`pooled_pearson`                         correlation over all rows        Fisher's z
`cliffs_delta`                           dominance within passages        Fisher's z
`mean`, `log_slope`                      mean; slope of log mean          as it is
`ratio`                                  sum over sum                     logarithm
`share`                                  share of true cells              logit
`largest`, `every`                       what holds of all that was seen  none: a census
======================================== ================================ ==========================

Which units are resampled is decided in `units`, how in `bootstrap`; each says why in its docstring.
"""

from __future__ import annotations

from pathlen.stats.bootstrap import Statistic
from pathlen.stats.census import every, largest
from pathlen.stats.correlation import partial, pearson, pooled_pearson, spearman, winsorised
from pathlen.stats.estimate import Estimate
from pathlen.stats.means import cliffs_delta, log_slope, mean, ratio, share
from pathlen.stats.units import Units, resampling_units

__all__ = [
    "Estimate",
    "Statistic",
    "Units",
    "cliffs_delta",
    "every",
    "largest",
    "log_slope",
    "mean",
    "partial",
    "pearson",
    "pooled_pearson",
    "ratio",
    "resampling_units",
    "share",
    "spearman",
    "winsorised",
]
