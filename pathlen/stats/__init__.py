"""Statistics on measured columns, with intervals that respect that tokens are not independent.

NumPy and SciPy only: nothing here knows what a model is.

A `Statistic` is a number together with the sums it is made of, one row of sums per resampling unit. From those
alone come its value, its standard error and its bootstrap interval (`Statistic.estimate`), and two statistics
on the same units can be subtracted (`Statistic.minus`), which gives their paired contrast.

======================= ============================================ ==========================
constructor             number                                       scale of the interval
======================= ============================================ ==========================
`pearson`               correlation within passages                  Fisher's z
`spearman`              the same of ranks within passages            Fisher's z
`ratio`                 sum over sum                                 logarithm
`share`                 share of true cells                          logit
`log_slope`             slope of log mean over blocks                as it is
`largest`, `every`      what holds of every token measured           none: a census
======================= ============================================ ==========================

Which units are resampled is decided in `units`, how in `bootstrap`; each says why in its docstring.
"""

from __future__ import annotations

from pathlen.stats.bootstrap import Statistic
from pathlen.stats.columns import every, largest, log_slope, pearson, ratio, share, spearman
from pathlen.stats.estimate import Estimate
from pathlen.stats.units import Units, resampling_units

__all__ = [
    "Estimate",
    "Statistic",
    "Units",
    "every",
    "largest",
    "log_slope",
    "pearson",
    "ratio",
    "resampling_units",
    "share",
    "spearman",
]
