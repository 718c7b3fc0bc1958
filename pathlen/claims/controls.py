"""Negative controls: places where a claim should not come out supported, and how often it does.

A check that also supports its claim where the claim can't be true has shown nothing. Each claim names the controls that
it must fail on:

============= =========================================================================================================
`UNTRAINED`   a network of the same shape whose weights were never trained, one for each seed: for claims about what a
              language model does
`SHUFFLED`    the network itself on the same tokens in random order: for claims about reading a text
`SHIFTED`     what the network predicts, moved along its passage round the end, by a random amount for each passage; lengths
              stay where they are, and both keep their serial dependence. For claims that relate the two. Where our
              lengths are compared with the published loop's, it is these that are moved
`PLANTED`     a relation of r = -0.2 between last step and next logit, planted into shifted predictions: for claims that
              there is *no* relation, which shifted predictions would only confirm
============= =========================================================================================================

A supported claim is *vacuous* if one of its controls is shown to support it more often than one time in twenty, which
is as often as a sound check may go wrong: if the exact lower 95 % bound on the control's rate lies above 0.05. That takes two
runs of two, three of ten, four of twenty. With every run against the claim, the upper bound on the rate says how far the
control reaches: 26 % with ten runs, 14 % with twenty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pathlen.columns.catalog import CATALOG
from pathlen.models.families import LARGE_NETWORK
from pathlen.stats.exact import exact_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pathlen.columns.table import Trace

__all__ = [
    "EFFORTS",
    "PLANTED",
    "PLANTED_R",
    "PLANTED_WITHIN",
    "SHIFTED",
    "SHUFFLED",
    "UNTRAINED",
    "Control",
    "Effort",
    "Perturbation",
    "Tally",
    "moved",
    "perturbations",
    "planted",
    "shifted",
]


class Control(StrEnum):
    """A kind of place where a claim should not hold; see the module's docstring."""

    UNTRAINED = "untrained"
    SHUFFLED = "shuffled"
    SHIFTED = "shifted"
    PLANTED = "planted"

    @property
    def where(self) -> str:
        """The place in words, to follow "in 3 of 10"."""
        return {
            "untrained": "untrained networks of the same shape",
            "shuffled": "random orders of the same tokens",
            "shifted": "shifted pairings",
            "planted": "planted relations of twice the margin",
        }[self.value]


UNTRAINED, SHUFFLED, SHIFTED, PLANTED = Control
PLANTED_WITHIN = 0.05  # what taking out a trend afterwards may change
PLANTED_R = -0.2  # twice the margin of "about zero", in the direction that the document reports of Small

Effort = Literal["none", "quick", "full"]
EFFORTS: tuple[Effort, ...] = ("none", "quick", "full")
# Runs of each control: full, full on a large network, quick. Shifts and plants need no forward pass.
RUNS = {UNTRAINED: (10, 3, 2), SHUFFLED: (5, 3, 2), SHIFTED: (20, 20, 5), PLANTED: (20, 20, 5)}
ALLOWED = 0.05


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One run of a control: which, and the seed that makes it differ from the others."""

    control: Control
    seed: int

    @property
    def needs_forward_pass(self) -> bool:
        """Whether texts have to be run through a network for it."""
        return self.control in (UNTRAINED, SHUFFLED)


def perturbations(controls: Iterable[Control], effort: Effort, parameters: int) -> list[Perturbation]:
    """Return the runs of controls on a network of so many parameters, those with the network itself first."""
    column = 2 if effort == "quick" else int(parameters > LARGE_NETWORK)
    order = (SHIFTED, PLANTED, SHUFFLED, UNTRAINED)
    asked = set(controls) if effort != "none" else set()
    return [
        Perturbation(control, seed) for control in order if control in asked for seed in range(RUNS[control][column])
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a claim came to in all runs of one control.

    Attributes
    ----------
    control : str
        A value of `Control`.
    runs, supported : int
        Runs, and those in which the claim came out supported.
    values : tuple of float
        The number in each run that had one.
    undefined : int
        Runs without a usable interval, which can neither support a claim nor fail to; and, where a relation should be planted,
        those where the claim's number is of something else.
    seconds : float
        What it cost the process that judges: the claim's own share of measuring, or of waiting for it, and its estimates.
    kept : int
        Runs that an earlier session had made and kept.

    """

    control: str
    runs: int
    supported: int
    values: tuple[float, ...]
    seconds: float
    undefined: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        Control(self.control)  # a hand-edited word is a ValueError
        if self.runs < 1 or not 0 <= self.supported <= self.defined <= self.runs or len(self.values) > self.defined:
            raise ValueError(
                f"a control has from 0 to {self.defined} supported runs and as many values at most, but "
                f"{self.supported} and {len(self.values)} were given"
            )

    @property
    def defined(self) -> int:
        """Runs that could have come out supported."""
        return self.runs - self.undefined

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest rate of support that these runs leave possible, each with 95 %."""
        return exact_bounds(self.supported, self.defined, level=0.9) if self.defined else (0.0, 1.0)

    @property
    def shows_vacuity(self) -> bool:
        """Whether the control is shown to support the claim more often than a sound check may."""
        return self.bounds[0] > ALLOWED

    def __str__(self) -> str:
        where = Control(self.control).where
        if not self.defined:
            return f"no number in any of {self.runs} {where}"
        low, high = self.bounds
        rate = f"at least {low:.0%} of the time" if self.shows_vacuity else f"at most {high:.0%} of the time"
        without = f", no number in {self.undefined} more" if self.undefined else ""
        return f"supported in {self.supported} of {self.defined} {where} ({rate}{without})"


def shifted(trace: Trace, seed: int) -> Trace:
    """Return a trace whose predictions are moved along the text, round its end; lengths stay where they are.

    The last token, which has no next one, keeps its own entropy and top logit.
    """
    return _predicting(trace, moved(trace, seed))


def planted(trace: Trace, seed: int, *, step: str = "step_length") -> Trace:
    """Return a shifted trace whose next logit is related to the last step by `PLANTED_R`.

    Parameters
    ----------
    trace : Trace
        Of one text.
    seed : int
        Of the shift.
    step : str
        ``"step_length"`` for the last block's own step, or ``"final_norm_step"``.

    Notes
    -----
    With both columns standardised over the tokens that will have a row, ``r x + sqrt(1 - r^2) y`` is what the logit
    becomes, ``y`` being the shifted logit without its own relation to ``x``; mean and spread are kept. Nothing else is
    planted: a claim about another column meets no relation here, and its runs don't count.

    """
    made = _predicting(trace, moved(trace, seed))
    length = getattr(trace, step)
    rows = slice(1, len(made.next_logit))  # the first token of a text has no row
    x = _standard((length if length.ndim == 1 else length[-1])[rows])
    logit = made.next_logit[rows]
    rest = _standard(logit)
    rest = _standard(rest - np.mean(x * rest) * x)
    mixed = logit.mean() + logit.std() * (PLANTED_R * x + np.sqrt(1 - PLANTED_R**2) * rest)
    return made.with_columns(next_logit=np.concatenate([made.next_logit[:1], mixed]))


def _standard(column: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = column.std()
    middle: NDArray[np.float64] = column - column.mean()
    return middle / spread if spread > 0 else middle


def moved(trace: Trace, seed: int) -> NDArray[np.intp]:
    """Return from which token each token takes its prediction: never its own, where there is another."""
    paired = len(trace.next_logit)
    # One seed moves every text by another amount, and every size of a family by the same.
    draw = np.random.default_rng([seed, paired, *trace.token_ids[:4].tolist()])
    move = int(draw.integers(1, paired)) if paired > 1 else 0
    return np.roll(np.arange(paired), move)


def _predicting(trace: Trace, order: NDArray[np.intp]) -> Trace:
    own = np.arange(len(order), len(trace.token_ids))

    def moved_along(name: str) -> NDArray[Any]:
        column: NDArray[Any] = getattr(trace, name)
        if CATALOG.get(name) is None or CATALOG[name].part not in ("next", "vocabulary"):
            return column
        return column[order if CATALOG[name].axes[-1] == "next" else np.append(order, own)]

    return trace.with_columns(moved_along)
