"""Statistics of several statistics: the largest difference, the largest excess, the strongest.

Their intervals are simultaneous (`pathlen.stats.simultaneous`), so they hold although the extreme was picked by looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial as given
from itertools import combinations

import numpy as np

from pathlen.stats.base import REPLICATES, Statistic, cautions
from pathlen.stats.clusters import By
from pathlen.stats.estimate import Estimate
from pathlen.stats.inference import Bounds, Sampling
from pathlen.stats.registry import Kind, public_statistic
from pathlen.stats.simultaneous import simultaneous
from pathlen.stats.statistic import Smooth
from pathlen.stats.transforms import SCALES

__all__ = ["largest_difference", "largest_excess", "strongest"]


@public_statistic(
    number="largest difference between any two of several statistics",
    interval="theirs, simultaneous",
    sentence="sizes differ",
    named="largest difference",
    kind=Kind.LARGEST_DIFFERENCE,
    calibrated=True,
)
def largest_difference(statistics: Sequence[Statistic]) -> Statistic:
    """Return the largest difference between any two of several statistics, with an interval for the largest true one.

    Parameters
    ----------
    statistics : sequence of Statistic
        Two or more, of the same tokens and on the same scale: a correlation in each size, for example.

    Returns
    -------
    Statistic
        ``max |theta_i - theta_j|`` on the common scale. All differences have simultaneous intervals from the same
        resamples. When all of these hold, the largest true difference is at least the largest lower end of any
        ``|theta_i - theta_j|`` (or 0) and at most the largest upper end. An interval that excludes 0 is a test of "they
        are all the same" at its level. A narrow interval near 0 shows that they hardly differ, which a test of
        heterogeneity such as Cochran's Q can't show. Conservative where the truth is 0.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two, or they can't be contrasted.

    """
    if len(statistics) < 2:
        raise ValueError(f"a difference needs two statistics or more, but {len(statistics)} was given")
    name = f"largest difference between {len(statistics)} of {statistics[0].name}"
    contrasts = [statistic.minus(other) for statistic, other in combinations(statistics, 2)]
    return _Extreme(name=name, parts=list(map(_resampled, contrasts)), signed=False)


@public_statistic(
    number="largest of the differences between a statistic and others",
    interval="theirs, simultaneous",
    sentence="less than every other one",
    named="largest excess",
    kind=Kind.LARGEST_EXCESS,
)
def largest_excess(statistic: Statistic, others: Sequence[Statistic]) -> Statistic:
    """Return by how much a statistic exceeds the smallest of several others.

    Parameters
    ----------
    statistic : Statistic
        The one that may be special.
    others : sequence of Statistic
        The statistics that it is compared with; each may have several numbers side by side.

    Returns
    -------
    Statistic
        ``max_k (theta - theta_k)`` on the common scale: below 0 only if the statistic lies below *every* other one.
        The interval is simultaneous, as in `largest_difference`.

    Raises
    ------
    TypeError, ValueError
        If there is no other, or they can't be contrasted.

    """
    if not others:
        raise ValueError("a comparison needs at least one other statistic, but none was given")
    contrasts = [statistic.minus(other) for other in others]
    name = f"largest excess of {statistic.name} over the others'"
    return _Extreme(name=name, parts=list(map(_resampled, contrasts)), signed=True)


@public_statistic(
    number="largest, by size, of several numbers side by side",
    interval="theirs, simultaneous",
    sentence="the strongest (max-t over the same resamples: Westfall and Young, *Resampling-Based Multiple Testing*, Wiley 1993)",
)
def strongest(statistic: Statistic) -> Statistic:
    """Return the largest of several numbers side by side, by size, with an interval for the largest true one.

    ``max_k |theta_k|``, transformed back from the statistic's scale: for correlations, the strongest one of either sign.
    The interval is simultaneous, as in `largest_difference`.
    """
    return _Extreme(name=f"strongest {statistic.name}", parts=[_resampled(statistic)], signed=False)


def _resampled(statistic: Statistic) -> Smooth:
    if not isinstance(statistic, Smooth):
        raise TypeError(f"numbers are judged together from their resamples, but {statistic.name} has none")
    return statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extreme(Statistic):
    """The largest of several numbers, or of their absolute values if it is not ``signed``."""

    name: str
    parts: Sequence[Smooth]
    signed: bool

    @property
    def scale(self) -> str:  # type: ignore[override]
        """The scale of the parts."""
        return self.parts[0].scale

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the scale; an absolute value is never negative."""
        low, high = SCALES[self.scale].ends
        return (low if self.signed else SCALES[self.scale].back(0.0)), high

    @property
    def value(self) -> float:
        """The number; see `Statistic.value`."""
        values = np.concatenate([part.values() for part in self.parts])
        return SCALES[self.scale].back(float(np.max(values if self.signed else np.abs(values))))

    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return the largest number, with the largest ends of the simultaneous intervals as its interval."""
        together = simultaneous(self.parts, by=by, seed=seed, replicates=replicates)
        size = together.value if self.signed else np.abs(together.value)
        least = -np.inf if self.signed else 0.0
        back = SCALES[self.scale].back

        def ends(level: float) -> tuple[float, float]:
            reach = together.reach(level) * together.error
            return back(max(least, float(np.max(size - reach)))), back(float(np.max(size + reach)))

        complete = given(
            Estimate,
            statistic=self.name,
            n=self.parts[0].tokens,
            units=together.units,
            unit=together.unit,
            method="simultaneous intervals, studentised bootstrap",
            replicates=replicates,
            seed=seed,
            caution=cautions(*(part.caution for part in self.parts)),
        )
        return Bounds(value=back(float(size.max())), ends=ends, complete=complete, floor=1 / (len(together.scores) + 1))
