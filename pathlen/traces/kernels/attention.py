"""Causal attention of a whole text on one core, in torch's place where that is slow.

torch's fused kernel on a processor takes 3 to 4 ns for each pair of tokens in heads of a width of 12 to 22, and 7 ns in short
texts at GPT-2's 64: most of it in matrix products with a side of a dozen, and in the exponential. NumPy's own BLAS and its
vectorised power of two do the same sums in half the time (measured on an AMD EPYC of the fourth generation; where there is no
AVX-512, NumPy has no such power, and torch's kernel stays). It is rounded otherwise and no worse, so only what may be rounded
otherwise is computed here: see `pathlen.traces.tracer`.

A block of queries at a time meets all keys up to its own last one. No maximum is subtracted before exponentiating: by Cauchy and
Schwarz no score is larger than the longest query times the longest key, and where that could overflow torch's kernel is used.
A column of ones beside the values gives the sums that the weights are divided by.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["attended", "on_one_core"]

NAME = "pathlen_on_one_core"  # in transformers' table of attention functions
QUERIES = 64  # that meet their keys at once
HEADS = 4  # with their scores they stay in a core's cache
LARGEST_SCORE = 90.0  # a sum of such powers of two is far from float32's largest number, 2 ** 128

Floats = NDArray[np.float32]


@contextmanager
def on_one_core(network: PreTrainedModel) -> Iterator[None]:
    """Let a network's attention be computed here meanwhile, where that is faster: in float32, on one thread with AVX-512."""
    if not _is_faster(network):
        yield
        return
    _register()
    network.set_attn_implementation(NAME)
    try:
        with _blas().limit(limits=1, user_api="blas"):
            yield
    finally:
        network.set_attn_implementation("sdpa")


def _is_faster(network: PreTrainedModel) -> bool:
    return (
        network.device.type == "cpu"
        and network.dtype == torch.float32
        and torch.get_num_threads() == 1
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and network.config._attn_implementation == "sdpa"
    )


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@cache
def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Return what each query gathers, as transformers' function for torch's kernel does: ``(texts, tokens, heads, width)``."""
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    is_plain = attention_mask is None and position_bias is None and query.shape == key.shape == value.shape
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if is_causal and is_plain and (found := attended(query, key, value, scale)) is not None:
        return found, None
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    made: Tensor = sdpa_attention_forward(
        module,
        query,
        key,
        value,
        attention_mask,
        scaling=scaling,
        is_causal=is_causal,
        position_bias=position_bias,
        **more,
    )[0]
    return made, None


def attended(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor | None:
    """Return ``softmax(scale * query key^T) value`` over each token and those before it; None where that could overflow.

    Parameters
    ----------
    query, key, value : Tensor, shape (texts, heads, tokens, width)
        In float32, on the processor.
    scale : float
        What scores are multiplied by.

    Returns
    -------
    Tensor, shape (texts, tokens, heads, width), or None

    """
    texts, heads, tokens, width = query.shape
    rows = texts * heads
    # In powers of two, whose exponential is the faster one.
    queries = (
        torch.mul(query, scale * math.log2(math.e), out=query.new_empty(query.shape))
        .numpy()
        .reshape(rows, tokens, width)
    )
    keys = key.mT.contiguous().numpy().reshape(rows, width, tokens)
    longest = np.einsum("rtd,rtd->rt", queries, queries).max(axis=1) * np.einsum("rdt,rdt->rt", keys, keys).max(axis=1)
    if not longest.max() < LARGEST_SCORE**2:  # nor where a number is not finite
        return None
    values = np.ones((rows, tokens, width + 1), np.float32)
    values.reshape(texts, heads, tokens, width + 1)[..., :width] = value.numpy()
    found = np.empty_like(values)
    room = np.empty(min(HEADS, rows) * QUERIES * tokens, np.float32)
    for row in range(0, rows, HEADS):
        some = slice(row, row + HEADS)
        _gather(queries[some], keys[some], values[some], found[some], room)
    sums = torch.from_numpy(found).view(texts, heads, tokens, width + 1)
    made = query.new_empty(texts, tokens, heads, width)
    torch.div(sums[..., :width], sums[..., width:], out=made.transpose(1, 2))
    return made


def _gather(queries: Floats, keys: Floats, values: Floats, found: Floats, room: Floats) -> None:
    """Write the sums of values, weighted by powers of scores, of a few heads."""
    heads, tokens, _ = queries.shape
    for first in range(0, tokens, QUERIES):
        end = min(first + QUERIES, tokens)
        own = slice(first, end)
        weights = room[: heads * (end - first) * end].reshape(heads, end - first, end)
        np.matmul(queries[:, own], keys[:, :, :end], out=weights)
        np.exp2(weights, out=weights)
        weights[:, :, own] *= _earlier()[: end - first, : end - first]
        np.matmul(weights, values[:, :end], out=found[:, own])


@cache
def _earlier() -> Floats:
    """Return 1 where a block's key stands at its query or before it, else 0."""
    return np.tril(np.ones((QUERIES, QUERIES), np.float32))
