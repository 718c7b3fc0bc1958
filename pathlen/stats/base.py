"""What every statistic can do: `Statistic`, and the checks and defaults of its arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pathlen.stats.clusters import By
from pathlen.stats.estimate import Estimate
from pathlen.stats.inference import Sampling
from pathlen.stats.transforms import SCALES

__all__ = ["REPLICATES", "Statistic", "cautions", "checked_draws", "no_contrast"]

REPLICATES = 9999  # the ends of 90 and 95 % intervals are then replicates: nothing is interpolated
FEWEST_REPLICATES = 199


class Statistic(ABC):
    """A number that can be estimated: what the body of a claim returns.

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
        """The number, on its own scale. Nothing is resampled to compute it."""

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that the statistic can have."""
        return SCALES[self.scale].ends

    @abstractmethod
    def sampling(self, *, by: By | None = None, seed: int = 0, replicates: int = REPLICATES) -> Sampling:
        """Return what can be said about the true value; arguments and errors are those of `estimate`."""

    def estimate(
        self, *, level: float = 0.95, by: By | None = None, seed: int = 0, replicates: int = REPLICATES
    ) -> Estimate:
        """Return the statistic with its interval.

        Parameters
        ----------
        level : float
            Confidence level, strictly between 0 and 1.
        by : str, optional
            What is resampled: ``"passages"``, ``"blocks"`` or ``"tokens"``. `pathlen.stats.statistic` says what is chosen
            by default. It has no effect where nothing is ever resampled (a census, an exact bound).
        seed : int
            Seed of the resamples; the same seed gives the same interval, bit for bit.
        replicates : int
            Number of resamples, at least 199.

        Raises
        ------
        ValueError
            If an argument is out of range.
        UndefinedEstimate
            If the value or the spread between units is not a positive finite number, units are too few, or too many
            resamples are degenerate.

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

    def __sub__(self, other: object) -> Statistic:
        raise TypeError(f"two statistics are subtracted with one.minus(other), as {self.name} is of the same tokens")

    def _not_compared(self) -> TypeError:
        return TypeError(
            f"{self.name} is not compared in the body: return it, and say in the decorator where it must lie, "
            "expect=below(...), above(...) or within(...)"
        )

    def minus(self, other: Statistic) -> Statistic:
        """Return the paired contrast ``self - other`` on their common scale.

        Raises
        ------
        TypeError
            If one of them is never resampled: a census, or an exact bound.
        ValueError
            If the two differ in scale or are not of the same tokens.

        """
        raise no_contrast(self, other)


def cautions(*given: str) -> str:
    """Return several cautions as one, without empty or repeated ones."""
    return "; ".join(dict.fromkeys(filter(None, given)))


def no_contrast(statistic: Statistic, other: Statistic) -> TypeError:
    """Return the error for two statistics that can't be subtracted."""
    return TypeError(f"a contrast needs two resampled statistics, but {statistic.name} and {other.name} were given")


def checked_draws(by: By | None, replicates: int, seed: int) -> None:
    """Raise `ValueError` unless these are valid arguments of `Statistic.estimate`."""
    if by not in (None, "passages", "blocks", "tokens"):
        raise ValueError(f"by must be 'passages', 'blocks' or 'tokens', but {by!r} was given")
    if not isinstance(replicates, int) or replicates < FEWEST_REPLICATES:
        raise ValueError(f"replicates must be at least {FEWEST_REPLICATES}, but {replicates} was given")
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, but {seed} was given")
