"""Several statistics or claims judged at once.

============== ==================================================================================================
`holm`         p-values of different claims whose dependence is unknown
`simultaneous` many statistics of the same tokens (48 steps, 200 universes): intervals and p-values come from the
               largest score over all of them in each resample, which takes account of their dependence
============== ==================================================================================================

Claims about "all sizes" need no correction: see `pathlen.claims.verdict.combined`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array
from pathlen.stats.base import REPLICATES
from pathlen.stats.clusters import FEWEST_PASSAGES, By
from pathlen.stats.inference import Resampled
from pathlen.stats.statistic import Smooth

__all__ = ["Simultaneous", "blended", "holm", "simultaneous"]


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
        The statistics and their standard errors, on the scale.
    scores : ndarray, shape (replicates, cells)
        Of the resamples; each cell has the distribution that its own interval would use.
    units : int
        Number of units that were resampled.
    unit : str
        What they are.

    """

    value: Array
    error: Array
    scores: Array
    units: int
    unit: str

    def intervals(self, level: float = 0.95) -> Array:
        """Return intervals that all contain their true values with this probability, ``(2, cells)``, on the scale."""
        reach = self.reach(level) * self.error
        return np.stack([self.value - reach, self.value + reach])

    def reach(self, level: float) -> float:
        """Return the half-width of the intervals in standard errors: the quantile of the largest absolute score."""
        return float(np.quantile(np.abs(self.scores).max(axis=1), level, method="weibull"))

    def p_values(self, null: float = 0.0) -> Array:
        """Return two-sided p-values for a true value of ``null`` in every cell, adjusted by step-down max-T, ``(cells,)``.

        The chance of any false rejection among all cells stays at its level under any dependence. The smallest possible
        p-value is ``1 / (replicates + 1)``.

        References
        ----------
        Westfall and Young, "Resampling-based multiple testing", Wiley 1993, algorithm 4.1.

        """
        observed = np.abs(self.value - null) / self.error
        order = np.argsort(-observed)
        # The largest score of a cell and of all cells that are less extreme.
        largest = np.maximum.accumulate(np.abs(self.scores[:, order[::-1]]), axis=1)[:, ::-1]
        at_least = np.count_nonzero(largest >= observed[order], axis=0)
        adjusted = np.empty_like(observed)
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
        As in `Statistic.estimate`; where passages are too few to resample, blocks are resampled.

    Raises
    ------
    ValueError
        If no statistic is given, or they are of different tokens.
    UndefinedEstimate
        As in `Statistic.estimate`.

    """
    if not statistics:
        raise ValueError("simultaneous needs at least one statistic, but none was given")
    passages = statistics[0].passages
    for statistic in statistics[1:]:
        if not passages.same_rows(statistic.passages):
            raise ValueError(f"simultaneous needs statistics of the same tokens, but {statistic.name} is of others")
    if by is None and passages.count < FEWEST_PASSAGES:
        by = "blocks"
    # All need the same block length to share resamples: the longest that any of them needs.
    block = max(statistic.block_length() for statistic in statistics) if by == "blocks" else None
    parts = [statistic.resampled(by=by, seed=seed, replicates=replicates, block=block) for statistic in statistics]
    return Simultaneous(
        value=np.concatenate([part.value for part in parts]),
        error=np.concatenate([part.error for part in parts]),
        scores=blended(parts),
        units=parts[0].units.count,
        unit=parts[0].units.name,
    )


def blended(resampled: Sequence[Resampled]) -> Array:
    """Return all scores side by side, each column's values replaced by those of its pivot, rank by rank.

    Raises
    ------
    UndefinedEstimate
        If more than a tenth of the resamples have no score.

    """
    columns = np.concatenate([part.scores for part in resampled if part.scores is not None], axis=1)
    usable = columns[np.isfinite(columns).all(axis=1)]
    if len(usable) < 0.9 * len(columns):
        raise UndefinedEstimate(f"{len(columns) - len(usable)} of {len(columns)} resamples are degenerate")
    order = np.argsort(np.ascontiguousarray(usable.T), axis=1)
    scores: Array = np.empty_like(usable)
    cells = [(part, cell) for part in resampled for cell in range(len(part.value))]
    for column, ((part, cell), ranking) in enumerate(zip(cells, order, strict=True)):
        pivot = part.pivot(cell).sorted
        assert pivot is not None  # noqa: S101  # there are scores, as these were resampled
        if len(pivot) != len(usable):
            # A pivot leaves out scores that are infinite or too large in this column only, and keeps others' resamples.
            pivot = np.interp(np.linspace(0, len(pivot) - 1, len(usable)), np.arange(len(pivot)), pivot)
        scores[ranking, column] = pivot
    return scores
