"""What a statistic is, and which interval it gets.

A `Smooth` statistic is a function ``g`` of totals, ``theta = g(M)``, where ``M`` is the sum over tokens of a column of
moments; ``g`` is given on a scale where its spread hardly depends on its value (Fisher's z for correlations, the
logarithm for ratios, the logit for shares), together with its gradient. A token's influence is ``psi = grad g(M) . m``;
no ``g`` here changes when all totals are multiplied by a number, so influences sum to zero (Euler). From them comes the
standard error, and one of these intervals:

================ =========================================================================================================
five passages or Whole passages are resampled and the interval is studentised, ``theta - q(t*) se`` with
more             ``t* = (theta* - theta) / se*``: the percentile interval covers 83 to 92 % instead of 95 with a dozen
                 units, because it knows nothing of how uncertain the spread itself is. Quantiles are averaged with
                 Student's, for the reason given in `pathlen.stats.inference.Pivot.blended`. Only the variance *between*
                 passages enters, so tokens of one may depend on each other in any way.
fewer            Nothing is resampled. The tokens' influences are a time series; its variance allows for serial dependence
                 (`pathlen.stats.autocorrelation.long_run_variance`), its quantiles are Student's. Such an interval speaks about *these
                 texts* being continued, not about other texts; the unit, "texts", says so wherever the number is shown.
``by="blocks"``  On request: blocks of neighbouring tokens are resampled, studentised, of a length that suits the
                 influences (`pathlen.stats.autocorrelation.block_length`). The next best for a single text: block lengths are a choice.
``by="tokens"``  On request, and labelled so: tokens are resampled as if they were independent, which they are not.
================ =========================================================================================================

References
----------
Hall, "The Bootstrap and Edgeworth Expansion", Springer 1992, section 3.5 (studentised intervals);
Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69 (2007), 369-390.

"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from functools import partial as given

import numpy as np
from numpy.typing import NDArray

from pathlen.errors import UndefinedEstimate
from pathlen.stats.autocorrelation import block_length, long_run_variance, pooled_lag_one
from pathlen.stats.clusters import By, Passages, Units, blocks_of
from pathlen.stats.estimate import Estimate
from pathlen.stats.inference import Pivot, Sampling, Studentised
from pathlen.stats.resampling import counts, replicated, studentised
from pathlen.stats.transforms import SCALES

__all__ = [
    "FEWEST_PASSAGES",
    "FEWEST_TOKENS",
    "FEWEST_UNITS",
    "REPLICATES",
    "Resampled",
    "Smooth",
    "Statistic",
    "cautions",
    "checked_draws",
]

REPLICATES = 9999  # with it the ends of 90 and 95 % intervals are replicates, nothing is interpolated
FEWEST_REPLICATES = 199
FEWEST_PASSAGES = 5
FEWEST_TOKENS = 100  # eight cosine terms; with fewer, quantiles of Student's t dwarf everything
FEWEST_UNITS = 10
STRONG_DEPENDENCE = 0.2  # of influences; two series of AR(1) 0.6 have 0.36, of 0.3 have 0.09
SERIES_CAUTION = "tokens depend on each other so strongly that 95 % intervals of a single text covered as little as 92.5 % in simulations"

Array = NDArray[np.float64]


class Statistic(ABC):
    """Something that can be estimated: what a claim's body returns.

    Attributes
    ----------
    name : str
        In words, for readers.
    scale : str
        The scale of its intervals, a key of `pathlen.stats.transforms.SCALES`.

    """

    name: str
    scale: str

    @property
    @abstractmethod
    def value(self) -> float:
        """The number itself, on its own scale; nothing is resampled for it."""

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest value that the statistic can have."""
        return SCALES[self.scale].ends

    @abstractmethod
    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return what can be said about the truth behind the statistic; arguments and errors as in `estimate`."""

    def estimate(
        self, *, level: float = 0.95, by: By | None = None, seed: int = 0, replicates: int = REPLICATES
    ) -> Estimate:
        """Return the statistic with its interval.

        Parameters
        ----------
        level : float
            Confidence level, strictly between 0 and 1.
        by : str, optional
            What is resampled: ``"passages"``, ``"blocks"`` or ``"tokens"``; see the module's docstring for what is chosen
            otherwise. Where nothing is resampled in any case (a census, an exact bound) it has no effect.
        seed : int
            Seed of the resamples; the same seed gives the same interval, bit for bit.
        replicates : int
            Number of resamples, at least 199.

        Raises
        ------
        ValueError
            If an argument is out of range.
        UndefinedEstimate
            If the value or the spread between units is not a positive finite number, units are too few, or resamples
            are too often degenerate.

        """
        return self.sampling(by=by, seed=seed, replicates=replicates).estimate(level)

    def __lt__(self, other: object) -> bool:
        raise self._not_compared()

    __le__ = __gt__ = __ge__ = __lt__

    def __float__(self) -> float:
        raise TypeError(
            f"a bare number has no interval, so {self.name} is not turned into one: return the statistic itself, or look at its "
            ".value outside of claims"
        )

    def __sub__(self, other: object) -> Smooth:
        raise TypeError(f"two statistics are subtracted with one.minus(other), as {self.name} is of the same tokens")

    def _not_compared(self) -> TypeError:
        return TypeError(
            f"{self.name} is not compared in the body: return it, and say in the decorator where it must lie, "
            "expect=below(...), above(...) or within(...)"
        )

    def minus(self, other: Statistic) -> Smooth:
        """Return the paired contrast ``self - other`` on their common scale.

        Raises
        ------
        TypeError
            If nothing is resampled in one of them: a census, or an exact bound.
        ValueError
            If the two differ in scale or are not of the same tokens.

        """
        raise _no_contrast(self, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """Several statistics on their scale, resampled together.

    Attributes
    ----------
    value, error : ndarray, shape (cells,)
        Each with its standard error.
    scores : ndarray, shape (replicates, cells), or None
        ``(theta* - theta) / se*`` of each resample, a row of one resample across all cells; None where nothing was
        resampled.
    freedom : float
        Degrees of freedom of the standard errors.

    """

    value: Array
    error: Array
    scores: Array | None
    freedom: float
    units: Units
    method: str
    seed: int

    def pivot(self, cell: int) -> Pivot:
        """Return the distribution of one cell's score.

        Raises
        ------
        UndefinedEstimate
            If more than a tenth of the resamples have no score.

        """
        if self.scores is None:
            return Pivot(freedom=self.freedom)
        # A resample that drew one unit only has no spread of its own; with five units that is 1 in 625.
        scores = self.scores[:, cell]
        usable = scores[np.isfinite(scores) & (np.abs(scores) < 1e9)]
        if len(usable) < 0.9 * len(scores):
            raise UndefinedEstimate(
                f"{len(scores) - len(usable)} of {len(scores)} resamples are degenerate, too many for an interval"
            )
        return Pivot.blended(usable, self.freedom)


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
        Totals ``(moments, ...)`` to the statistic ``(...)`` on ``scale``; unchanged when totals are multiplied.
    gradient : callable
        Totals ``(moments, ...)`` to the partial derivatives ``(moments, ...)`` of ``function``.
    scale : str
        A key of `pathlen.stats.transforms.SCALES`.
    passages : Passages
        Where the rows belong.
    sways : callable or None
        Returns what a further token like each would change in the totals, in the shape of moments, where that is more than
        its own moments: a token also moves the ranks of others. Means the moments themselves where None.
    reranked : callable or None
        From how often each token is drawn, ``(replicates, rows)``, to the statistic on its scale, ``(replicates, cells)``,
        where a token's moments depend on which others are drawn.
    n : int
        Tokens that the number is about; 0 for all rows.
    caution : str
        Where its intervals are known to cover too rarely.

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
        """The number as `Statistic.value` says; errors as in `estimate`."""
        if self.moments.ndim == 3:
            raise ValueError(f"{self.name} has {self._cells} numbers side by side, so none is its value")
        return SCALES[self.scale].back(float(self.values()[0]))

    @property
    def _cells(self) -> int:
        return self.moments.shape[1] if self.moments.ndim == 3 else 1

    @property
    def tokens(self) -> int:
        """Tokens that the number is about: all rows, unless the statistic says otherwise."""
        return self.n or self.passages.rows

    def influences(self) -> Array:
        """Return each token's influence on the statistic, on its scale: ``(rows,)`` or ``(cells, rows)``, sum zero."""
        return self._weighed(self.moments if self.sways is None else self.sways())

    def _weighed(self, columns: Array) -> Array:
        with np.errstate(all="ignore"):  # a perfect relation has no finite slope; `values` says so
            slope = self.gradient(self.moments.sum(axis=-1))
            found: Array = np.einsum("k...,k...n->...n", slope, columns)
        return found

    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return what can be said about the truth behind one number; see `samplings` for several."""
        if self.moments.ndim == 3:
            raise ValueError(
                f"a claim is about one number, but {self.name} has {self._cells} side by side: give it one column (the last is "
                "column[-1]), judge them together with strongest(...), or take them one by one with estimates()"
            )
        return self.samplings(by=by, seed=seed, replicates=replicates)[0]

    def samplings(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> list[Sampling]:
        """Return `sampling` for each of the numbers side by side, all from the same resamples."""
        found = self.resampled(by=by, seed=seed, replicates=replicates)
        influences = np.atleast_2d(self.influences())
        alone = np.sum(influences**2, axis=-1)
        samplings: list[Sampling] = []
        for cell in range(self._cells):
            try:
                pivot = found.pivot(cell)
            except UndefinedEstimate as error:
                raise UndefinedEstimate(f"{self.name}: {error}") from error
            serial = pooled_lag_one(influences[cell], self.passages)
            is_strong = found.scores is None and serial is not None and serial > STRONG_DEPENDENCE
            blank = given(
                Estimate,
                statistic=self.name,
                n=self.tokens,
                effective_n=float(self.tokens * alone[cell] / found.error[cell] ** 2),
                units=found.units.count,
                unit=found.units.name,
                method=found.method,
                autocorrelation=serial,
                replicates=0 if found.scores is None else len(found.scores),
                seed=found.seed,
                caution=cautions(self.caution, SERIES_CAUTION if is_strong else ""),
            )
            one = Studentised(
                value=float(found.value[cell]),
                error=float(found.error[cell]),
                pivot=pivot,
                scale=self.scale,
                blank=blank,
            )
            samplings.append(one)
        return samplings

    def estimates(
        self, *, level: float = 0.95, by: By | None = None, seed: int = 0, replicates: int = REPLICATES
    ) -> list[Estimate]:
        """Return `estimate` for each of the numbers side by side."""
        return [one.estimate(level) for one in self.samplings(by=by, seed=seed, replicates=replicates)]

    def resampled(
        self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES, block: int | None = None
    ) -> Resampled:
        """Return all numbers side by side with their standard errors and resamples.

        Arguments as in `estimate`; ``block`` is the length of blocks where these are resampled, chosen from the influences
        unless given.
        """
        checked_draws(by, replicates, seed)
        value = self.values()
        if by is None and self.passages.count < FEWEST_PASSAGES:
            return self._as_series(value)
        units = self._units(by or "passages", block)
        # A whole passage brings its ranks and pairs along; a part of one would change those of the rest.
        is_plain = self.sways is None or units is self.passages
        by_unit = self._weighed(units.sums(self.moments)) if is_plain else units.sums(self.influences())
        spread = np.sum(np.atleast_2d(by_unit) ** 2, axis=-1)
        error = self._error(np.sqrt(units.count / (units.count - 1) * spread), units)
        method = f"studentised bootstrap of {units.name}, quantiles averaged with Student's"
        if self.reranked is not None and by in ("blocks", "tokens"):
            scores = (self._replicated(units, replicates, seed) - value) / error
            method = f"bootstrap of {units.name}, ranked anew in every resample"
        else:
            sums = self._sums(units)
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
        """Return the statistic of each of ``count`` resamples, on its own scale: ``(count,)`` or ``(count, cells)``.

        Their quantiles are the percentile interval, which covers too rarely with few units: for figures and comparisons.
        Where passages are too few to resample, blocks are. Errors as in `estimate`.
        """
        checked_draws(by, count, seed)
        if by is None:
            by = "passages" if self.passages.count >= FEWEST_PASSAGES else "blocks"
        values = self._replicated(self._units(by), count, seed)
        back = SCALES[self.scale].all_back(values)
        return back if self.moments.ndim == 3 else back[:, 0]

    def _replicated(self, units: Units, count: int, seed: int) -> Array:
        if self.reranked is not None and units is not self.passages:
            parts = counts(units.count, count, seed, 5 * self.passages.rows)
            single = units.count == self.passages.rows
            each = [self.reranked(part if single else np.repeat(part, units.lengths, axis=1)) for part in parts]
            return np.concatenate(each)
        return replicated(self._sums(units), self.function, replicates=count, seed=seed)

    def _sums(self, units: Units) -> Array:
        return units.sums(self.moments).reshape(len(self.moments), self._cells, units.count)

    def minus(self, other: Statistic) -> Smooth:
        """Return the paired contrast as `Statistic.minus` says."""
        if not isinstance(other, Smooth):
            raise _no_contrast(self, other)
        if self.scale != other.scale:
            raise ValueError(f"a contrast needs one scale, but {self.scale!r} and {other.scale!r} were given")
        mine, theirs = self.passages, other.passages
        if not mine.same_rows(theirs):
            raise ValueError(
                "a contrast needs the same tokens on both sides, but "
                f"{mine.rows} tokens in {mine.count} passages and {theirs.rows} in {theirs.count} with other bounds or labels "
                "were given"
            )
        here = len(self.moments)
        moments = _side_by_side(self.moments, other.moments)

        @cache
        def sways() -> Array:
            return _side_by_side(*(one.moments if one.sways is None else one.sways() for one in (self, other)))

        reranked: Callable[[Array], Array] | None = None
        if (self.reranked or other.reranked) and self._follows_draws and other._follows_draws:

            def reranked(weights: Array) -> Array:
                return self._drawn(weights) - other._drawn(weights)

        return replace(
            self,
            name=f"difference of {self.name} ({self.scale})",
            moments=moments,
            sways=None if self.sways is None and other.sways is None else sways,
            function=lambda total: self.function(total[:here]) - other.function(total[here:]),
            gradient=lambda total: np.concatenate([self.gradient(total[:here]), -other.gradient(total[here:])]),
            scale="identity",
            reranked=reranked,
            n=min(self.tokens, other.tokens),
            caution=cautions(self.caution, other.caution),
        )

    @property
    def _follows_draws(self) -> bool:
        """Whether the statistic of any draw of tokens is known."""
        return self.sways is None or self.reranked is not None

    def _drawn(self, weights: Array) -> Array:
        """Return the statistic of draws of tokens ``(replicates, rows)``: ``(replicates, cells)``."""
        if self.reranked is not None:
            return self.reranked(weights)
        totals = np.einsum("bn,k...n->kb...", weights, self.moments)
        return self.function(totals).reshape(len(weights), -1)

    def _units(self, by: By, block: int | None = None) -> Units:
        if by == "passages":
            if self.passages.count < FEWEST_PASSAGES:
                raise UndefinedEstimate(
                    f"resampling passages needs at least {FEWEST_PASSAGES}, but {self.passages.count} were given"
                )
            return self.passages
        if self.sways is not None and self.reranked is None:
            raise UndefinedEstimate(
                f"{self.name} is about pairs of tokens, so only whole passages can be resampled, not {by}"
            )
        if by == "tokens":
            every = np.arange(self.passages.rows)
            units = Units(starts=every, rows=self.passages.rows, name="tokens, taken as independent")
        else:
            units = blocks_of(self.passages, block or self.block_length())
        if units.count < FEWEST_UNITS:
            raise UndefinedEstimate(
                f"resampling needs at least {FEWEST_UNITS} units, but there are {units.count} {units.name}"
            )
        return units

    def block_length(self) -> int:
        """Return the length of blocks that suits the influences, the longest of those of numbers side by side."""
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
        """Return all numbers side by side, on the scale of intervals; errors as in `estimate`."""
        with np.errstate(all="ignore"):
            value: Array = self.function(self.moments.sum(axis=-1).reshape(len(self.moments), -1))
        if not np.isfinite(value).all():
            wrong = value[~np.isfinite(value)][0]
            raise UndefinedEstimate(
                f"{self.name} has no interval on these {self.tokens} tokens: on its scale ({self.scale}) it is {wrong}, "
                "as for a perfect relation or a sum of zero"
            )
        return value

    def _error(self, error: Array, units: Units) -> Array:
        total = self.moments.sum(axis=-1)
        # Below the rounding of the terms that the statistic is made of there is no spread, only noise.
        with np.errstate(all="ignore"):
            noise = 1e-12 * np.abs(self.gradient(total) * total).sum(axis=0).reshape(-1)
        if not (error > noise).all():
            raise UndefinedEstimate(
                f"{self.name} does not vary between {units.count} {units.name}, so it has no interval "
                f"(standard error {error.min()})"
            )
        return error


def cautions(*given: str) -> str:
    """Return cautions as one, each once and empty ones left out."""
    return "; ".join(dict.fromkeys(filter(None, given)))


def _no_contrast(one: Statistic, other: Statistic) -> TypeError:
    return TypeError(f"a contrast needs two resampled statistics, but {one.name} and {other.name} were given")


def _side_by_side(one: Array, other: Array) -> Array:
    """Return the moments of both, those of a single number repeated for each of several."""
    cells = max(one.ndim, other.ndim)
    one, other = (part if part.ndim == cells else part[:, None] for part in (one, other))
    width = np.broadcast_shapes(one.shape[1:], other.shape[1:])
    return np.concatenate([np.broadcast_to(part, (len(part), *width)) for part in (one, other)])


def checked_draws(by: By | None, replicates: int, seed: int) -> None:
    """Raise `ValueError` unless these are arguments of `Statistic.estimate`."""
    if by not in (None, "passages", "blocks", "tokens"):
        raise ValueError(f"by must be 'passages', 'blocks' or 'tokens', but {by!r} was given")
    if not isinstance(replicates, int) or replicates < FEWEST_REPLICATES:
        raise ValueError(f"replicates must be at least {FEWEST_REPLICATES}, but {replicates} was given")
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, but {seed} was given")
