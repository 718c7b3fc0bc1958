"""Several claims, steps or sizes at once.

======================== ==============================================================================================
`holm`                   p-values of different claims, nothing known of how they depend on each other
`simultaneous`           many statistics of the same tokens (48 steps, 200 universes): the largest score over all of them in
                         each resample is the yardstick, so that their dependence is used and not paid for
`largest_difference`     whether several sizes differ at all, and by how much
`largest_excess`         whether one statistic lies below every other one
`strongest`              how strong the strongest of several relations is
"all sizes" claims       need no correction: see `pathlen.claims.verdict.combined`
======================== ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial as given
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathlen.errors import UndefinedEstimate
from pathlen.stats.clusters import By
from pathlen.stats.estimate import Estimate
from pathlen.stats.inference import Bounds, Sampling
from pathlen.stats.statistic import FEWEST_PASSAGES, REPLICATES, Resampled, Smooth, Statistic, cautions
from pathlen.stats.transforms import SCALES

__all__ = ["Simultaneous", "blended", "holm", "largest_difference", "largest_excess", "simultaneous", "strongest"]

Array = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Array:
    """Return p-values adjusted so that the chance of any false rejection among them stays at its level.

    Raises
    ------
    ValueError
        If a p-value does not lie from 0 to 1.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979), 65-70.

    """
    from statsmodels.stats.multitest import multipletests  # takes most of a second to import

    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p-values must lie from 0 to 1, but {values.tolist()} were given")
    adjusted: Array = multipletests(values, method="holm")[1] if values.size else values
    return adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Simultaneous:
    """Statistics on their scale, judged together.

    Attributes
    ----------
    value, error : ndarray, shape (cells,)
        On the scale.
    scores : ndarray, shape (replicates, cells)
        Of the resamples, each cell's own distribution as its interval would use it.
    units, unit : int and str
        What was resampled, and how many there were.

    """

    value: Array
    error: Array
    scores: Array
    units: int
    unit: str

    def intervals(self, level: float = 0.95) -> Array:
        """Return intervals all of which hold their truth at once with this probability, ``(2, cells)``, on the scale."""
        reach = self.reach(level) * self.error
        return np.stack([self.value - reach, self.value + reach])

    def reach(self, level: float) -> float:
        """Return how many standard errors the intervals reach: the quantile of the largest absolute score."""
        return float(np.quantile(np.abs(self.scores).max(axis=1), level, method="weibull"))

    def p_values(self, null: float = 0.0) -> Array:
        """Return two-sided p-values of every cell's truth being ``null``, adjusted by step-down max-T, ``(cells,)``.

        The chance of any false rejection among all cells stays at its level, whatever their dependence; the smallest
        possible one is ``1 / (replicates + 1)``.

        References
        ----------
        Westfall and Young, "Resampling-based multiple testing", Wiley 1993, algorithm 4.1.

        """
        found = np.abs(self.value - null) / self.error
        order = np.argsort(-found)
        # The largest of a cell's own score and those of all cells that are less extreme than it.
        largest = np.maximum.accumulate(np.abs(self.scores[:, order[::-1]]), axis=1)[:, ::-1]
        at_least = np.count_nonzero(largest >= found[order], axis=0)
        adjusted = np.empty_like(found)
        adjusted[order] = np.maximum.accumulate((at_least + 1) / (len(self.scores) + 1))
        return adjusted


def simultaneous(
    statistics: Sequence[Smooth], *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES
) -> Simultaneous:
    """Return statistics of the same tokens, judged together from the same resamples.

    Parameters
    ----------
    statistics : sequence of Smooth
        Each may have several numbers side by side.
    by, seed, replicates
        As in `Statistic.estimate`; where passages are too few to resample, blocks are.

    Raises
    ------
    ValueError
        If there is none, or they are of different tokens.
    UndefinedEstimate
        As in `Statistic.estimate`.

    """
    if not statistics:
        raise ValueError("simultaneous needs at least one statistic, but none was given")
    first = statistics[0].passages
    for one in statistics[1:]:
        if not first.same_rows(one.passages):
            raise ValueError(f"simultaneous needs statistics of the same tokens, but {one.name} is of others")
    if by is None and first.count < FEWEST_PASSAGES:
        by = "blocks"
    # One length for all of them, or they could not share resamples: the longest that any needs.
    block = max(one.block_length() for one in statistics) if by == "blocks" else None
    found = [one.resampled(by=by, seed=seed, replicates=replicates, block=block) for one in statistics]
    return Simultaneous(
        value=np.concatenate([one.value for one in found]),
        error=np.concatenate([one.error for one in found]),
        scores=blended(found),
        units=found[0].units.count,
        unit=found[0].units.name,
    )


def blended(found: Sequence[Resampled]) -> Array:
    """Return all scores side by side, each column's values replaced by those of its pivot, rank by rank.

    Raises
    ------
    UndefinedEstimate
        If more than a tenth of the resamples have no score.

    """
    columns = np.concatenate([one.scores for one in found if one.scores is not None], axis=1)
    usable = columns[np.isfinite(columns).all(axis=1)]
    if len(usable) < 0.9 * len(columns):
        raise UndefinedEstimate(f"{len(columns) - len(usable)} of {len(columns)} resamples are degenerate")
    order = np.argsort(np.ascontiguousarray(usable.T), axis=1)
    blended: Array = np.empty_like(usable)
    cells = [(one, cell) for one in found for cell in range(len(one.value))]
    for place, ((one, cell), rising) in enumerate(zip(cells, order, strict=True)):
        pivot = one.pivot(cell).sorted
        assert pivot is not None  # noqa: S101  # resampled, so there are scores
        if len(pivot) != len(
            usable
        ):  # a column may have a few scores more than all together, or less that are not endless
            pivot = np.interp(np.linspace(0, len(pivot) - 1, len(usable)), np.arange(len(pivot)), pivot)
        blended[rising, place] = pivot
    return blended


def largest_difference(statistics: Sequence[Statistic]) -> Statistic:
    """Return the largest difference between any two of several statistics, with an interval for the largest true one.

    Parameters
    ----------
    statistics : sequence of Statistic
        Two or more, of the same tokens and on one scale: a correlation in each size, for example.

    Returns
    -------
    Statistic
        ``max |theta_i - theta_j|`` on the common scale. All differences have simultaneous intervals from the same
        resamples; at once with their level, the largest true difference is at least the largest lower end of any
        ``|theta_i - theta_j|`` (or 0) and at most the largest upper end. An interval that leaves out 0 is a test of
        "they are all the same" at its level, and one that stays small shows that they hardly differ, which a test of
        heterogeneity such as Cochran's Q never could. Conservative where the truth is 0.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two, or they can't be contrasted.

    """
    if len(statistics) < 2:
        raise ValueError(f"a difference needs two statistics or more, but {len(statistics)} was given")
    name = f"largest difference between {len(statistics)} of {statistics[0].name}"
    pairs = [one.minus(other) for one, other in combinations(statistics, 2)]
    return _Extreme(name=name, parts=pairs, signed=False)


def largest_excess(statistic: Statistic, others: Sequence[Statistic]) -> Statistic:
    """Return by how much a statistic exceeds the smallest of others, at most: the largest of its differences from them.

    Parameters
    ----------
    statistic : Statistic
        The one that is special, if anything is.
    others : sequence of Statistic
        What it is compared with; each may have several numbers side by side.

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
    parts = [statistic.minus(other) for other in others]
    return _Extreme(name=f"largest excess of {statistic.name} over the others'", parts=parts, signed=True)


def strongest(statistic: Statistic) -> Statistic:
    """Return the largest of several numbers side by side, in size, with an interval for the largest true one.

    ``max_k |theta_k|``, carried back from the statistic's scale: for correlations, the strongest one, whichever its sign.
    The interval is simultaneous, as in `largest_difference`.
    """
    if not isinstance(statistic, Smooth):
        raise TypeError(f"numbers are judged together from their resamples, but {statistic.name} has none")
    return _Extreme(name=f"strongest {statistic.name}", parts=[statistic], signed=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extreme(Statistic):
    """The largest of several numbers, or of their sizes where it is not ``signed``."""

    name: str
    parts: Sequence[Smooth]
    signed: bool

    @property
    def scale(self) -> str:  # type: ignore[override]
        """The scale of the parts."""
        return self.parts[0].scale

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the scale; a size is never negative."""
        low, high = SCALES[self.scale].ends
        return (low if self.signed else SCALES[self.scale].back(0.0)), high

    @property
    def value(self) -> float:
        """The number as `Statistic.value` says."""
        found = np.concatenate([part.values() for part in self.parts])
        return SCALES[self.scale].back(float(np.max(found if self.signed else np.abs(found))))

    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return the largest, with the largest ends of simultaneous intervals for its own."""
        together = simultaneous(self.parts, by=by, seed=seed, replicates=replicates)
        size = together.value if self.signed else np.abs(together.value)
        least = -np.inf if self.signed else 0.0
        back = SCALES[self.scale].back

        def ends(level: float) -> tuple[float, float]:
            reach = together.reach(level) * together.error
            return back(max(least, float(np.max(size - reach)))), back(float(np.max(size + reach)))

        blank = given(
            Estimate,
            statistic=self.name,
            n=self.parts[0].tokens,
            units=together.units,
            unit=together.unit,
            method="simultaneous intervals, studentised bootstrap",
            replicates=replicates,
            seed=seed,
            caution=cautions(*(one.caution for one in self.parts)),
        )
        return Bounds(value=back(float(size.max())), ends=ends, blank=blank, floor=1 / (len(together.scores) + 1))
