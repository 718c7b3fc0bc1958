"""One forward pass over a text, reduced to lengths while it runs.

Hooks on the blocks see each state as it is computed, take the lengths that are needed and let the state go: at
no time are more than three states in memory. Only the base model runs; the logit of the token that really came
next is one dot product per token, and its log-probability a running log-sum-exp over slices of the vocabulary,
so no array of tokens by vocabulary is ever made.

Two states share the name "last hidden state" in most software. Here the state *before* the final norm is what
every length is about; what the published procedure measured, the state *after* it, has columns of its own
(`Trace.final_norm_step` and its neighbours).

A text longer than the model's context is read in windows that overlap by half a context; each token is measured
once, in the first window that holds it, so all but the first window's tokens have at least half a context
before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pathlen.errors import InvalidText, ModelMismatch
from pathlen.geometry import distance, length, turning_angle

if TYPE_CHECKING:
    from pathlen.models import LoadedModel
    from pathlen.passages import Passage

__all__ = ["FEWEST_TOKENS", "Trace", "trace", "windows"]

FEWEST_TOKENS = 4  # position 0 is left out, the last token has no next: two rows are the least to relate anything
PROBE_TOKENS = 8
PROBE_TOLERANCE = 1e-4
VOCABULARY_SLICE = 2048

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The lengths of one text's way through one model, in float64 and the units of the residual stream.

    Attributes
    ----------
    passage : str
        Name of the text.
    token_ids : ndarray of int, shape (tokens,)
    window : ndarray of int, shape (tokens,)
        The window in which each token was measured, 0 upwards.
    position : ndarray of int, shape (tokens,)
        The token's position inside that window.
    residual_norm : ndarray, shape (states, tokens)
        ``||h_L||``, the embedding first, all before the final norm.
    step_length : ndarray, shape (steps, tokens)
        ``||h_L - h_(L-1)||``, all before the final norm.
    displacement : ndarray, shape (steps, tokens)
        ``||h_L - h_0||``.
    turning_angle : ndarray, shape (steps, tokens)
        Angle between ``h_(L-1)`` and ``h_L`` in radians.
    centroid_distance : ndarray, shape (states, tokens)
        ``||h_L - c_L||`` with ``c_L`` the mean state of the tokens measured in the same window. The text's first token is
        not in the mean: in GPT-2 it is hundreds of times as long as the others.
    final_norm_step, final_norm_displacement, final_norm_length : ndarray, shape (tokens,)
        ``||norm(h_n) - h_(n-1)||``, ``||norm(h_n) - h_0||`` and ``||norm(h_n)||``: what the published procedure takes
        for the last step, the last displacement and the last residual norm.
    next_logit, next_log_probability : ndarray, shape (tokens - 1,)
        Of the token that came next in the text; the last token has none.

    """

    passage: str
    token_ids: NDArray[np.int64]
    window: NDArray[np.int64]
    position: NDArray[np.int64]
    residual_norm: Array
    step_length: Array
    displacement: Array
    turning_angle: Array
    centroid_distance: Array
    final_norm_step: Array
    final_norm_displacement: Array
    final_norm_length: Array
    next_logit: Array
    next_log_probability: Array


def trace(model: LoadedModel, passage: Passage) -> Trace:
    """Return the lengths of a text's way through a model.

    Parameters
    ----------
    model : LoadedModel
        From `pathlen.models.load`.
    passage : Passage
        Any text of at least four tokens.

    Raises
    ------
    InvalidText
        If the text has too few tokens.
    ModelMismatch
        If the captured last state, put through the model's own norm and head, doesn't give its own logits.

    """
    ids = torch.tensor(model.token_ids(passage.text))
    if len(ids) < FEWEST_TOKENS:
        raise InvalidText(f"a text needs at least {FEWEST_TOKENS} tokens, but {passage.name!r} has {len(ids)}")
    parts = []
    with torch.inference_mode():
        _probe(model, ids[:PROBE_TOKENS])
        for number, (start, first, end) in enumerate(windows(len(ids), model.context)):
            parts.append(_window(model, ids, start, first, end) | {"window": torch.full((end - first,), number)})
    columns = {name: torch.cat([part[name] for part in parts], dim=-1).numpy() for name in parts[0]}
    return Trace(passage=passage.name, token_ids=ids.numpy(), **columns)


def windows(tokens: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first token read, first token measured, end) of each window over a text; see the module's docstring."""
    measured = 0
    while measured < tokens:
        start = max(0, measured - context // 2) if measured else 0
        end = min(tokens, start + context)
        yield start, measured, end
        measured = end


def _window(model: LoadedModel, ids: Tensor, start: int, first: int, end: int) -> dict[str, Tensor]:
    base, head = model.network.transformer, model.network.get_output_embeddings().weight
    collected = _Lengths(slice(max(first - start, 1), None))
    handles = [block.register_forward_hook(collected.after_block) for block in base.h]
    try:
        final = base(ids[None, start:end], use_cache=False).last_hidden_state[0]
    finally:
        for handle in handles:
            handle.remove()
    columns = collected.columns(final)
    columns["position"] = torch.arange(end - start)
    columns = {name: column[..., first - start :] for name, column in columns.items()}
    targets = ids[first + 1 : end + 1]
    states = final[first - start :][: len(targets)]
    logit = (states * head[targets]).sum(dim=-1).double()
    columns["next_logit"] = logit
    columns["next_log_probability"] = logit - _log_sum_exp(states, head)
    return columns


class _Lengths:
    """Collects lengths from the blocks of one forward pass; keeps the embedding and the last two states only.

    ``central`` says which tokens the centroid is made of.
    """

    def __init__(self, central: slice) -> None:
        self.central = central
        self.from_centroid: list[Tensor] = []
        self.embedding = self.before_last = self.last = torch.empty(0)
        self.norm: list[Tensor] = []
        self.step: list[Tensor] = []
        self.displacement: list[Tensor] = []

    def after_block(self, block: object, inputs: tuple[Any, ...], output: Any) -> None:
        before = inputs[0][0]
        # Blocks return the state, in a tuple up to transformers 4.
        after = (output[0] if isinstance(output, tuple) else output)[0]
        if not self.norm:
            self.embedding = before
            self._at(before)
        self._at(after)
        self.step.append(distance(before, after))
        self.displacement.append(distance(self.embedding, after))
        self.before_last, self.last = before, after

    def _at(self, state: Tensor) -> None:
        self.norm.append(length(state))
        self.from_centroid.append(distance(state[self.central].mean(dim=0), state))

    def columns(self, final: Tensor) -> dict[str, Tensor]:
        norm, step = torch.stack(self.norm), torch.stack(self.step)
        return {
            "residual_norm": norm,
            "step_length": step,
            "displacement": torch.stack(self.displacement),
            "turning_angle": turning_angle(norm[:-1], norm[1:], step),
            "centroid_distance": torch.stack(self.from_centroid),
            "final_norm_step": distance(self.before_last, final),
            "final_norm_displacement": distance(self.embedding, final),
            "final_norm_length": length(final),
        }


def _log_sum_exp(states: Tensor, head: Tensor) -> Tensor:
    total = torch.full((len(states),), -torch.inf, dtype=torch.float64)
    for part in head.split(VOCABULARY_SLICE):
        total = torch.logaddexp(total, torch.logsumexp(states @ part.T, dim=-1).double())
    return total


def _probe(model: LoadedModel, ids: Tensor) -> None:
    """Check on a few tokens that the captured states are the ones the model makes its logits of."""
    base, head = model.network.transformer, model.network.get_output_embeddings().weight
    collected = _Lengths(slice(None))
    handle = base.h[-1].register_forward_hook(collected.after_block)
    try:
        logits = model.network(ids[None], use_cache=False).logits[0]
    finally:
        handle.remove()
    ours = base.ln_f(collected.last) @ head.T
    error = (ours - logits).abs().max().item() / max(1.0, logits.abs().max().item())
    if not error < PROBE_TOLERANCE:
        raise ModelMismatch(
            f"the captured states of {model.spec.title} must give the model's own logits to {PROBE_TOLERANCE:g}, "
            f"but differ by {error:.2g}"
        )
