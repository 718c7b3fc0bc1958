"""Every defensible analysis of one claim at once: the universes that an analyst's choices span.

A number depends on choices that the claim does not make: which state, which measure of what comes next, which correlation,
which tokens. Each choice is declared with its options, and each option with what it is:

================ ===================================================================================================
`EQUIVALENT`     another defensible way to ask the same question; the claim should hold in these too
`SLIP`           a mistake of the published procedure, kept to show what it does
`EXTENSION`      a neighbouring question, whose answer may differ
================ ===================================================================================================

A universe is one option of each choice; it is equivalent if all its options are. (Six of the 72 equivalent ones here count twice:
ranks can't tell a probability from its logarithm.) All universes come from one forward pass,
and share their resamples. A verdict is *fragile* if fewer than 80 % of the equivalent universes come to it.

The joint test asks whether the equivalent universes show any relation at all: the median of their scores (value over
standard error) against its distribution when nothing is there, which is that of the median of the resamples' scores.

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
from pathlen.errors import InvalidClaim, UndefinedEstimate
from pathlen.stats.clusters import By, Passages, is_rounding
from pathlen.stats.correlation import all_pairs, mid_ranks, pearson, pulled_in
from pathlen.stats.multiplicity import blended
from pathlen.stats.statistic import FEWEST_PASSAGES, Resampled, Smooth
from pathlen.stats.transforms import SCALES

if TYPE_CHECKING:
    from pathlen.columns.measurement import Measurement, Published

__all__ = [
    "EQUIVALENT",
    "EXTENSION",
    "LAST_STEP_AND_NEXT_TOKEN",
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
SAME = 1e-9  # two ways to one number differ by rounding only
FRAGILE_BELOW = 0.8
LETTERS = {Verdict.SUPPORTED: "s", Verdict.REFUTED: "r", Verdict.INCONCLUSIVE: "i"}

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to make a choice; the first option of a choice is the usual one here."""

    name: str
    kind: Kind = EQUIVALENT


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that an analyst has to decide."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiverse:
    """The choices behind one kind of number, and how all of its universes are computed.

    Attributes
    ----------
    name : str
        What is related, in words.
    choices : tuple of Choice
        Universes are numbered as their product, the last choice running fastest.
    of : callable
        From the aligned columns of a model to its statistics, each with several universes side by side, which together hold
        every universe in order.
    original : callable
        From the published columns to the statistic as the published procedure computed it.

    """

    name: str
    choices: tuple[Choice, ...]
    of: Callable[[Measurement], list[Smooth]]
    original: Callable[[Published], Smooth]

    def __len__(self) -> int:
        """Return the number of universes, the published one not among them."""
        return prod(len(choice.options) for choice in self.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a claim comes to in every universe.

    Attributes
    ----------
    choices : tuple of Choice
        See `Multiverse`; the universes are their product, the last choice running fastest.
    values : tuple of float
        The number in each universe, on the claim's own scale, to four decimals.
    verdicts : str
        A letter for each: s(upported), r(efuted), i(nconclusive), by the claim's region and the universe's own interval.
    verdict : str
        What the claim's own analysis came to, controls apart.
    published : float
        The number of the published procedure, slips included.
    p_value : float or None
        Of the joint test; None where nothing was resampled.

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
        """Of each universe: equivalent if all its options are, an extension if any is, else a slip."""
        return _kinds(self.choices)

    def values_of(self, kind: Kind) -> list[float]:
        """Return the numbers of all universes of a kind."""
        return [value for value, one in zip(self.values, self.kinds, strict=True) if one == kind]

    @property
    def agreeing(self) -> float:
        """The share of equivalent universes that come to the claim's verdict."""
        mine = LETTERS[Verdict(self.verdict)]
        letters = [letter for letter, kind in zip(self.verdicts, self.kinds, strict=True) if kind == EQUIVALENT]
        return letters.count(mine) / len(letters)

    @property
    def is_fragile(self) -> bool:
        """Whether the claim was decided, and too few equivalent universes decide it likewise."""
        return self.verdict != Verdict.INCONCLUSIVE.value and self.agreeing < FRAGILE_BELOW

    @property
    def median(self) -> float:
        """The median number over the equivalent universes."""
        return float(np.median(self.values_of(EQUIVALENT)))

    @property
    def moves(self) -> list[tuple[str, float]]:
        """Each choice with how far the number goes from its least to its largest option, on average, largest first."""
        table = np.reshape(self.values, self.shape)
        spans = [(choice.name, float(np.ptp(table, axis=axis).mean())) for axis, choice in enumerate(self.choices)]
        return sorted(spans, key=lambda one: -one[1])


def curve(
    multiverse: Multiverse,
    columns: Sequence[tuple[Measurement, Published]],
    region: Region,
    verdict: Verdict,
    *,
    seed: int,
    own: float | None = None,
) -> Curve:
    """Return what a claim comes to in every universe.

    Parameters
    ----------
    multiverse : Multiverse
        The choices, and how the universes are computed.
    columns : sequence of (Measurement, Published)
        Of one model; of two, whose paired contrast ``first - second`` the claim is about; or of more, between any two of
        which the claim is about the largest difference.
    region : Region
        Where the claim holds.
    verdict : Verdict
        What the claim's own analysis came to.
    seed : int
        Of the resamples.
    own : float, optional
        The claim's own number, which one of the universes has to give: else they are of something else.

    Raises
    ------
    InvalidClaim
        If none does.
    UndefinedEstimate
        If a universe has no number or no interval, for example because a text has no tokens left.

    """
    parts = [multiverse.of(measured) for measured, _ in columns]
    originals = [multiverse.original(published) for _, published in columns]
    back = SCALES[parts[0][0].scale if len(columns) == 1 else "identity"].back
    found = [_together(side_by_side, seed) for side_by_side in zip(*parts, strict=True)]
    published = _together(originals, seed).value[0]
    value, error = (np.concatenate([getattr(one, name) for one in found]) for name in ("value", "error"))
    numbers = [back(one) for one in value]
    if own is not None and min(abs(number - own) for number in numbers) > SAME:
        raise InvalidClaim(
            f"a claim declares the universes of {multiverse.name}, but its number {own:.6f} is none of theirs, so they are "
            "of something else"
        )
    ends = np.concatenate([one.ends(region.level) for one in found], axis=1)
    letters = [LETTERS[region.judge(back(low), back(high))] for low, high in ends.T]
    scores = [one.scores for one in found if one.scores is not None]
    same = np.array([kind == EQUIVALENT for kind in _kinds(multiverse.choices)])
    is_resampled = len(scores) == len(found)
    return Curve(
        choices=multiverse.choices,
        values=tuple(round(number, 4) for number in numbers),
        verdicts="".join(letters),
        verdict=verdict.value,
        published=round(back(float(published)), 4),
        p_value=_joint((value / error)[same], np.concatenate(scores, axis=1)[:, same]) if is_resampled else None,
    )


def _kinds(choices: Sequence[Choice]) -> list[Kind]:
    found: list[Kind] = []
    for options in product(*(choice.options for choice in choices)):
        kinds = {option.kind for option in options}
        found.append(EXTENSION if EXTENSION in kinds else SLIP if SLIP in kinds else EQUIVALENT)
    return found


def _joint(found: Array, scores: Array) -> float:
    usable = scores[np.isfinite(scores).all(axis=1)]
    at_least = np.count_nonzero(np.abs(np.median(usable, axis=1)) >= abs(np.median(found)))
    return float((at_least + 1) / (len(usable) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Universes:
    """Numbers side by side on their scale, with resampled scores and the pivots that intervals are read from."""

    value: Array
    error: Array
    scores: Array | None
    reach: Callable[[float], tuple[Array, Array]]

    def ends(self, level: float) -> Array:
        """Return intervals of a level, ``(2, cells)``."""
        below, above = self.reach(level)
        return np.stack([self.value - below * self.error, self.value + above * self.error])


def _together(statistics: Sequence[Smooth], seed: int) -> _Universes:
    """Return one model's numbers, the contrast of two, or the largest difference between several."""
    if len(statistics) == 1:
        return _single(statistics[0].resampled(seed=seed, replicates=REPLICATES))
    pairs = [one.minus(other) for one, other in combinations(statistics, 2)]
    if len(pairs) == 1:
        return _single(pairs[0].resampled(seed=seed, replicates=REPLICATES))
    # Pairs are judged at once, so where passages are too few they have to share their blocks.
    is_whole = pairs[0].passages.count >= FEWEST_PASSAGES
    block = None if is_whole else max(pair.block_length() for pair in pairs)
    by: By = "passages" if is_whole else "blocks"
    return _largest([pair.resampled(by=by, seed=seed, replicates=REPLICATES, block=block) for pair in pairs])


def _single(found: Resampled) -> _Universes:
    pivots = [found.pivot(cell) for cell in range(len(found.value))]

    def reach(level: float) -> tuple[Array, Array]:
        tails = ((1 + level) / 2, (1 - level) / 2)
        above, below = (np.array([pivot.quantile(tail) for pivot in pivots]) for tail in tails)
        return above, -below

    return _Universes(value=found.value, error=found.error, scores=found.scores, reach=reach)


def _largest(pairs: Sequence[Resampled]) -> _Universes:
    """Return the largest of several differences, with intervals that hold all of them at once."""
    size = np.stack([np.abs(one.value) for one in pairs])
    error = np.stack([one.error for one in pairs])
    which = size.argmax(axis=0)
    at = (which, np.arange(size.shape[1]))
    scores = blended(pairs).reshape(-1, *size.shape)
    largest = np.abs(scores).max(axis=1)

    def reach(level: float) -> tuple[Array, Array]:
        far = np.quantile(largest, level, axis=0, method="weibull")
        low = (size - far * error).max(axis=0).clip(min=0)
        high = (size + far * error).max(axis=0)
        return (size[at] - low) / error[at], (high - size[at]) / error[at]

    return _Universes(value=size[at], error=error[at], scores=largest, reach=reach)


# The universes of the relation between the last step and the next token.

_RELATED = (
    Choice("correlation", (Option("Pearson"), Option("Spearman"), Option("winsorised 5 %"))),
    Choice("first tokens left out", (Option("1"), Option("4"), Option("8"))),
    Choice(
        "taken out",
        (
            Option("trend along the text"),
            Option("nothing"),
            Option("trend and residual norm", EXTENSION),
            Option("trend and token frequency", EXTENSION),
        ),
    ),
    Choice("state", (Option("before the final norm"), Option("after it", SLIP))),
    Choice("step", (Option("its length"), Option("over the norm before it", EXTENSION))),
    Choice(
        "next token",
        (
            Option("logit"),
            Option("log-probability"),
            Option("probability"),
            Option("rank, reversed"),
            Option("entropy, reversed", EXTENSION),
            Option("top logit", EXTENSION),
        ),
    ),
)
_LEFT_OUT = (1, 4, 8)


def _last_step(measured: Measurement) -> list[Smooth]:
    """Return a statistic for each correlation, number left out and thing taken out, universes of columns side by side."""
    before = measured.residual_norm[-2]
    steps = (measured.last_step, measured.final_norm_step)
    x = np.stack([column for step in steps for column in (step, step / before)])
    y = np.stack(
        [
            measured.next_logit,
            measured.next_log_probability,
            measured.next_probability,
            -measured.next_rank.astype(np.float64),
            -measured.entropy,
            measured.top_logit,
        ]
    )
    others = np.stack([before, measured.log_frequency])
    found = []
    for transform in (np.positive, mid_ranks, pulled_in):
        for least in _LEFT_OUT:
            kept = measured.token >= least
            passages = Passages.of(measured.passage[kept])
            columns = passages.within(transform, np.concatenate([x, y, others])[:, kept])
            straight, centred = (_left(columns, passages, trend) for trend in (1, 0))
            for taken in (straight, centred, _without(straight, -2), _without(straight, -1)):
                if passages.count >= FEWEST_PASSAGES:
                    found.append(all_pairs(taken[:4], taken[4:10], passages=passages))
                else:
                    one, two = np.repeat(taken[:4], 6, axis=0), np.tile(taken[4:10], (4, 1))
                    found.append(pearson(one, two, passage=measured.passage[kept], trend=0))
    return found


def _left(columns: Array, passages: Passages, trend: int) -> Array:
    """Return what is left of columns without trend and mean; there has to be something."""
    left = passages.detrended(columns, trend)
    if is_rounding(np.sqrt(np.mean(left**2, axis=-1)), columns):
        raise UndefinedEstimate("a column that universes are made of is nothing but a trend within every passage")
    return left


def _without(columns: Array, which: int) -> Array:
    """Return columns without their linear part in one of them."""
    other = columns[which]
    left: Array = columns - (columns @ other / (other @ other))[:, None] * other
    return left


LAST_STEP_AND_NEXT_TOKEN = Multiverse(
    name="last step and next token",
    choices=_RELATED,
    of=_last_step,
    original=lambda published: pearson(published.last_step, published.next_logit, passage=published.passage, trend=0),
)
