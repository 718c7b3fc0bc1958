"""Smooth functions of totals over tokens, and which interval they get.

A `Smooth` statistic is a function ``g`` of totals, ``theta = g(M)``, where ``M`` is the sum over tokens of a column of
moments. ``g`` is given on a scale where its spread hardly depends on its value (Fisher's z for correlations, the logarithm
for ratios, the logit for shares), together with its gradient. A token's influence is ``psi = grad g(M) . m``. No ``g`` here
changes when all totals are multiplied by a number, so influences sum to zero (Euler). They give the standard error, and one
of these intervals:

================ =========================================================================================================
five passages or Whole passages are resampled and the interval is studentised, ``theta - q(t*) se`` with
more             ``t* = (theta* - theta) / se*``. With a dozen units the percentile interval covers 83 to 92 % instead of
                 95, because it ignores the uncertainty of the spread itself. Quantiles are averaged with Student's; the
                 reason is given in `pathlen.stats.inference.Pivot.blended`. Only the variance *between* passages enters,
                 so tokens of a passage may depend on each other in any way.
fewer            Nothing is resampled. The tokens' influences are a time series; its variance allows for serial dependence
                 (`pathlen.stats.autocorrelation.long_run_variance`), and its quantiles are Student's. Such an interval is
                 about *these texts* being continued, not about other texts; the unit, "texts", says so wherever the number
                 is shown.
``by="blocks"``  On request: blocks of neighbouring tokens are resampled, studentised, of a length that suits the
                 influences (`pathlen.stats.autocorrelation.block_length`). The second choice for a single text, because
                 the interval depends on the block length.
``by="tokens"``  On request, and labelled as such: tokens are resampled as if they were independent, which they are not.
================ =========================================================================================================

References
----------
Hall, "The Bootstrap and Edgeworth Expansion", Springer 1992, section 3.5 (studentised intervals);
Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69 (2007), 369-390.

"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from functools import partial as given

import numpy as np

from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array
from pathlen.stats.autocorrelation import block_length, long_run_variance, pooled_lag_one
from pathlen.stats.base import REPLICATES, Statistic, cautions, checked_draws, no_contrast
from pathlen.stats.clusters import FEWEST_PASSAGES, By, Passages, Units, resampling_units
from pathlen.stats.estimate import Estimate
from pathlen.stats.inference import Resampled, Sampling, Studentised
from pathlen.stats.resampling import counts, replicated, studentised
from pathlen.stats.transforms import SCALES

__all__ = ["FEWEST_PASSAGES", "FEWEST_TOKENS", "REPLICATES", "Resampled", "Smooth", "Statistic"]

FEWEST_TOKENS = 100  # eight cosine terms; with fewer, Student's quantiles become very wide
STRONG_DEPENDENCE = 0.2  # of influences; two series of AR(1) 0.6 have 0.36, of 0.3 have 0.09
SERIES_CAUTION = "tokens depend on each other so strongly that 95 % intervals of a single text covered as little as 92.5 % in simulations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth(Statistic):
    """A smooth function of totals over tokens; see the module's docstring.

    Attributes
    ----------
    name : str
        In words, for readers.
    moments : ndarray, shape (moments, rows) or (moments, cells, rows)
        What each token adds to the totals, for one number or for several side by side.
    function : callable
        From totals ``(moments, ...)`` to the statistic ``(...)`` on ``scale``; unchanged when totals are multiplied.
    gradient : callable
        From totals ``(moments, ...)`` to the partial derivatives ``(moments, ...)`` of ``function``.
    scale : str
        A key of `pathlen.stats.transforms.SCALES`.
    passages : Passages
        Where the rows belong.
    sways : callable or None
        Returns how the totals change if a token is drawn once more, in the shape of moments, for statistics where that
        differs from the token's moments: a token also moves the ranks of others. None where it is the moments.
    reranked : callable or None
        From how often each token is drawn, ``(replicates, rows)``, to the statistic on its scale, ``(replicates, cells)``,
        for statistics where a token's moments depend on which others are drawn.
    n : int
        Number of tokens that the statistic is about; 0 for all rows.
    caution : str
        Says where its intervals are known to cover too rarely.

    """

    name: str
    moments: Array
    function: Callable[[Array], Array]
    gradient: Callable[[Array], Array]
    scale: str
    passages: Passages
    sways: Callable[[], Array] | None = None
    reranked: Callable[[Array], Array] | None = None
    n: int = 0
    caution: str = ""

    @property
    def value(self) -> float:
        """The number; see `Statistic.value`. Errors are those of `estimate`."""
        if self.moments.ndim == 3:
            raise ValueError(f"{self.name} has {self._cells} numbers side by side, so none is its value")
        return SCALES[self.scale].back(float(self.values()[0]))

    @property
    def _cells(self) -> int:
        return self.moments.shape[1] if self.moments.ndim == 3 else 1

    @property
    def tokens(self) -> int:
        """Number of tokens that the statistic is about: all rows by default."""
        return self.n or self.passages.rows

    def influences(self) -> Array:
        """Return each token's influence on the statistic, on its scale: ``(rows,)`` or ``(cells, rows)``, sum zero."""
        return self._linearised(self.moments if self.sways is None else self.sways())

    def _linearised(self, columns: Array) -> Array:
        """Return the gradient's product with columns ``(moments, ..., n)``: ``(..., n)``."""
        with np.errstate(all="ignore"):  # a perfect relation has no finite slope; `values` raises the error
            slope = self.gradient(self.moments.sum(axis=-1))
            product: Array = np.einsum("k...,k...n->...n", slope, columns)
        return product

    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return what can be said about the true value of one number; see `samplings` for several."""
        if self.moments.ndim == 3:
            raise ValueError(
                f"a claim is about one number, but {self.name} has {self._cells} side by side: give it one column (the last is "
                "column[-1]), judge them together with strongest(...), or take them one by one with estimates()"
            )
        return self.samplings(by=by, seed=seed, replicates=replicates)[0]

    def samplings(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> list[Sampling]:
        """Return `sampling` for each of the numbers side by side, all from the same resamples."""
        resampled = self.resampled(by=by, seed=seed, replicates=replicates)
        influences = np.atleast_2d(self.influences())
        variances = np.sum(influences**2, axis=-1)  # of independent tokens
        return [self._sampling_of(cell, resampled, influences[cell], variances[cell]) for cell in range(self._cells)]

    def _sampling_of(self, cell: int, resampled: Resampled, influences: Array, variance: np.float64) -> Studentised:
        """Return the sampling of one cell; ``variance`` is the one that independent tokens would have."""
        try:
            pivot = resampled.pivot(cell)
        except UndefinedEstimate as error:
            raise UndefinedEstimate(f"{self.name}: {error}") from error
        serial = pooled_lag_one(influences, self.passages)
        is_strong = resampled.scores is None and serial is not None and serial > STRONG_DEPENDENCE
        complete = given(
            Estimate,
            statistic=self.name,
            n=self.tokens,
            effective_n=float(self.tokens * variance / resampled.error[cell] ** 2),
            units=resampled.units.count,
            unit=resampled.units.name,
            method=resampled.method,
            autocorrelation=serial,
            replicates=0 if resampled.scores is None else len(resampled.scores),
            seed=resampled.seed,
            caution=cautions(self.caution, SERIES_CAUTION if is_strong else ""),
        )
        return Studentised(
            value=float(resampled.value[cell]),
            error=float(resampled.error[cell]),
            pivot=pivot,
            scale=self.scale,
            complete=complete,
        )

    def estimates(
        self, *, level: float = 0.95, by: By | None = None, seed: int = 0, replicates: int = REPLICATES
    ) -> list[Estimate]:
        """Return `estimate` for each of the numbers side by side."""
        return [sampling.estimate(level) for sampling in self.samplings(by=by, seed=seed, replicates=replicates)]

    def resampled(
        self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES, block: int | None = None
    ) -> Resampled:
        """Return all numbers side by side with their standard errors and resamples.

        Arguments are those of `estimate`; ``block`` is the length of blocks where these are resampled, by default
        `block_length`.
        """
        checked_draws(by, replicates, seed)
        value = self.values()
        if by is None and self.passages.count < FEWEST_PASSAGES:
            return self._as_series(value)
        units = self._units(by or "passages", block)
        # A whole passage keeps its ranks and pairs; drawing a part of one changes those of the rest.
        is_plain = self.sways is None or units is self.passages
        by_unit = self._linearised(units.sums(self.moments)) if is_plain else units.sums(self.influences())
        spread = np.sum(np.atleast_2d(by_unit) ** 2, axis=-1)
        error = self._error(np.sqrt(units.count / (units.count - 1) * spread), units)
        method = f"studentised bootstrap of {units.name}, quantiles averaged with Student's"
        if self.reranked is not None and by in ("blocks", "tokens"):
            scores = (self._replicated(units, replicates, seed) - value) / error
            method = f"bootstrap of {units.name}, ranked anew in every resample"
        else:
            sums = self.sums(units)
            scores = studentised(sums, self.function, self.gradient, value, replicates=replicates, seed=seed)
        return Resampled(
            value=value,
            error=error,
            scores=scores,
            freedom=float(units.count - 1),
            units=units,
            method=method,
            seed=seed,
        )

    def replicates(self, *, by: By | None = None, seed: int = 0, count: int = REPLICATES) -> Array:
        """Return the statistic of each of ``count`` resamples, in its own units: ``(count,)`` or ``(count, cells)``.

        Their quantiles are the percentile interval, which covers too rarely with few units: use them for figures and
        comparisons. Where passages are too few to resample, blocks are. Errors are those of `estimate`.
        """
        checked_draws(by, count, seed)
        if by is None:
            by = "passages" if self.passages.count >= FEWEST_PASSAGES else "blocks"
        values = self._replicated(self._units(by), count, seed)
        back = SCALES[self.scale].all_back(values)
        return back if self.moments.ndim == 3 else back[:, 0]

    def _replicated(self, units: Units, count: int, seed: int) -> Array:
        if self.reranked is not None and units is not self.passages:
            chunks = counts(units.count, count, seed, 5 * self.passages.rows)
            are_tokens = units.count == self.passages.rows
            return np.concatenate(
                [self.reranked(chunk if are_tokens else np.repeat(chunk, units.lengths, axis=1)) for chunk in chunks]
            )
        return replicated(self.sums(units), self.function, replicates=count, seed=seed)

    def sums(self, units: Units) -> Array:
        """Return what each unit adds to the totals, ``(moments, cells, units)``."""
        return units.sums(self.moments).reshape(len(self.moments), self._cells, units.count)

    def minus(self, other: Statistic) -> Smooth:
        """Return the paired contrast; see `Statistic.minus`."""
        if not isinstance(other, Smooth):
            raise no_contrast(self, other)
        if self.scale != other.scale:
            raise ValueError(f"a contrast needs one scale, but {self.scale!r} and {other.scale!r} were given")
        mine, theirs = self.passages, other.passages
        if not mine.same_rows(theirs):
            raise ValueError(
                "a contrast needs the same tokens on both sides, but "
                f"{mine.rows} tokens in {mine.count} passages and {theirs.rows} in {theirs.count} with other bounds or labels "
                "were given"
            )
        split = len(self.moments)
        moments = _side_by_side(self.moments, other.moments)

        @cache
        def sways() -> Array:
            return _side_by_side(
                *(side.moments if side.sways is None else side.sways() for side in (self, other)),
            )

        reranked: Callable[[Array], Array] | None = None
        if (self.reranked or other.reranked) and self._follows_draws and other._follows_draws:

            def reranked(weights: Array) -> Array:
                return self._drawn(weights) - other._drawn(weights)

        return replace(
            self,
            name=f"difference of {self.name} ({self.scale})",
            moments=moments,
            sways=None if self.sways is None and other.sways is None else sways,
            function=lambda total: self.function(total[:split]) - other.function(total[split:]),
            gradient=lambda total: np.concatenate([self.gradient(total[:split]), -other.gradient(total[split:])]),
            scale="identity",
            reranked=reranked,
            n=min(self.tokens, other.tokens),
            caution=cautions(self.caution, other.caution),
        )

    @property
    def _follows_draws(self) -> bool:
        """Whether the statistic can be computed for any draw of tokens."""
        return self.sways is None or self.reranked is not None

    def _drawn(self, weights: Array) -> Array:
        """Return the statistic for draws of tokens ``(replicates, rows)``: ``(replicates, cells)``."""
        if self.reranked is not None:
            return self.reranked(weights)
        totals = np.einsum("bn,k...n->kb...", weights, self.moments)
        return self.function(totals).reshape(len(weights), -1)

    def _units(self, by: By, block: int | None = None) -> Units:
        if by != "passages" and not self._follows_draws:
            raise UndefinedEstimate(
                f"{self.name} is about pairs of tokens, so only whole passages can be resampled, not {by}"
            )
        return resampling_units(by, self.passages, lambda: block or self.block_length())

    def block_length(self) -> int:
        """Return the block length that suits the influences, the longest over numbers side by side."""
        return max(block_length(series, self.passages) for series in np.atleast_2d(self.influences()))

    def _as_series(self, value: Array) -> Resampled:
        if self.passages.rows < FEWEST_TOKENS:
            raise UndefinedEstimate(
                f"an interval needs at least {FEWEST_PASSAGES} passages or {FEWEST_TOKENS} tokens, "
                f"but {self.passages.count} passages with {self.passages.rows} tokens were given"
            )
        texts = Units(starts=self.passages.starts, rows=self.passages.rows, name="texts")
        variance, freedom = long_run_variance(np.atleast_2d(self.influences()), self.passages)
        return Resampled(
            value=value,
            error=self._error(np.sqrt(variance), texts),
            scores=None,
            freedom=freedom,
            units=texts,
            method="closed form, cosine long-run variance",
            seed=0,
        )

    def values(self) -> Array:
        """Return all numbers side by side, on the scale of their intervals; errors are those of `estimate`."""
        with np.errstate(all="ignore"):
            value: Array = self.function(self.moments.sum(axis=-1).reshape(len(self.moments), -1))
        if not np.isfinite(value).all():
            undefined = value[~np.isfinite(value)][0]
            raise UndefinedEstimate(
                f"{self.name} has no interval on these {self.tokens} tokens: on its scale ({self.scale}) it is {undefined}, "
                "as for a perfect relation or a sum of zero"
            )
        return value

    def _error(self, error: Array, units: Units) -> Array:
        """Return standard errors, or raise `UndefinedEstimate` if one is no larger than rounding."""
        total = self.moments.sum(axis=-1)
        # A spread below the rounding error of the statistic's terms is noise.
        with np.errstate(all="ignore"):
            noise = 1e-12 * np.abs(self.gradient(total) * total).sum(axis=0).reshape(-1)
        if not (error > noise).all():
            raise UndefinedEstimate(
                f"{self.name} does not vary between {units.count} {units.name}, so it has no interval "
                f"(standard error {error.min()})"
            )
        return error


def _side_by_side(first: Array, second: Array) -> Array:
    """Return the moments of both; those of a single number are repeated where the other has several."""
    ndim = max(first.ndim, second.ndim)
    first, second = (moments if moments.ndim == ndim else moments[:, None] for moments in (first, second))
    width = np.broadcast_shapes(first.shape[1:], second.shape[1:])
    return np.concatenate([np.broadcast_to(moments, (len(moments), *width)) for moments in (first, second)])
