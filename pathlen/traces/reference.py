"""The published procedure, a slow loop with its slips kept, to compare with.

Written from the document's description of how its numbers were made, with its slips on purpose:

1. one forward pass that keeps every hidden state; the last of them comes *after* the final norm;
2. a double loop over tokens and blocks, one norm at a time;
3. the next token's raw logit in an array of zeros whose last entry is never set;
4. ``r`` over all positions except the first, so the zero is included.

No column is computed here. The loop exists so that the streamed and aligned measurement has something independent to agree
with: the steps to 1e-5, the published ``r`` to 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pathlen.columns.table import Array
from pathlen.models.architecture import find_architecture, state_after
from pathlen.traces.tracer import PROBE_TOKENS
from pathlen.traces.windows import windows

if TYPE_CHECKING:
    from pathlen.columns.table import Trace
    from pathlen.models.loading import LoadedModel
    from pathlen.passages.passage import Passage

__all__ = ["ReferenceLoop", "last_block", "loop_steps", "original", "relative_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceLoop:
    """What the published procedure computes for one text, and the last step before the final norm.

    Attributes
    ----------
    step_length : ndarray, shape (steps, tokens)
        As published: the last row's steps end at the state after the final norm.
    last_step_before_norm : ndarray, shape (tokens,)
        The last block's step to the state before the final norm, by the same loop.
    next_logit : ndarray, shape (tokens,)
        Raw logit of the token that came next; 0 in the last entry.

    """

    step_length: Array
    last_step_before_norm: Array
    next_logit: Array

    @property
    def r(self) -> float:
        """Pearson's correlation of ``next_logit[1:]`` and ``step_length[-1, 1:]``: the published number."""
        return float(np.corrcoef(self.next_logit[1:], self.step_length[-1, 1:])[0, 1])


def original(model: LoadedModel, passage: Passage) -> ReferenceLoop:
    """Run the published procedure on as much of a text as fits in the model's context; it knows no windows."""
    ids = torch.tensor(model.token_ids(passage.text)[: model.context])
    return _loop(model, ids, last_block(model, ids.numpy()))


def last_block(model: LoadedModel, token_ids: NDArray[np.int64]) -> nn.Module:
    """Return a model's last block, whose output is the only state that the published procedure doesn't see."""
    ids = torch.from_numpy(token_ids[:PROBE_TOKENS]).to(model.network.device)
    return find_architecture(model.network, ids, model.spec.title).blocks[-1]


def loop_steps(model: LoadedModel, trace: Trace, *, last: nn.Module | None = None) -> Array:
    """Return the loop's steps of a traced text, shape ``(steps + 1, tokens)``; rows as in `relative_error`.

    The loop runs over every window of a text longer than the context, so that each token is compared in the window it was
    measured in. ``last`` is the model's last block, if it is known already.
    """
    ids = torch.from_numpy(trace.token_ids)
    last = last or last_block(model, trace.token_ids)
    parts = []
    for start, first, end in windows(len(ids), model.context):
        loop = _loop(model, ids[start:end], last)
        rows = np.vstack([loop.step_length[:-1], loop.last_step_before_norm, loop.step_length[-1]])
        parts.append(rows[:, first - start :])
    return np.hstack(parts)


def relative_error(trace: Trace, loop: Array) -> Array:
    """Return how far a trace is from the loop, ``|trace - loop| / loop`` for every step, shape ``(steps + 1, tokens)``.

    The last row is the published last step, through the final norm; the row before it is the last block's step.
    """
    steps = np.vstack([trace.step_length, trace.final_norm_step])
    error: Array = np.abs(steps - loop) / loop
    return error


def _loop(model: LoadedModel, ids: torch.Tensor, last: nn.Module) -> ReferenceLoop:
    ids = ids.to(model.network.device)
    last_states: list[torch.Tensor] = []

    def keep(block: object, inputs: object, output: Any) -> None:
        last_states.append(state_after(output)[0])

    handle = last.register_forward_hook(keep)
    try:
        with torch.no_grad():
            outputs = model.network(ids[None], output_hidden_states=True, use_cache=False)
    finally:
        handle.remove()
    before_norm = last_states[0].cpu().double().numpy()
    logits, narrow = outputs.logits[0].cpu(), list(outputs.hidden_states)
    del outputs
    next_logit = np.zeros(len(ids))
    for token in range(len(ids) - 1):
        next_logit[token] = logits[token, ids[token + 1]].item()
    del logits
    states: list[Array] = []
    while narrow:  # freed one by one as they are widened: both widths of 330 tokens in XL would take 300 MB
        states.append(narrow.pop(0)[0].cpu().double().numpy())

    steps = np.zeros((len(states) - 1, len(ids)))
    last_step = np.zeros(len(ids))
    for token in range(len(ids)):
        for block in range(1, len(states)):
            steps[block - 1, token] = np.linalg.norm(states[block][token] - states[block - 1][token])
        last_step[token] = np.linalg.norm(before_norm[token] - states[-2][token])
    return ReferenceLoop(step_length=steps, last_step_before_norm=last_step, next_logit=next_logit)
