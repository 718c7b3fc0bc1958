"""The published procedure, slow and as it was, to compare with.

Written from a description of how the document's numbers were made, with its slips on purpose:

1. one forward pass that keeps every hidden state; the last of them comes *after* the final norm;
2. a double loop over tokens and blocks, one norm at a time;
3. the next token's raw logit in an array of zeros whose last entry is never filled;
4. ``r`` over all positions but the first, so that the zero stays in.

Nothing else in the package uses this procedure. It exists so that our fast, streamed and aligned measurement has
something independent to agree with: the steps to 1e-5, the published ``r`` to 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pathlen.models.architecture import find_architecture, state_after
from pathlen.traces.tracer import PROBE_TOKENS
from pathlen.traces.windows import windows

if TYPE_CHECKING:
    from pathlen.columns.table import Trace
    from pathlen.models.loading import LoadedModel
    from pathlen.passages.passage import Passage

__all__ = ["Original", "last_block", "loop_steps", "original", "relative_error"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What the published procedure computes for one text, and the last step without the final norm.

    Attributes
    ----------
    step_length : ndarray, shape (steps, tokens)
        As published: the last row reaches to the state after the final norm.
    last_step_before_norm : ndarray, shape (tokens,)
        The last block's own step, by the same loop.
    next_logit : ndarray, shape (tokens,)
        0 in the last place.

    """

    step_length: Array
    last_step_before_norm: Array
    next_logit: Array

    @property
    def r(self) -> float:
        """Pearson's correlation of ``next_logit[1:]`` and ``step_length[-1, 1:]``: the published number."""
        return float(np.corrcoef(self.next_logit[1:], self.step_length[-1, 1:])[0, 1])


def original(model: LoadedModel, passage: Passage) -> Original:
    """Run the published procedure on the first context's worth of a text; it knows no windows."""
    ids = torch.tensor(model.token_ids(passage.text)[: model.context])
    return _loop(model, ids, last_block(model, ids.numpy()))


def last_block(model: LoadedModel, token_ids: NDArray[np.int64]) -> nn.Module:
    """Return a model's last block, whose output is the only state that the published procedure did not see."""
    ids = torch.from_numpy(token_ids[:PROBE_TOKENS]).to(model.network.device)
    return find_architecture(model.network, ids, model.spec.title).blocks[-1]


def loop_steps(model: LoadedModel, trace: Trace, *, last: nn.Module | None = None) -> Array:
    """Return the loop's own steps of a traced text, ``(steps + 1, tokens)``; rows as in `relative_error`.

    Of a text longer than the context every window is run through the loop, so that each token is compared in the window
    it was measured in. ``last`` is the model's last block, where it was found before.
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
    """Return how far a trace is from the loop: ``|ours - loop| / loop`` of every step, ``(steps + 1, tokens)``.

    The last row is the published last step, the one before it the last block's own.
    """
    ours = np.vstack([trace.step_length, trace.final_norm_step])
    error: Array = np.abs(ours - loop) / loop
    return error


def _loop(model: LoadedModel, ids: torch.Tensor, last: nn.Module) -> Original:
    ids = ids.to(model.network.device)
    kept: list[torch.Tensor] = []

    def keep(block: object, inputs: object, output: Any) -> None:
        kept.append(state_after(output)[0])

    handle = last.register_forward_hook(keep)
    try:
        with torch.no_grad():
            result = model.network(ids[None], output_hidden_states=True, use_cache=False)
    finally:
        handle.remove()
    before_norm = kept[0].cpu().double().numpy()
    logits, narrow = result.logits[0].cpu(), list(result.hidden_states)
    del result
    next_logit = np.zeros(len(ids))
    for token in range(len(ids) - 1):
        next_logit[token] = logits[token, ids[token + 1]].item()
    del logits
    states: list[Array] = []
    while narrow:  # let go one by one as they are widened: a text of 330 tokens in XL would take 300 MB in both widths
        states.append(narrow.pop(0)[0].cpu().double().numpy())

    steps = np.zeros((len(states) - 1, len(ids)))
    last_step = np.zeros(len(ids))
    for token in range(len(ids)):
        for block in range(1, len(states)):
            steps[block - 1, token] = np.linalg.norm(states[block][token] - states[block - 1][token])
        last_step[token] = np.linalg.norm(before_norm[token] - states[-2][token])
    return Original(step_length=steps, last_step_before_norm=last_step, next_logit=next_logit)
