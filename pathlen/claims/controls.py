"""Negative controls: settings in which a claim should not come out supported, and how often it does.

A check that supports its claim even where the claim can't be true shows nothing. Each claim names the controls that it must
fail on:

============= =========================================================================================================
`UNTRAINED`   networks of the same shape with random weights, one per seed: for claims about what a language model does
`SHUFFLED`    the network itself on the same tokens in random order: for claims about reading a text
`SHIFTED`     the network's predictions, rotated along each passage by a random amount; lengths stay in place, and both keep
              their serial dependence: for claims that relate the two. Claims that compare our lengths with the published
              loop's have the published lengths rotated instead
`PLANTED`     a relation of r = -0.2 between last step and next logit, planted into shifted predictions: for claims that
              there is *no* relation, which shifted predictions would only confirm
============= =========================================================================================================

A supported claim is *vacuous* if one of its controls supports it demonstrably more often than the 5 % of the time that a
sound check may go wrong, i.e. if the exact lower 95 % bound on the control's rate lies above 0.05. That takes two of two
runs, three of ten, or four of twenty. If no run supports the claim, the upper bound on the rate shows how much the control
can rule out: rates above 26 % with ten runs, above 14 % with twenty.
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
    """A setting in which a claim should not hold; see the module's docstring."""

    UNTRAINED = "untrained"
    SHUFFLED = "shuffled"
    SHIFTED = "shifted"
    PLANTED = "planted"

    @property
    def where(self) -> str:
        """The setting in words that can follow "in 3 of 10"."""
        return {
            "untrained": "untrained networks of the same shape",
            "shuffled": "random orders of the same tokens",
            "shifted": "shifted pairings",
            "planted": "planted relations of twice the margin",
        }[self.value]


UNTRAINED, SHUFFLED, SHIFTED, PLANTED = Control
PLANTED_WITHIN = 0.05  # how far a claim's number may lie from the planted r: detrending afterwards changes it
PLANTED_R = -0.2  # twice the margin of "about zero", in the direction that the document reports for Small

Effort = Literal["none", "quick", "full"]
EFFORTS: tuple[Effort, ...] = ("none", "quick", "full")
# Runs of each control: full, full on a large network, quick. Shifted and planted runs need no forward pass.
RUNS = {UNTRAINED: (10, 3, 2), SHUFFLED: (5, 3, 2), SHIFTED: (20, 20, 5), PLANTED: (20, 20, 5)}
ALLOWED_RATE = 0.05  # how often a sound check may support a claim that does not hold


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One run of a control, and the seed that distinguishes it from the control's other runs."""

    control: Control
    seed: int

    @property
    def needs_forward_pass(self) -> bool:
        """Whether texts have to be run through a network again."""
        return self.control in (UNTRAINED, SHUFFLED)


def perturbations(controls: Iterable[Control], effort: Effort, parameters: int) -> list[Perturbation]:
    """Return the control runs on a network of this many parameters, those of the network's own weights first."""
    column = 2 if effort == "quick" else int(parameters > LARGE_NETWORK)
    order = (SHIFTED, PLANTED, SHUFFLED, UNTRAINED)
    requested = set(controls) if effort != "none" else set()
    return [
        Perturbation(control, seed)
        for control in order
        if control in requested
        for seed in range(RUNS[control][column])
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Outcomes of a claim over all runs of one control.

    Attributes
    ----------
    control : str
        A value of `Control`.
    runs, supported : int
        All runs, and those in which the claim came out supported.
    values : tuple of float
        The number from each run that gave one.
    undefined : int
        Runs that can't count for or against the claim: those without a usable interval and, for planted relations, those in
        which the claim's number concerns other columns than the planted ones.
    seconds : float
        Time spent by the process that judges: the claim's share of measuring, or of waiting for it, and its estimates.
    kept : int
        Runs taken from the cache of an earlier session.

    """

    control: str
    runs: int
    supported: int
    values: tuple[float, ...]
    seconds: float
    undefined: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        Control(self.control)  # raises ValueError for an unknown name in an edited record
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
        """Exact lower and upper bounds on the rate of support, each at 95 % confidence."""
        return exact_bounds(self.supported, self.defined, level=0.9) if self.defined else (0.0, 1.0)

    @property
    def shows_vacuity(self) -> bool:
        """Whether the control demonstrably supports the claim more often than a sound check may."""
        return self.bounds[0] > ALLOWED_RATE

    def __str__(self) -> str:
        where = Control(self.control).where
        if not self.defined:
            return f"no number in any of {self.runs} {where}"
        low, high = self.bounds
        rate = f"at least {low:.0%} of the time" if self.shows_vacuity else f"at most {high:.0%} of the time"
        undefined = f", no number in {self.undefined} more" if self.undefined else ""
        return f"supported in {self.supported} of {self.defined} {where} ({rate}{undefined})"


def shifted(trace: Trace, seed: int) -> Trace:
    """Return a trace whose predictions are rotated along the text while lengths stay in place.

    The last token has no next token and keeps its own entropy and top logit.
    """
    order = moved(trace, seed)
    unpaired = np.arange(len(order), len(trace.token_ids))  # tokens without a next token stay in place

    def shifted_column(name: str) -> NDArray[Any]:
        column: NDArray[Any] = getattr(trace, name)
        if CATALOG.get(name) is None or CATALOG[name].part not in ("next", "vocabulary"):
            return column
        return column[order if CATALOG[name].axes[-1] == "next" else np.append(order, unpaired)]

    return trace.with_columns(shifted_column)


def planted(trace: Trace, seed: int, *, step: str = "step_length") -> Trace:
    """Return a shifted trace whose next logit is related to the last step by `PLANTED_R`.

    Parameters
    ----------
    trace : Trace
        Of one text.
    seed : int
        Of the shift.
    step : str
        ``"step_length"`` for the step of the last block, or ``"final_norm_step"``.

    Notes
    -----
    With both columns standardised over the tokens that will have a row, the logit becomes ``r x + sqrt(1 - r^2) y``, where
    ``y`` is the shifted logit after its regression on ``x`` is removed; mean and standard deviation are restored. No other
    relation is planted, so runs don't count for a claim about other columns.

    """
    shifted_trace = shifted(trace, seed)
    length = getattr(trace, step)
    rows = slice(1, len(shifted_trace.next_logit))  # the first token of a text has no row
    x = _standardised((length if length.ndim == 1 else length[-1])[rows])
    logit = shifted_trace.next_logit[rows]
    residual = _standardised(logit)
    residual = _standardised(residual - np.mean(x * residual) * x)
    planted_logit = logit.mean() + logit.std() * (PLANTED_R * x + np.sqrt(1 - PLANTED_R**2) * residual)
    return shifted_trace.with_columns(next_logit=np.concatenate([shifted_trace.next_logit[:1], planted_logit]))


def _standardised(column: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = column.std()
    centred: NDArray[np.float64] = column - column.mean()
    return centred / spread if spread > 0 else centred


def moved(trace: Trace, seed: int) -> NDArray[np.intp]:
    """Return the index of the token from which each token takes its prediction: never its own if there is another."""
    paired = len(trace.next_logit)
    # For one seed, each text moves by a different amount, but by the same amount in every size of a family.
    draw = np.random.default_rng([seed, paired, *trace.token_ids[:4].tolist()])
    shift = int(draw.integers(1, paired)) if paired > 1 else 0
    return np.roll(np.arange(paired), shift)
