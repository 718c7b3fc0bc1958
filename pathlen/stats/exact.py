"""Facts about the tokens that were measured, with nothing inferred from them, and bounds that need no resampling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial as given

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from pathlen.errors import UndefinedEstimate
from pathlen.stats.clusters import By, Passages, blocks_of
from pathlen.stats.estimate import Estimate, Interval
from pathlen.stats.inference import Bounds, Sampling
from pathlen.stats.statistic import FEWEST_PASSAGES, REPLICATES, Statistic

__all__ = ["BLOCK", "every", "exact_bounds", "largest", "rare"]

BLOCK = 20  # tokens that stand for one independent trial where exceptions are too rare to resample
CAUTION = "exceptions are so rare that how they come in clusters can only be guessed from those that were seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exact(Statistic):
    """A statistic that needs no resampling."""

    name: str
    found: Sampling
    scale: str = "identity"
    ends: tuple[float, float] = (-np.inf, np.inf)

    @property
    def value(self) -> float:
        """The number as `Statistic.value` says."""
        return self.found.estimate().value

    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return what is known, whatever the arguments."""
        del by, seed, replicates
        return self.found


@dataclass(frozen=True, slots=True)
class _Fact(Sampling):
    """A number about tokens all of which were seen."""

    fact: Estimate

    def interval(self, level: float) -> Interval:
        """Return the number itself, at level 1."""
        del level
        return self.fact.intervals[0]

    def p_value(self, low: float, high: float) -> None:
        """Return None: nothing is inferred."""
        del low, high

    def estimate(self, level: float = 0.95) -> Estimate:
        """Return the number."""
        del level
        return self.fact


def exact_bounds(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Return Clopper and Pearson's interval for a share: it holds the truth at least as often as its level says.

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26
    (1934), 404-413.

    Examples
    --------
    >>> [round(end, 3) for end in exact_bounds(0, 10, level=0.9)]
    [0.0, 0.259]

    """
    tail = (1 - level) / 2
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return low, high


def largest(values: ArrayLike) -> Statistic:
    """Return the largest of all values, as a census: a fact about what was measured, with nothing inferred."""
    cells = np.asarray(values, dtype=np.float64)
    if cells.size == 0 or not np.isfinite(cells).all():
        raise UndefinedEstimate("the largest of no values, or of non-finite ones, is undefined")
    return _census("largest value", float(cells.max()), cells.shape[-1])


def every(is_true: ArrayLike) -> Statistic:
    """Return the share of true cells, as a census: a fact about what was measured, with nothing inferred."""
    cells = np.asarray(is_true)
    if cells.dtype != np.bool_:
        raise TypeError(f"is_true must be an array of bool, but its type is {cells.dtype}")
    if cells.size == 0:
        raise UndefinedEstimate("a share of no cells is undefined")
    return _census("share of all measured", float(cells.mean()), cells.shape[-1], ends=(0.0, 1.0))


def rare(is_true: NDArray[np.bool_], passages: Passages) -> Statistic:
    """Return a share that is nearly one (or nearly zero), with the exact bound that `pathlen.stats.share` explains.

    Parameters
    ----------
    is_true : ndarray of bool, shape (cells, rows)
        Whether a cell is true.
    passages : Passages
        Where the rows belong.

    """
    blocks = blocks_of(passages, BLOCK)
    value = float(is_true.mean())
    mostly = value > 0.5
    exceptions = (is_true != mostly).any(axis=0).astype(np.float64)
    hit = blocks.sums(exceptions) > 0
    effect = _design_effect(hit, passages.owner(blocks)) if passages.count >= FEWEST_PASSAGES else 1.0
    with_exception = np.count_nonzero(hit) / effect
    clean = blocks.count / effect - with_exception

    def ends(level: float) -> tuple[float, float]:
        least, _ = exact_bounds(clean, clean + with_exception, level)  # of blocks without an exception
        least = min(least, value if mostly else 1 - value)  # blocks differ in length a little
        return (least, 1.0) if mostly else (0.0, 1 - least)

    blank = given(
        Estimate,
        statistic="share",
        n=is_true.shape[1],
        units=blocks.count,
        unit=blocks.name,
        method=f"Clopper and Pearson's bound, a design effect of {effect:.3g} allowed for",
        caution=CAUTION,
    )
    return _Exact(name="share", found=Bounds(value=value, ends=ends, blank=blank), ends=(0.0, 1.0))


def _design_effect(hit: NDArray[np.bool_], passage: NDArray[np.intp]) -> float:
    """Return how many blocks with an exception come together in a passage, as seen from such a block; at least 1.

    ``sum_p k_p^2 / sum_p k_p`` with ``k_p`` of them in passage ``p``: 1 where no passage has two, the number of its blocks
    where one passage is bad throughout, and so many blocks are then worth one trial.
    """
    each = np.bincount(passage, weights=hit)
    return float(np.sum(each**2) / np.sum(each)) if each.any() else 1.0


def _census(name: str, value: float, n: int, ends: tuple[float, float] = (-np.inf, np.inf)) -> Statistic:
    fact = Estimate(
        statistic=name,
        value=value,
        intervals=(Interval(1.0, value, value),),
        n=n,
        units=n,
        unit="census",
        method="every token measured",
    )
    return _Exact(name=name, found=_Fact(fact), ends=ends)
