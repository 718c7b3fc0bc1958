"""Your own estimators, resampled in the same way as the built-in ones.

Most numbers are a smooth function of the means of some columns: a standardised third moment of the means of ``x``, ``x^2`` and
``x^3``, a coefficient of determination of the means of products. Such a function is all you have to write::

    @estimator
    def skewness(first, second, third):
        \"\"\"The standardised third moment, from the means of x, its square and its cube.\"\"\"
        return (third - 3 * first * second + 2 * first**3) / (second - first**2) ** 1.5

    skewness(x, x**2, x**3, passage=measured.passage)      # a statistic like any other

Its gradient is computed by central differences, so its interval is the one that a built-in statistic of the same totals gets:
studentised, over whole passages, with the standard error computed anew in every resample.

A number that needs whole columns, such as a median or a quantile, is declared with ``of="columns"``. It is computed anew on the
rows of every resample, 9,999 times. Its standard error is the jackknife's over the units. In a resample, the standard error is
the spread of the same jackknife values among the units drawn, which to first order equals a new jackknife. With fewer than
five passages, blocks of neighbouring tokens are resampled.

How often built-in intervals cover was counted (`pathlen.stats.calibration.table`). For your own number it was not, and each of its
estimates says so. Numbers that depend on rare large values are covered too rarely with a dozen passages by any method.

References
----------
Efron and Tibshirani, "An Introduction to the Bootstrap", Chapman and Hall 1993, chapters 11 (jackknife) and 12.5
(studentised intervals).

"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike

from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array
from pathlen.stats.autocorrelation import block_length
from pathlen.stats.base import REPLICATES, Statistic, checked_draws
from pathlen.stats.clusters import (
    FEWEST_PASSAGES,
    By,
    Passages,
    Units,
    checked,
    checked_trend,
    is_rounding,
    resampling_units,
)
from pathlen.stats.estimate import Estimate
from pathlen.stats.inference import Pivot, Sampling, Studentised
from pathlen.stats.registry import public_statistic
from pathlen.stats.resampling import counts
from pathlen.stats.statistic import Smooth
from pathlen.stats.transforms import SCALES

__all__ = ["Estimator", "OfColumns", "detrended", "estimator"]

Of = Literal["means", "columns"]

CAUTION = "an estimator of one's own: how often its intervals cover was not counted"
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
STEP = 6e-6  # about the cube root of a double's precision, which is optimal for central differences


class Estimator(Protocol):
    """A function from columns ``(rows,)`` to a statistic of them, as `estimator` returns it."""

    def __call__(self, *columns: ArrayLike, passage: ArrayLike) -> Statistic:
        """Return the statistic of these columns; the passage of each row is a keyword argument."""
        ...


@overload
def estimator(function: Callable[..., Any], /) -> Estimator: ...
@overload
def estimator(*, scale: str = ..., of: Of = ..., name: str = ...) -> Callable[[Callable[..., Any]], Estimator]: ...
@public_statistic(
    number="a function of your own",
    interval="any of these",
    sentence="none of these",
)
def estimator(
    function: Callable[..., Any] | None = None, /, *, scale: str = "identity", of: Of = "means", name: str = ""
) -> Estimator | Callable[[Callable[..., Any]], Estimator]:
    """Declare a function to be an estimator: calling it with columns gives a `Statistic`.

    Parameters
    ----------
    function : callable
        With ``of="means"``, from the means of columns to the number. It is called with arrays that have one entry for each
        resample, so it must consist of arithmetic and NumPy's element-wise functions, and must not branch on single entries.
        With ``of="columns"``, from columns of shape ``(rows,)`` to one number.
    scale : str
        Of the interval, one of ``"identity"``, ``"fisher z"`` (numbers from -1 to 1), ``"log"`` (above 0), ``"logit"`` (from 0 to
        1): an interval made there can't leave the number's range.
    of : str
        ``"means"`` or ``"columns"``.
    name : str
        In words, for readers; by default the function's name.

    Raises
    ------
    ValueError
        If the scale or ``of`` is unknown, or the function takes no column. When called: if columns differ in length.
    TypeError
        When called: if the number of columns differs from what the function takes, or its result has the wrong shape.
    UndefinedEstimate
        When estimated: as in `Statistic.estimate`.

    Examples
    --------
    >>> @estimator(scale="log")
    ... def dispersion(first, second):
    ...     "Variance over mean."
    ...     return (second - first**2) / first
    >>> x = np.tile([1.0, 2.0, 3.0, 6.0], 10)
    >>> round(dispersion(x, x**2, passage=np.repeat(np.arange(10), 4)).value, 6)
    1.166667

    """
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(map(repr, SCALES))}, but {scale!r} was given")
    if of not in ("means", "columns"):
        raise ValueError(f"of must be 'means' or 'columns', but {of!r} was given")

    def declare(function: Callable[..., Any]) -> Estimator:
        parameters = inspect.signature(function).parameters.values()
        arguments = [
            parameter.name
            for parameter in parameters
            if parameter.default is parameter.empty and parameter.kind in POSITIONAL
        ]
        if not arguments:
            raise ValueError(f"an estimator needs a column at least, but {function.__name__} takes no argument")
        words = name or function.__name__.replace("_", " ")
        statistic_of = _of_means if of == "means" else _of_columns

        def estimated(*columns: ArrayLike, passage: ArrayLike) -> Statistic:
            if len(columns) != len(arguments):
                raise TypeError(
                    f"{function.__name__} takes {len(arguments)} columns ({', '.join(arguments)}), "
                    f"but {len(columns)} were given"
                )
            passages, arrays = checked(passage, **dict(zip(arguments, columns, strict=True)))
            return statistic_of(words, function, scale, passages, arrays)

        estimated.__name__, estimated.__qualname__ = function.__name__, function.__qualname__
        estimated.__doc__, estimated.__module__ = function.__doc__, function.__module__
        estimated.__wrapped__ = function  # type: ignore[attr-defined]  # for `inspect`
        return estimated

    return declare if function is None else declare(function)


def detrended(column: ArrayLike, *, passage: ArrayLike, trend: int = 1) -> Array:
    """Return a column minus each passage's mean and trend along the text, as correlations within passages use it.

    Parameters
    ----------
    column : array_like, shape (rows,) or (cells, rows)
        One value per token.
    passage : array_like of int, shape (rows,)
        The passage of each row.
    trend : int
        Degree, from 0 to 3, of the polynomial in the position that is subtracted; 0 subtracts means only.

    Raises
    ------
    ValueError
        If the column differs in length, or ``trend`` is out of range.
    UndefinedEstimate
        If a value is not finite.

    Examples
    --------
    >>> detrended([1.0, 2.0, 6.0, 8.0], passage=[0, 0, 1, 1], trend=0)
    array([-0.5,  0.5, -1. ,  1. ])

    """
    passages, (values,) = checked(passage, column=column)
    return passages.detrended(values, checked_trend(trend))


# Of means.


def _of_means(name: str, function: Callable[..., Any], scale: str, passages: Passages, columns: list[Array]) -> Smooth:
    columns = list(np.broadcast_arrays(*columns))
    there = SCALES[scale].forth_and_back[0]
    # The step of a difference is relative to the column's size.
    steps = [STEP * np.sqrt(np.mean(column**2, axis=-1)) for column in columns]

    def on_scale(means: list[Array]) -> Array:
        with np.errstate(all="ignore"):
            numbers: Array = there(np.asarray(function(*means), dtype=np.float64))
        return numbers

    def value(total: Array) -> Array:
        return on_scale(list(total[:-1] / total[-1]))

    def gradient(total: Array) -> Array:
        means = list(total[:-1] / total[-1])
        slopes = []
        for index, step in enumerate(steps):
            ends = [[*means[:index], means[index] + side * step, *means[index + 1 :]] for side in (1, -1)]
            with np.errstate(all="ignore"):
                slopes.append((on_scale(ends[0]) - on_scale(ends[1])) / (2 * step) / total[-1])
        # Euler: a function of means does not change when all totals are multiplied.
        by_number = -sum(mean * slope for mean, slope in zip(means, slopes, strict=True))
        return np.stack([*slopes, np.broadcast_to(by_number, slopes[0].shape)])

    _refuse_other_shapes(function, [column.mean(axis=-1) for column in columns])
    return Smooth(
        name=name,
        moments=np.stack([*columns, np.ones_like(columns[0])]),
        function=value,
        gradient=gradient,
        scale=scale,
        passages=passages,
        caution=CAUTION,
    )


def _refuse_other_shapes(function: Callable[..., Any], means: list[Array]) -> None:
    """Raise `TypeError` unless a function of means works element-wise on the means of several resamples."""
    several = [np.stack([mean] * 3) for mean in means]
    with np.errstate(all="ignore"):
        numbers = np.asarray(function(*several))
    if numbers.shape != several[0].shape:
        raise TypeError(
            f"{function.__name__} is given the means of its columns, one for each resample, {several[0].shape} of them, and must "
            f"return as many numbers, but returned {numbers.shape}: use element-wise arithmetic, or declare it with "
            'of="columns" if it needs whole columns'
        )


# Of whole columns.


@dataclass(frozen=True, slots=True, kw_only=True)
class OfColumns(Statistic):
    """A statistic that is recomputed from the rows of every resample; see the module's docstring.

    Attributes
    ----------
    name : str
        In words, for readers.
    function : callable
        From columns ``(rows,)`` to the number, on ``scale``.
    columns : tuple of ndarray, each of shape (rows,)
    scale : str
        A key of `pathlen.stats.transforms.SCALES`.
    passages : Passages
        Where the rows belong.

    """

    name: str
    function: Callable[..., float]
    columns: tuple[Array, ...]
    scale: str
    passages: Passages

    @property
    def value(self) -> float:
        """The number; see `Statistic.value`. Errors are those of `estimate`."""
        return SCALES[self.scale].back(self._on_scale())

    def _on_scale(self) -> float:
        number = self.function(*self.columns)
        if not np.isfinite(number):
            raise UndefinedEstimate(
                f"{self.name} has no interval on these {self.passages.rows} tokens: on its scale ({self.scale}) it is {number}"
            )
        return number

    def minus(self, other: Statistic) -> OfColumns:
        """Return the paired contrast with another statistic of whole columns; see `Statistic.minus`."""
        if not isinstance(other, OfColumns):
            raise TypeError(
                f"a contrast needs two statistics of one kind, but {self.name} is of whole columns and {other.name} is not: "
                'declare both with of="columns"'
            )
        if self.scale != other.scale:
            raise ValueError(f"a contrast needs one scale, but {self.scale!r} and {other.scale!r} were given")
        if not self.passages.same_rows(other.passages):
            raise ValueError(f"a contrast needs the same tokens on both sides, but {other.name} is of others")
        split = len(self.columns)
        return OfColumns(
            name=f"difference of {self.name} ({self.scale})",
            function=lambda *columns: self.function(*columns[:split]) - other.function(*columns[split:]),
            columns=(*self.columns, *other.columns),
            scale="identity",
            passages=self.passages,
        )

    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return what can be said about the true value; arguments and errors are those of `estimate`."""
        checked_draws(by, replicates, seed)
        value = self._on_scale()
        by = by or ("passages" if self.passages.count >= FEWEST_PASSAGES else "blocks")
        units = resampling_units(by, self.passages, self._block_length)
        influence = self._jackknifed(units)
        count = units.count
        error = float(np.sqrt(count / (count - 1) * np.sum(influence**2)))
        if not error > 1e-12 * abs(value):
            raise UndefinedEstimate(
                f"{self.name} does not vary between {count} {units.name}, so it has no interval (standard error {error})"
            )
        scores = []
        for drawn in counts(count, replicates, seed):
            middle = drawn @ influence / count
            spread = np.sqrt(count / (count - 1) * np.sum(drawn * (influence - middle[:, None]) ** 2, axis=1))
            with np.errstate(all="ignore"):
                scores.append((self._redrawn(units, drawn) - value) / spread)
        try:
            pivot = Pivot.of_resamples(np.concatenate(scores), count - 1.0)
        except UndefinedEstimate as degenerate:
            raise UndefinedEstimate(f"{self.name}: {degenerate}") from degenerate
        complete = partial(
            Estimate,
            statistic=self.name,
            n=self.passages.rows,
            units=count,
            unit=units.name,
            method=f"studentised bootstrap of {units.name}, computed anew in each, quantiles averaged with Student's",
            replicates=replicates,
            seed=seed,
            caution=CAUTION,
        )
        return Studentised(value=value, error=error, pivot=pivot, scale=self.scale, complete=complete)

    def _block_length(self) -> int:
        """Return the longest block length that suits one of the columns; constant ones need none."""
        varying = [column for column in self.columns if not is_rounding(np.asarray(np.ptp(column)), column)]
        return max((block_length(column - column.mean(), self.passages) for column in varying), default=1)

    def _jackknifed(self, units: Units) -> Array:
        """Return each unit's influence on the number, from leaving each out in turn, ``(units,)``, sum zero."""
        without = np.empty(units.count)
        for unit, (start, length) in enumerate(zip(units.starts, units.lengths, strict=True)):
            rows = np.r_[:start, start + length : units.rows]
            without[unit] = self.function(*(column[rows] for column in self.columns))
        if not np.isfinite(without).all():
            raise UndefinedEstimate(
                f"{self.name} is undefined without one of the {units.count} {units.name}, so it has no standard error"
            )
        influence: Array = (units.count - 1) / units.count * (without.mean() - without)
        return influence

    def _redrawn(self, units: Units, drawn: Array) -> Array:
        """Return the number in each resample, whose rows are repeated as often as their units are drawn, ``(resamples,)``."""
        unit = np.repeat(np.arange(units.count), units.lengths)
        numbers = np.empty(len(drawn))
        for resample, times in enumerate(drawn.astype(np.intp)):
            rows = np.repeat(np.arange(units.rows), times[unit])
            numbers[resample] = self.function(*(column[rows] for column in self.columns))
        return numbers


def _of_columns(
    name: str, function: Callable[..., Any], scale: str, passages: Passages, columns: list[Array]
) -> OfColumns:
    for column in columns:
        if column.ndim != 1:
            raise ValueError(f"{name} needs one value per token in each column, but a column's shape is {column.shape}")
    there = SCALES[scale].forth_and_back[0]

    def on_scale(*rows: Array) -> float:
        number = np.asarray(function(*rows), dtype=np.float64)
        if number.shape != ():
            raise TypeError(
                f"{function.__name__} must return one number, but returned an array of shape {number.shape}"
            )
        with np.errstate(all="ignore"):
            return float(there(number))

    return OfColumns(name=name, function=on_scale, columns=tuple(columns), scale=scale, passages=passages)
