"""Is there any relation at all? Reference distributions that keep what tokens of a text share.

Permuting tokens assumes that they could have come in any order, and rejects a true null in 18 % of cases at an
autocorrelation of 0.6 and in half of them at 0.9. Two ways keep the order inside each column:

- `circularly_shifted`: one column is moved along its own passage, round its end, by an amount drawn anew for each passage;
- `exchanged`: one column comes from another passage, position by position, cut to the shorter of the two.

Positions' trends are taken out first, the one thing a shift would destroy. Scores are studentised, because two columns may
be uncorrelated and still depend on each other (large values come together), and the plain correlation of circularly_shifted columns
is too narrow for that. The shift is the same for all columns of ``x``, so the largest score over them is a
yardstick for all of them. Pairings are drawn from all there are, the observed one among them, and a p-value is
``(b + 1) / (m + 1)``: never 0, and with few passages never small, because there are few pairings.

These say whether there is a relation. Its size, and whether it is about zero, is a matter of intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pathlen.errors import UndefinedEstimate
from pathlen.stats.autocorrelation import long_run_variance
from pathlen.stats.clusters import Passages, checked, checked_trend, is_rounding
from pathlen.stats.correlation import fisher_gradient, fisher_z
from pathlen.stats.statistic import FEWEST_PASSAGES

__all__ = ["Null", "circularly_shifted", "exchanged"]

Array = NDArray[np.float64]

DRAWS = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """A score and what it is when there is no relation.

    Attributes
    ----------
    observed : ndarray, shape (cells,)
        Fisher's z of the correlation over its standard error.
    scores : ndarray, shape (draws, cells)
        The same for every pairing that was drawn.

    """

    observed: Array
    scores: Array

    @property
    def p_values(self) -> Array:
        """Two-sided, each cell for itself, shape ``(cells,)``."""
        at_least: Array = np.count_nonzero(np.abs(self.scores) >= np.abs(self.observed), axis=0)
        return (at_least + 1) / (len(self.scores) + 1)

    @property
    def joint_p_values(self) -> Array:
        """Two-sided, against the largest score over all cells: the chance of any false alarm stays at its level."""
        largest = np.abs(self.scores).max(axis=1, keepdims=True)
        at_least: Array = np.count_nonzero(largest >= np.abs(self.observed), axis=0)
        return (at_least + 1) / (len(self.scores) + 1)


def circularly_shifted(
    x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, trend: int = 1, draws: int = DRAWS, seed: int = 0
) -> Null:
    """Return the null distribution from circular shifts inside passages.

    Parameters
    ----------
    x : array_like, shape (rows,) or (cells, rows)
        One value per token.
    y : array_like, shape (rows,)
        The column that is circularly_shifted.
    passage : array_like, shape (rows,)
        The passage of each row.
    trend : int
        As in `pathlen.stats.pearson`.
    draws : int
        Pairings drawn, at least 99. A single passage has only ``n - 1`` shifts; no more than these are drawn, each once.
    seed : int
        Of the draws.

    Raises
    ------
    ValueError
        If columns differ in length, or ``draws`` is too few.
    UndefinedEstimate
        If a column holds nothing but mean and trend, or the text is too short for 99 shifts.

    """
    passages, one, two = _prepared(x, y, passage, trend, draws)
    draw = np.random.default_rng(seed)
    lengths = passages.lengths
    if passages.count == 1:
        moves = 1 + draw.permutation(lengths[0] - 1)[:draws, None]
    else:
        moves = draw.integers(0, lengths, size=(draws, passages.count))
    pairings = float(np.prod(lengths.astype(np.float64)))
    if pairings < 100:
        raise UndefinedEstimate(
            f"a null of shifts needs at least 100 pairings, but {passages.rows} tokens in {passages.count} passages have "
            f"{pairings:.0f}"
        )
    moves = np.vstack([np.zeros((1, passages.count), int), moves])
    if passages.count >= FEWEST_PASSAGES:
        crossed = np.empty((len(one), passages.count, len(moves)))
        for place, rows in enumerate(passages.slices):
            n = lengths[place]
            spectrum = np.fft.rfft(one[:, rows]) * np.conj(np.fft.rfft(two[rows]))
            crossed[:, place] = np.fft.irfft(spectrum, n)[:, moves[:, place] % n]
        own = passages.sums(one**2)[:, :, None]
        other = passages.sums(two**2)[:, None]
        scores = _between(np.moveaxis(np.stack(np.broadcast_arrays(crossed, own, other)), 2, -1))
    else:
        scores = np.stack([_alone(one, _rolled(two, move, passages), passages) for move in moves])
    return Null(observed=scores[0], scores=scores[1:])


def exchanged(
    x: ArrayLike, y: ArrayLike, *, passage: ArrayLike, trend: int = 1, draws: int = DRAWS, seed: int = 0
) -> Null:
    """Return the null distribution from pairing passages' ``x`` with one another's ``y``; see `circularly_shifted`.

    Raises
    ------
    UndefinedEstimate
        If there are fewer than five passages, besides what `circularly_shifted` refuses.

    """
    passages, one, two = _prepared(x, y, passage, trend, draws)
    count = passages.count
    if count < FEWEST_PASSAGES:
        raise UndefinedEstimate(f"exchanging passages needs at least {FEWEST_PASSAGES}, but {count} were given")
    sums = np.empty((3, len(one), count, count))
    for i, mine in enumerate(passages.slices):
        for j, theirs in enumerate(passages.slices):
            n = min(mine.stop - mine.start, theirs.stop - theirs.start)
            a, b = one[:, mine][:, :n], two[theirs][:n]
            sums[:, :, i, j] = a @ b, np.sum(a**2, axis=1), np.full(len(one), b @ b)
    draw = np.random.default_rng(seed)
    pairings = [np.arange(count)]
    pairings += [draw.permutation(count) for _ in range(draws)]
    chosen = sums[:, :, np.arange(count), np.stack(pairings)]  # (3, cells, draws + 1, passages)
    scores = _between(chosen)
    return Null(observed=scores[0], scores=scores[1:])


def _prepared(x: ArrayLike, y: ArrayLike, passage: ArrayLike, trend: int, draws: int) -> tuple[Passages, Array, Array]:
    if draws < 99:
        raise ValueError(f"draws must be at least 99, but {draws} was given")
    checked_trend(trend)
    passages, (one, two) = checked(passage, x=np.atleast_2d(np.asarray(x)), y=y)
    left = [passages.detrended(column, trend) for column in (one, two)]
    for label, column, given in zip("xy", left, (one, two), strict=True):
        if is_rounding(column.std(axis=-1), given):
            raise UndefinedEstimate(f"column {label} holds nothing but a trend within every passage")
    return passages, left[0], left[1]


def _between(sums: Array) -> Array:
    """Return scores ``(draws, cells)`` from sums of products ``(3, cells, draws, passages)``, studentised between passages."""
    total, count = sums.sum(axis=-1), sums.shape[-1]
    influence = np.einsum("k...,k...p->...p", fisher_gradient(total), sums)
    error = np.sqrt(count / (count - 1) * np.sum(influence**2, axis=-1))
    scores: Array = (fisher_z(total) / error).T
    return scores


def _alone(x: Array, y: Array, passages: Passages) -> Array:
    """Return scores ``(cells,)`` studentised by the long-run variance."""
    products = np.stack(np.broadcast_arrays(x * y, x**2, y**2))
    total = products.sum(axis=-1)
    variance, _ = long_run_variance(np.einsum("k...,k...n->...n", fisher_gradient(total), products), passages)
    scores: Array = fisher_z(total) / np.sqrt(variance)
    return scores


def _rolled(column: Array, move: NDArray[np.intp], passages: Passages) -> Array:
    return np.concatenate([np.roll(column[rows], one) for rows, one in zip(passages.slices, move, strict=True)])
