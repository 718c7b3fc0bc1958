"""Causal attention of whole texts on one core, where it is faster than torch's kernel.

torch's fused CPU kernel takes 3 to 4 ns per pair of tokens in heads 12 to 22 wide, and 7 ns in short texts at GPT-2's width of
64. Most of that goes into matrix products with a side of about a dozen, and into the exponential. NumPy's BLAS and its vectorised
power of two do the same sums in half the time (measured on an AMD EPYC of the fourth generation; without AVX-512, NumPy has no
vectorised power of two, so torch's kernel is used). The result is rounded differently but no less accurate, so this kernel only
runs in traces whose rounding may differ: see `pathlen.traces.tracer`.

A block of queries at a time meets all keys up to its last one. No maximum is subtracted before exponentiating: by Cauchy-Schwarz
no score exceeds the norm of the longest query times that of the longest key, and where that could overflow, torch's kernel is
used. A column of ones beside the values gives the sums that normalise the weights.
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

__all__ = ["attention_forward", "causal_attention", "single_core_attention"]

NAME = "pathlen_single_core"  # in transformers' registry of attention functions
QUERIES = 64  # queries in a block
HEADS = 4  # heads computed together: with their scores they fit in a core's cache
LARGEST_SCORE = 90.0  # a sum of such powers of two is far below float32's largest number, 2 ** 128

Floats = NDArray[np.float32]


@contextmanager
def single_core_attention(network: PreTrainedModel) -> Iterator[None]:
    """Compute a network's attention with this kernel inside the context, if it is faster: float32, one thread, AVX-512."""
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

    AttentionInterface.register(NAME, attention_forward)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def attention_forward(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return attention's output, ``(texts, tokens, heads, width)``, with the signature of transformers' attention functions.

    With a mask, a position bias, grouped keys, or scores that could overflow, torch's kernel computes it.
    """
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    is_plain = attention_mask is None and position_bias is None and query.shape == key.shape == value.shape
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if is_causal and is_plain and (output := causal_attention(query, key, value, scale)) is not None:
        return output, None
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    fallback: Tensor = sdpa_attention_forward(
        module,
        query,
        key,
        value,
        attention_mask,
        scaling=scaling,
        is_causal=is_causal,
        position_bias=position_bias,
        **options,
    )[0]
    return fallback, None


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor | None:
    """Return ``softmax(scale * query key^T) value`` over each token and those before it; None if that could overflow.

    Parameters
    ----------
    query, key, value : Tensor, shape (texts, heads, tokens, width)
        In float32, on the CPU.
    scale : float
        Factor of the scores.

    Returns
    -------
    Tensor, shape (texts, tokens, heads, width), or None

    """
    texts, heads, tokens, width = query.shape
    rows = texts * heads
    # Scores in powers of two, because NumPy's exp2 is faster than its exp.
    queries = (
        torch.mul(query, scale * math.log2(math.e), out=query.new_empty(query.shape))
        .numpy()
        .reshape(rows, tokens, width)
    )
    keys = key.mT.contiguous().numpy().reshape(rows, width, tokens)
    longest = np.einsum("rtd,rtd->rt", queries, queries).max(axis=1) * np.einsum("rdt,rdt->rt", keys, keys).max(axis=1)
    if not longest.max() < LARGEST_SCORE**2:  # also true of NaN
        return None
    values = np.ones((rows, tokens, width + 1), np.float32)
    values.reshape(texts, heads, tokens, width + 1)[..., :width] = value.numpy()
    weighted = np.empty_like(values)
    scratch = np.empty(min(HEADS, rows) * QUERIES * tokens, np.float32)
    for row in range(0, rows, HEADS):
        group = slice(row, row + HEADS)
        _write_sums(queries[group], keys[group], values[group], weighted[group], scratch)
    sums = torch.from_numpy(weighted).view(texts, heads, tokens, width + 1)
    output = query.new_empty(texts, tokens, heads, width)
    torch.div(sums[..., :width], sums[..., width:], out=output.transpose(1, 2))
    return output


def _write_sums(queries: Floats, keys: Floats, values: Floats, sums: Floats, scratch: Floats) -> None:
    """Write the sums of a few heads' values, weighted by powers of their scores, into ``sums``."""
    heads, tokens, _ = queries.shape
    for first in range(0, tokens, QUERIES):
        end = min(first + QUERIES, tokens)
        block = slice(first, end)
        weights = scratch[: heads * (end - first) * end].reshape(heads, end - first, end)
        np.matmul(queries[:, block], keys[:, :, :end], out=weights)
        np.exp2(weights, out=weights)
        weights[:, :, block] *= _causal_mask()[: end - first, : end - first]
        np.matmul(weights, values[:, :end], out=sums[:, block])


@cache
def _causal_mask() -> Floats:
    """Return 1 where a block's key is at its query or before it, else 0."""
    return np.tril(np.ones((QUERIES, QUERIES), np.float32))
