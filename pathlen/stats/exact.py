"""Statistics that need no resampling, and the exact bounds of shares whose exceptions are too rare to resample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial as given

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from pathlen.stats.base import REPLICATES, Statistic
from pathlen.stats.clusters import FEWEST_PASSAGES, By, Passages, blocks_of
from pathlen.stats.estimate import Estimate
from pathlen.stats.inference import Bounds, Sampling

__all__ = ["BLOCK", "Exact", "exact_bounds", "rare"]

BLOCK = 20  # tokens that count as one independent trial where exceptions are too rare to resample
CAUTION = "exceptions are so rare that how they come in clusters can only be guessed from those that were seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact(Statistic):
    """A statistic that needs no resampling.

    Attributes
    ----------
    name : str
        In words, for readers.
    known : Sampling
        What is known about its true value.
    scale : str
        A key of `pathlen.stats.transforms.SCALES`.
    ends : tuple of float
        The smallest and the largest value that it can have.

    """

    name: str
    known: Sampling
    scale: str = "identity"
    ends: tuple[float, float] = (-np.inf, np.inf)

    @property
    def value(self) -> float:
        """The number; see `Statistic.value`."""
        return self.known.estimate().value

    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return what is known, for any arguments."""
        del by, seed, replicates
        return self.known


def exact_bounds(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Return Clopper and Pearson's interval for a share, which covers the true share at least as often as its level says.

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


def rare(is_true: NDArray[np.bool_], passages: Passages) -> Statistic:
    """Return a share close to 1 (or to 0), with the exact bound that `pathlen.stats.share` explains.

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
    has_exception = blocks.sums(exceptions) > 0
    effect = _design_effect(has_exception, passages.owner(blocks)) if passages.count >= FEWEST_PASSAGES else 1.0
    with_exception = np.count_nonzero(has_exception) / effect
    clean = blocks.count / effect - with_exception

    def ends(level: float) -> tuple[float, float]:
        least, _ = exact_bounds(clean, clean + with_exception, level)  # of blocks without an exception
        least = min(least, value if mostly else 1 - value)  # blocks differ slightly in length
        return (least, 1.0) if mostly else (0.0, 1 - least)

    complete = given(
        Estimate,
        statistic="share",
        n=is_true.shape[1],
        units=blocks.count,
        unit=blocks.name,
        method=f"Clopper and Pearson's bound, a design effect of {effect:.3g} allowed for",
        caution=CAUTION,
    )
    return Exact(name="share", known=Bounds(value=value, ends=ends, complete=complete), ends=(0.0, 1.0))


def _design_effect(has_exception: NDArray[np.bool_], passage: NDArray[np.intp]) -> float:
    """Return how strongly blocks with an exception cluster in passages, at least 1.

    ``sum_p k_p^2 / sum_p k_p`` with ``k_p`` such blocks in passage ``p``: the number of them in its passage, averaged over
    such blocks. It is 1 where no passage has two. Where a single passage consists of exceptions, it is the number of that
    passage's blocks, which then count as one trial.
    """
    by_passage = np.bincount(passage, weights=has_exception)
    return float(np.sum(by_passage**2) / np.sum(by_passage)) if by_passage.any() else 1.0
