"""The multiverse of the relation between the last step and the next token: 864 analyses, 72 of them equivalent.

Six of the 72 count twice: ranks can't tell a probability from its logarithm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pathlen.claims.multiverse import EXTENSION, SLIP, Choice, Multiverse, Option
from pathlen.errors import UndefinedEstimate
from pathlen.stats.clusters import Passages, is_rounding
from pathlen.stats.correlation import pearson
from pathlen.stats.products import all_pairs
from pathlen.stats.ranks import mid_ranks, pulled_in
from pathlen.stats.statistic import FEWEST_PASSAGES, Smooth

if TYPE_CHECKING:
    from pathlen.columns.measurement import Measurement

__all__ = ["LAST_STEP_AND_NEXT_TOKEN"]

Array = NDArray[np.float64]

TRANSFORMS = (
    np.positive,
    mid_ranks,
    pulled_in,
)  # for each option of "correlation": Pearson's r of columns so transformed
TOKENS_LEFT_OUT = (1, 4, 8)
CHOICES = (
    Choice("correlation", (Option("Pearson"), Option("Spearman"), Option("winsorised 5 %"))),
    Choice("first tokens left out", tuple(Option(str(tokens)) for tokens in TOKENS_LEFT_OUT)),
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
STEPS, NEXT = 4, 6  # options of "state" times "step", and of "next token"


def _correlations(measured: Measurement) -> list[Smooth]:
    """Return one statistic per option of the first three choices, with the universes of the last three side by side."""
    columns = _columns(measured)
    statistics = []
    for transform in TRANSFORMS:
        for first_token in TOKENS_LEFT_OUT:
            rows = measured.token >= first_token
            passages = Passages.of(measured.passage[rows])
            transformed = passages.within(transform, columns[:, rows])
            detrended, centred = (_detrended(transformed, passages, trend) for trend in (1, 0))
            without_norm, without_frequency = (_without(detrended, covariate) for covariate in (-2, -1))
            for adjusted in (detrended, centred, without_norm, without_frequency):
                steps, next_tokens = adjusted[:STEPS], adjusted[STEPS : STEPS + NEXT]
                if passages.count >= FEWEST_PASSAGES:
                    statistics.append(all_pairs(steps, next_tokens, passages=passages))
                else:
                    x, y = np.repeat(steps, NEXT, axis=0), np.tile(next_tokens, (STEPS, 1))
                    statistics.append(pearson(x, y, passage=measured.passage[rows], trend=0))
    return statistics


def _columns(measured: Measurement) -> Array:
    """Return the four steps, the six measures of the next token, and the two covariates, as rows."""
    norm_before = measured.residual_norm[-2]
    steps = (measured.last_step, measured.final_norm_step)
    x = np.stack([column for step in steps for column in (step, step / norm_before)])
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
    covariates = np.stack([norm_before, measured.log_frequency])
    return np.concatenate([x, y, covariates])


def _detrended(columns: Array, passages: Passages, trend: int) -> Array:
    """Return columns without mean and trend; `UndefinedEstimate` if only rounding error is left of one."""
    residuals = passages.detrended(columns, trend)
    if is_rounding(np.sqrt(np.mean(residuals**2, axis=-1)), columns):
        raise UndefinedEstimate("a column that universes are made of is nothing but a trend within every passage")
    return residuals


def _without(columns: Array, covariate: int) -> Array:
    """Return columns without their linear part in one of them."""
    regressor = columns[covariate]
    residuals: Array = columns - (columns @ regressor / (regressor @ regressor))[:, None] * regressor
    return residuals


LAST_STEP_AND_NEXT_TOKEN = Multiverse(
    name="last step and next token",
    choices=CHOICES,
    of=_correlations,
    original=lambda published: pearson(published.last_step, published.next_logit, passage=published.passage, trend=0),
)
