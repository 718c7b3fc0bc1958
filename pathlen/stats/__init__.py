"""Statistics on measured columns, with intervals that respect that tokens are not independent.

NumPy and SciPy only: nothing here knows what a model is.

A `Statistic` is a number together with what its interval is made of: `Statistic.estimate` returns both, and two
statistics of the same tokens can be subtracted (`Statistic.minus`), which gives their paired contrast.

======================================== ================================ ==========================
constructor                              number                           scale of the interval
======================================== ================================ ==========================
`pearson`, `spearman`, `winsorised`      correlation within passages      Fisher's z
`partial`                                the same, given other columns    Fisher's z
`pooled_pearson`                         correlation over all rows        Fisher's z
`cliffs_delta`                           dominance within passages        Fisher's z
`mean`, `log_slope`                      mean; slope of log mean          as it is
`slope`                                  slope within passages            as it is
`ratio`, `head_cancellation`             sum over sum                     logarithm
`variation`                              standard deviation over mean     logarithm
`share`                                  share of true cells              logit
`largest_difference`, `largest_excess`,  the extreme of several           theirs, simultaneous
`strongest`
`estimator`                              a function of one's own           any of these
`largest`, `every`                       what holds of all that was seen  none: a census
======================================== ================================ ==========================

Which interval a statistic gets, and why, is said in `pathlen.stats.statistic`; how often such intervals cover is
measured by `pathlen.stats.calibration.simulation`. Beside them: `multiplicity` for several claims at once, `nulls` for "is there
any relation", `power` for what a text could have shown.
"""

from __future__ import annotations

from pathlen.stats.correlation import partial, pearson, pooled_pearson, slope, spearman, winsorised
from pathlen.stats.estimate import Estimate, Interval
from pathlen.stats.estimator import Estimator, detrended, estimator
from pathlen.stats.exact import every, largest
from pathlen.stats.means import cliffs_delta, head_cancellation, log_slope, mean, ratio, share, variation
from pathlen.stats.multiplicity import largest_difference, largest_excess, strongest
from pathlen.stats.statistic import Statistic

__all__ = [
    "Estimate",
    "Estimator",
    "Interval",
    "Statistic",
    "cliffs_delta",
    "detrended",
    "estimator",
    "every",
    "head_cancellation",
    "largest",
    "largest_difference",
    "largest_excess",
    "log_slope",
    "mean",
    "partial",
    "pearson",
    "pooled_pearson",
    "ratio",
    "share",
    "slope",
    "spearman",
    "strongest",
    "variation",
    "winsorised",
]
