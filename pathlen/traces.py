"""One forward pass over a text, reduced to lengths while it runs.

Hooks on the blocks see each state as it is computed, take the lengths that are needed and let the state go: at
no time are more than three states in memory. Only the base model runs; the logit of the token that really came
next is one dot product per token, and its log-probability, its rank, the entropy and the top logit are kept while
slices of the vocabulary pass by, so no array of tokens by vocabulary is ever made.

What each attention head adds to the residual stream is never formed: with ``W`` the rows of the output projection that a
head's ``z`` meets, and ``W' = QR`` with orthonormal ``Q``, ``||z W|| = ||z R'||``, a product of a head's width alone.

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

from pathlen.anatomy import Anatomy, anatomy, state_after, state_before
from pathlen.errors import InvalidText
from pathlen.geometry import distance, length, turning_angle, widest

if TYPE_CHECKING:
    from pathlen.models import LoadedModel
    from pathlen.passages import Passage

__all__ = ["FEWEST_TOKENS", "Trace", "Tracer", "trace", "windows"]

FEWEST_TOKENS = 4  # position 0 is left out, the last token has no next: two rows are the least to relate anything
PROBE_TOKENS = 8
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
    head_norm : ndarray, shape (blocks, heads, tokens)
        ``||v_h||``, the length of what each attention head adds to the residual stream, its share of the projection's
        weight included and the projection's bias, which belongs to no head, left out.
    heads_norm : ndarray, shape (blocks, tokens)
        ``||sum_h v_h||``, the length of what all heads of a block add together.
    entropy, top_logit : ndarray, shape (tokens,)
        Of the model's distribution over the next token: entropy in nats, and the largest logit.
    next_logit, next_log_probability : ndarray, shape (tokens - 1,)
        Of the token that came next in the text; the last token has none.
    next_rank : ndarray of int, shape (tokens - 1,)
        How many tokens of the vocabulary have a larger logit than the one that came next, plus one.

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
    head_norm: Array
    heads_norm: Array
    entropy: Array
    top_logit: Array
    next_logit: Array
    next_log_probability: Array
    next_rank: NDArray[np.int64]


def trace(model: LoadedModel, passage: Passage) -> Trace:
    """Return the lengths of one text's way through a model; `Tracer` for several texts.

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
    return Tracer(model).trace(passage)


class Tracer:
    """Traces texts through one model; what is needed of the model alone is prepared once.

    On the first text's first tokens it is found out where the model's parts are, and checked that the captured states are
    those that it makes its logits of; see `pathlen.anatomy`.
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self._parts: Anatomy | None = None
        self._heads: list[Tensor] = []

    def _prepared(self, ids: Tensor) -> Anatomy:
        if self._parts is None:
            parts = anatomy(self.model.network, ids[:PROBE_TOKENS], self.model.spec.title)
            self._heads = [_head_factors(parts.mixing(number), parts.heads) for number in range(len(parts.blocks))]
            self._parts = parts
        return self._parts

    def trace(self, passage: Passage, *, shuffle: int | None = None) -> Trace:
        """Return the lengths of a text's way through the model; errors as in `trace`.

        ``shuffle`` is the seed of a random order of the text's tokens, to measure the same tokens without their language.
        """
        ids = torch.tensor(self.model.token_ids(passage.text))
        if len(ids) < FEWEST_TOKENS:
            raise InvalidText(f"a text needs at least {FEWEST_TOKENS} tokens, but {passage.name!r} has {len(ids)}")
        if shuffle is not None:
            ids = ids[torch.from_numpy(np.random.default_rng(shuffle).permutation(len(ids)))]
        ids = ids.to(self.model.network.device)
        with torch.inference_mode():
            model = self._prepared(ids)
            parts = [
                self._window(model, ids, start, first, end) | {"window": torch.full((end - first,), number)}
                for number, (start, first, end) in enumerate(windows(len(ids), self.model.context))
            ]
        columns = {name: torch.cat([part[name].cpu() for part in parts], dim=-1) for name in parts[0]}
        numbers = {name: (one.double() if one.is_floating_point() else one).numpy() for name, one in columns.items()}
        return Trace(passage=passage.name, token_ids=ids.cpu().numpy(), **numbers)

    def _window(self, model: Anatomy, ids: Tensor, start: int, first: int, end: int) -> dict[str, Tensor]:
        collected = _Lengths(slice(max(first - start, 1), None), self._heads)
        handles = [block.register_forward_hook(collected.after_block, with_kwargs=True) for block in model.blocks]
        handles += [projection.register_forward_hook(collected.after_heads) for projection in model.projections]
        try:
            final = model.base(ids[None, start:end], use_cache=False).last_hidden_state[0]
        finally:
            for handle in handles:
                handle.remove()
        columns = collected.columns(final)
        columns["position"] = torch.arange(end - start)
        columns = {name: column[..., first - start :] for name, column in columns.items()}
        return columns | _predictions(final[first - start :], model, ids[first + 1 : end + 1])


def windows(tokens: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first token read, first token measured, end) of each window over a text; see the module's docstring."""
    measured = 0
    while measured < tokens:
        start = max(0, measured - context // 2) if measured else 0
        end = min(tokens, start + context)
        yield start, measured, end
        measured = end


class _Lengths:
    """Collects lengths from the blocks of one forward pass; keeps the embedding and the last two states only.

    ``central`` says which tokens the centroid is made of, ``heads`` holds the factors of `_head_factors` per block.
    """

    def __init__(self, central: slice, heads: list[Tensor]) -> None:
        self.central = central
        self.heads = heads
        self.head_norm: list[Tensor] = []
        self.heads_norm: list[Tensor] = []
        self.from_centroid: list[Tensor] = []
        self.embedding = self.before_last = self.last = torch.empty(0)
        self.norm: list[Tensor] = []
        self.step: list[Tensor] = []
        self.displacement: list[Tensor] = []

    def after_block(self, block: object, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        before, after = state_before(inputs, named), state_after(output)
        if not self.norm:
            self.embedding = before
            self._at(before)
        self._at(after)
        self.step.append(distance(before, after))
        self.displacement.append(distance(self.embedding, after))
        self.before_last, self.last = before, after

    def after_heads(self, projection: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        factors = self.heads[len(self.head_norm)]
        mixed = inputs[0][0].unflatten(-1, (len(factors), -1)).transpose(0, 1)
        self.head_norm.append(length(mixed.to(factors.dtype) @ factors.mT))
        together = output[0]
        # The bias belongs to no head.
        self.heads_norm.append(length(together) if projection.bias is None else distance(projection.bias, together))

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
            "head_norm": torch.stack(self.head_norm),
            "heads_norm": torch.stack(self.heads_norm),
            "final_norm_step": distance(self.before_last, final),
            "final_norm_displacement": distance(self.embedding, final),
            "final_norm_length": length(final),
        }


def _head_factors(projection: Tensor, heads: int) -> Tensor:
    """Return ``R`` of each head, ``(heads, rank, width)``, from the output projection ``(heads * width, d_model)``."""
    whole = projection.unflatten(0, (heads, -1)).mT
    factors: Tensor = torch.linalg.qr(whole if whole.dtype == torch.float64 else whole.float(), mode="r").R
    return factors.contiguous().clone()  # a copy of its own lets what was factored be given back


def _predictions(states: Tensor, model: Anatomy, targets: Tensor) -> dict[str, Tensor]:
    """Return what the model predicts after each state, and of the tokens that came next, from one pass over the vocabulary.

    With the running maximum ``m``, ``s = sum exp(z - m)`` and ``t = sum (z - m) exp(z - m)``, the log-sum-exp is
    ``m + log s`` and the entropy ``log s - t / s``.
    """
    wide = widest(states)
    # A product of half precision would be rounded to three digits; widened slice by slice it costs no memory.
    states = states.float() if states.dtype != torch.float64 else states
    head, offset = model.unembedding, model.offset
    logit = (states[: len(targets)] * head[targets].to(states.dtype)).sum(dim=-1)
    if offset is not None:
        logit = logit + offset[targets]
    top = torch.full_like(states[:, 0], -torch.inf)
    mass = torch.zeros_like(top, dtype=wide)
    moment = torch.zeros_like(mass)
    above = torch.zeros_like(targets)
    for first in range(0, len(head), VOCABULARY_SLICE):
        part = slice(first, first + VOCABULARY_SLICE)
        logits = states @ head[part].to(states.dtype).T
        if offset is not None:
            logits = logits + offset[part]
        highest = torch.maximum(top, logits.amax(dim=-1))
        fall = (top - highest).to(wide)
        shrink = fall.exp()
        below = logits - highest[:, None]
        weight = below.exp()
        moment = shrink * (moment + torch.where(mass > 0, fall * mass, 0.0)) + (below * weight).sum(dim=-1).to(wide)
        mass = shrink * mass + weight.sum(dim=-1).to(wide)
        top = highest
        is_above = logits[: len(targets)] > logit[:, None]
        own = torch.nonzero((targets >= first) & (targets < first + logits.shape[1]))[:, 0]
        is_above[own, targets[own] - first] = False  # its own logit may round the other way here
        above += is_above.sum(dim=-1)
    return {
        "next_logit": logit,
        "next_log_probability": logit.to(wide) - (top.to(wide) + mass.log())[: len(targets)],
        "next_rank": above + 1,
        "top_logit": top,
        "entropy": mass.log() - moment / mass,
    }
