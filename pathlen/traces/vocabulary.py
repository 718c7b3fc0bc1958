"""What a model predicts after each token, from its state after the final norm.

The logit of the actual next token is one dot product per token. The product with the whole vocabulary, a third of a pass
through GPT-2 Small, is skipped unless log-probability, rank, entropy or top logit is wanted. Those are accumulated over slices
of the vocabulary, so no array of tokens by vocabulary is ever made.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pathlen.columns.catalog import CATALOG
from pathlen.models.architecture import Architecture
from pathlen.traces.geometry import widest
from pathlen.traces.kernels.matmul import product

__all__ = ["predictions"]

VOCABULARY_SLICE = 1024  # tokens of the vocabulary at a time: 340 x 1,024 logits fit in a core's cache
VOCABULARY = frozenset(name for name, column in CATALOG.items() if column.part == "vocabulary")


def predictions(states: Tensor, model: Architecture, targets: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
    """Return the wanted columns of what the model predicts after each state.

    Parameters
    ----------
    states : Tensor, shape (tokens, d_model)
        After the final norm.
    model : Architecture
        Whose unembedding, weight and offset, is used.
    targets : Tensor of int, shape (tokens,) or (tokens - 1,)
        The token that came next after each state; the text's last token has none.
    wanted : frozenset of str
        Names of columns; those of other parts are ignored.

    Returns
    -------
    dict of str to Tensor
        By name; columns with the axis ``next`` are as long as ``targets``, others as long as ``states``.

    Notes
    -----
    One pass over the vocabulary gives everything: with the running maximum ``m``, ``s = sum exp(z - m)`` and
    ``t = sum (z - m) exp(z - m)``, the log-sum-exp is ``m + log s`` and the entropy ``log s - t / s``.

    """
    columns: dict[str, Tensor] = {}
    if not wanted & (VOCABULARY | {"next_logit"}):
        return columns
    wide = widest(states)
    # A product in half precision would be rounded to three digits; widening the head slice by slice costs little memory.
    states = states.float() if states.dtype != torch.float64 else states
    head, offset = model.unembedding, model.offset
    logit = torch.linalg.vecdot(states[: len(targets)], head[targets].to(states.dtype))
    if offset is not None:
        logit = logit + offset[targets]
    columns["next_logit"] = logit
    if wanted & VOCABULARY:
        columns |= _over_vocabulary(states, model, targets, logit, wide, wanted)
    return {name: column for name, column in columns.items() if name in wanted}


def _over_vocabulary(
    states: Tensor, model: Architecture, targets: Tensor, logit: Tensor, wide: torch.dtype, wanted: frozenset[str]
) -> dict[str, Tensor]:
    head, offset = model.unembedding, model.offset
    top = torch.full_like(states[:, 0], -torch.inf)
    mass = torch.zeros_like(top, dtype=wide)
    moment = torch.zeros_like(mass)
    above = torch.zeros_like(targets)
    for first in range(0, len(head), VOCABULARY_SLICE):
        part = slice(first, first + VOCABULARY_SLICE)
        logits = product(states, head[part].to(states.dtype), None if offset is None else offset[part])
        if "next_rank" in wanted:
            is_above = logits[: len(targets)] > logit[:, None]
            row = torch.nonzero((targets >= first) & (targets < first + logits.shape[1]))[:, 0]
            is_above[row, targets[row] - first] = False  # the target's own logit may be rounded differently here
            above += is_above.sum(dim=-1)
        highest = torch.maximum(top, logits.amax(dim=-1))
        if wanted & {"entropy", "next_log_probability"}:
            fall = (top - highest).to(wide)
            shrink = fall.exp()
            logits -= highest[:, None]
            weight = logits.exp()
            if "entropy" in wanted:
                risen = torch.where(mass > 0, fall * mass, 0.0)
                moment = shrink * (moment + risen) + torch.linalg.vecdot(logits, weight).to(wide)
            mass = shrink * mass + weight.sum(dim=-1).to(wide)
        top = highest
    return {
        "next_log_probability": logit.to(wide) - (top.to(wide) + mass.log())[: len(targets)],
        "next_rank": above + 1,
        "top_logit": top,
        "entropy": mass.log() - moment / mass,
    }
