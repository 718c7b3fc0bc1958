"""Statistics on measured columns, with intervals that allow for the dependence between tokens.

Computes with NumPy and SciPy only; nothing here knows about models.

A `Statistic` is a number together with what its interval is made from: `Statistic.estimate` returns both. Two statistics of
the same tokens can be subtracted (`Statistic.minus`), which gives their paired contrast.

All public statistics are registered in `pathlen.stats.registry`; each lives in one of the modules imported below, whose
``__all__`` holds nothing else. `pathlen.stats.statistic` says which interval a statistic gets, and why.
`pathlen.stats.calibration` counts how often such intervals cover. Beside them: `simultaneous` for several claims at once,
`permutation` for "is there any relation", `power` for what a text could have shown.
"""

from __future__ import annotations

from pathlen.stats.base import Statistic
from pathlen.stats.correlation import *
from pathlen.stats.estimate import Estimate, Interval
from pathlen.stats.estimator import Estimator, detrended
from pathlen.stats.estimator import estimator as estimator
from pathlen.stats.facts import *
from pathlen.stats.means import *
from pathlen.stats.multiplicity import *
from pathlen.stats.registry import public_names

__all__ = ["Estimate", "Estimator", "Interval", "Statistic", "detrended", *public_names()]  # noqa: PLE0604
