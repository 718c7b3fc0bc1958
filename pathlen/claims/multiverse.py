"""Multiverse analysis: a claim's number and verdict under every combination of analysis choices.

A number depends on choices that the claim leaves open: which state, which measure of the next token, which correlation, which
tokens. Each choice is declared with its options, and each option with its kind:

================ ===================================================================================================
`EQUIVALENT`     another defensible way to ask the same question; the claim should hold here too
`SLIP`           a mistake of the published procedure, included to show its effect
`EXTENSION`      a neighbouring question, whose answer may differ
================ ===================================================================================================

A universe is one option of each choice; it is equivalent if all its options are. All universes come from one forward pass and
share their resamples. A verdict is *fragile* if fewer than 80 % of the equivalent universes agree with it.

The joint test asks whether the equivalent universes show any relation: it compares the median of their scores (value over
standard error) with its null distribution, that of the median of the resamples' scores.

References
----------
Simonsohn, Simmons and Nelson, "Specification curve analysis", Nature Human Behaviour 4 (2020), 1208-1214;
Steegen et al., "Increasing transparency through a multiverse analysis", Perspectives on Psychological Science 11 (2016).

"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import prod
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pathlen.claims.verdict import Region, Verdict
from pathlen.errors import InvalidClaim
from pathlen.stats.clusters import By
from pathlen.stats.simultaneous import blended
from pathlen.stats.statistic import FEWEST_PASSAGES, Resampled, Smooth
from pathlen.stats.transforms import SCALES

if TYPE_CHECKING:
    from pathlen.columns.measurement import Measurement, Published

__all__ = [
    "EQUIVALENT",
    "EXTENSION",
    "SLIP",
    "Choice",
    "Curve",
    "Multiverse",
    "Option",
    "curve",
]

Kind = Literal["equivalent", "slip", "extension"]
EQUIVALENT: Kind = "equivalent"
SLIP: Kind = "slip"
EXTENSION: Kind = "extension"

REPLICATES = 1999
ROUNDING = 1e-9  # two ways to compute one number differ by no more than this
FRAGILE_BELOW = 0.8
LETTERS = {Verdict.SUPPORTED: "s", Verdict.REFUTED: "r", Verdict.INCONCLUSIVE: "i"}

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to make a choice. The first option of a choice is the default analysis."""

    name: str
    kind: Kind = EQUIVALENT


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision that an analyst has to make, with its options."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiverse:
    """The choices behind one kind of number, and the code that computes all of its universes.

    Attributes
    ----------
    name : str
        The relation in words.
    choices : tuple of Choice
        The universes are their Cartesian product in order, the last choice varying fastest.
    of : callable
        Maps a model's aligned columns to a list of statistics, each holding several universes side by side; together they
        hold every universe in order.
    original : callable
        Maps the published columns to the statistic of the published procedure.

    """

    name: str
    choices: tuple[Choice, ...]
    of: Callable[[Measurement], list[Smooth]]
    original: Callable[[Published], Smooth]

    def __len__(self) -> int:
        """Return the number of universes, not counting the published procedure."""
        return prod(len(choice.options) for choice in self.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The specification curve of a claim: its number and verdict in every universe.

    Attributes
    ----------
    choices : tuple of Choice
        See `Multiverse`; the universes are their Cartesian product, the last choice varying fastest.
    values : tuple of float
        The number in each universe, on the statistic's natural scale, to four decimals.
    verdicts : str
        One letter per universe: s(upported), r(efuted), i(nconclusive), by the claim's region and the universe's interval.
    verdict : str
        The verdict of the claim's own analysis, before controls.
    published : float
        The number of the published procedure, mistakes included.
    p_value : float or None
        Of the joint test; None without resampling.

    """

    choices: tuple[Choice, ...]
    values: tuple[float, ...]
    verdicts: str
    verdict: str
    published: float
    p_value: float | None

    def __post_init__(self) -> None:
        count = prod(len(choice.options) for choice in self.choices)
        if not len(self.values) == len(self.verdicts) == count or set(self.verdicts) - set(LETTERS.values()):
            raise ValueError(
                f"{count} universes need as many values and verdicts (s, r or i), but {len(self.values)} and "
                f"{self.verdicts!r:.40} were given"
            )
        if Verdict(self.verdict) not in LETTERS:
            raise ValueError(f"verdict must be one that an interval gives, but {self.verdict!r} was given")

    @property
    def shape(self) -> tuple[int, ...]:
        """How many options each choice has."""
        return tuple(len(choice.options) for choice in self.choices)

    @property
    def kinds(self) -> list[Kind]:
        """The kind of each universe: equivalent if all its options are, an extension if any is, else a slip."""
        return _kinds(self.choices)

    def values_of(self, kind: Kind) -> list[float]:
        """Return the numbers of all universes of a kind."""
        return [value for value, its_kind in zip(self.values, self.kinds, strict=True) if its_kind == kind]

    @property
    def agreeing(self) -> float:
        """The share of equivalent universes that agree with the claim's verdict."""
        claims_letter = LETTERS[Verdict(self.verdict)]
        letters = [letter for letter, kind in zip(self.verdicts, self.kinds, strict=True) if kind == EQUIVALENT]
        return letters.count(claims_letter) / len(letters)

    @property
    def is_fragile(self) -> bool:
        """Whether the claim was decided, but too few equivalent universes agree."""
        return self.verdict != Verdict.INCONCLUSIVE.value and self.agreeing < FRAGILE_BELOW

    @property
    def median(self) -> float:
        """The median number over the equivalent universes."""
        return float(np.median(self.values_of(EQUIVALENT)))

    @property
    def moves(self) -> list[tuple[str, float]]:
        """Each choice with the range of the number over its options, averaged over the other choices, largest first."""
        table = np.reshape(self.values, self.shape)
        spans = [(choice.name, float(np.ptp(table, axis=axis).mean())) for axis, choice in enumerate(self.choices)]
        return sorted(spans, key=lambda name_and_span: -name_and_span[1])


def curve(
    multiverse: Multiverse,
    columns: Sequence[tuple[Measurement, Published]],
    region: Region,
    verdict: Verdict,
    *,
    seed: int,
    own: float | None = None,
) -> Curve:
    """Return the specification curve of a claim.

    Parameters
    ----------
    multiverse : Multiverse
        The choices, and the code that computes the universes.
    columns : sequence of (Measurement, Published)
        Of one model; of two, for a claim about the paired contrast ``first - second``; or of more, for a claim about the
        largest difference between any two.
    region : Region
        Where the claim holds.
    verdict : Verdict
        The verdict of the claim's own analysis.
    seed : int
        Of the resamples.
    own : float, optional
        The claim's own number. One of the universes has to reproduce it.

    Raises
    ------
    InvalidClaim
        If no universe reproduces the claim's own number.
    UndefinedEstimate
        If a universe has no number or no interval, for example because a text has no tokens left.

    """
    by_model = [multiverse.of(measured) for measured, _ in columns]
    originals = [multiverse.original(published) for _, published in columns]
    back = SCALES[by_model[0][0].scale if len(columns) == 1 else "identity"].back
    groups = [_across_models(statistics, seed) for statistics in zip(*by_model, strict=True)]
    published = _across_models(originals, seed).value[0]
    values, errors = (np.concatenate([getattr(group, name) for group in groups]) for name in ("value", "error"))
    numbers = [back(value) for value in values]
    if own is not None and min(abs(number - own) for number in numbers) > ROUNDING:
        raise InvalidClaim(
            f"a claim declares the universes of {multiverse.name}, but its number {own:.6f} is none of theirs, so they are "
            "of something else"
        )
    ends = np.concatenate([group.ends(region.level) for group in groups], axis=1)
    letters = [LETTERS[region.judge(back(low), back(high))] for low, high in ends.T]
    scores = [group.scores for group in groups if group.scores is not None]
    is_equivalent = np.array([kind == EQUIVALENT for kind in _kinds(multiverse.choices)])
    is_resampled = len(scores) == len(groups)
    return Curve(
        choices=multiverse.choices,
        values=tuple(round(number, 4) for number in numbers),
        verdicts="".join(letters),
        verdict=verdict.value,
        published=round(back(float(published)), 4),
        p_value=(
            _joint_p_value((values / errors)[is_equivalent], np.concatenate(scores, axis=1)[:, is_equivalent])
            if is_resampled
            else None
        ),
    )


def _kinds(choices: Sequence[Choice]) -> list[Kind]:
    universe_kinds: list[Kind] = []
    for options in product(*(choice.options for choice in choices)):
        kinds = {option.kind for option in options}
        universe_kinds.append(EXTENSION if EXTENSION in kinds else SLIP if SLIP in kinds else EQUIVALENT)
    return universe_kinds


def _joint_p_value(observed: Array, resampled: Array) -> float:
    usable = resampled[np.isfinite(resampled).all(axis=1)]
    at_least = np.count_nonzero(np.abs(np.median(usable, axis=1)) >= abs(np.median(observed)))
    return float((at_least + 1) / (len(usable) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Universes:
    """Several universes side by side, on the scale of their intervals.

    ``scores`` are those of the resamples. ``reach`` maps a level to how many standard errors each interval extends below and
    above its value.
    """

    value: Array
    error: Array
    scores: Array | None
    reach: Callable[[float], tuple[Array, Array]]

    def ends(self, level: float) -> Array:
        """Return the intervals of a level, shape ``(2, cells)``."""
        below, above = self.reach(level)
        return np.stack([self.value - below * self.error, self.value + above * self.error])


def _across_models(statistics: Sequence[Smooth], seed: int) -> _Universes:
    """Return one model's numbers, the contrast of two, or the largest difference between several."""
    if len(statistics) == 1:
        return _single(statistics[0].resampled(seed=seed, replicates=REPLICATES))
    contrasts = [first.minus(second) for first, second in combinations(statistics, 2)]
    if len(contrasts) == 1:
        return _single(contrasts[0].resampled(seed=seed, replicates=REPLICATES))
    # The interval is simultaneous over all contrasts, so with too few passages they have to share their blocks.
    by_passages = contrasts[0].passages.count >= FEWEST_PASSAGES
    block = None if by_passages else max(contrast.block_length() for contrast in contrasts)
    by: By = "passages" if by_passages else "blocks"
    return _largest(
        [contrast.resampled(by=by, seed=seed, replicates=REPLICATES, block=block) for contrast in contrasts]
    )


def _single(resampled: Resampled) -> _Universes:
    pivots = [resampled.pivot(cell) for cell in range(len(resampled.value))]

    def reach(level: float) -> tuple[Array, Array]:
        tails = ((1 + level) / 2, (1 - level) / 2)
        above, below = (np.array([pivot.quantile(tail) for pivot in pivots]) for tail in tails)
        return above, -below

    return _Universes(value=resampled.value, error=resampled.error, scores=resampled.scores, reach=reach)


def _largest(contrasts: Sequence[Resampled]) -> _Universes:
    """Return the largest of several absolute differences, with intervals that are simultaneous over all of them."""
    size = np.stack([np.abs(contrast.value) for contrast in contrasts])
    error = np.stack([contrast.error for contrast in contrasts])
    largest = (size.argmax(axis=0), np.arange(size.shape[1]))
    scores = blended(contrasts).reshape(-1, *size.shape)
    largest_scores = np.abs(scores).max(axis=1)

    def reach(level: float) -> tuple[Array, Array]:
        radius = np.quantile(largest_scores, level, axis=0, method="weibull")
        low = (size - radius * error).max(axis=0).clip(min=0)
        high = (size + radius * error).max(axis=0)
        return (size[largest] - low) / error[largest], (high - size[largest]) / error[largest]

    return _Universes(value=size[largest], error=error[largest], scores=largest_scores, reach=reach)
