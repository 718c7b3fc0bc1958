"""Attention on one core against torch's kernel, and when torch's kernel is used instead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.kernels import attention
from pathlen.traces.kernels.attention import (
    LARGEST_SCORE,
    QUERIES,
    attention_forward,
    causal_attention,
    single_core_attention,
)
from pathlen.traces.tracer import Tracer, on_threads


def drawn(texts: int, heads: int, tokens: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random queries, keys and values with a network's memory layout."""
    numbers = torch.randn(texts, tokens, 3 * heads * width, generator=torch.Generator().manual_seed(0))
    query, key, value = (part.unflatten(-1, (heads, width)).transpose(1, 2) for part in numbers.chunk(3, dim=-1))
    return query, key, value


@pytest.mark.parametrize(
    ("texts", "heads", "tokens", "width"),
    [(1, 1, 1, 1), (1, 3, QUERIES, 5), (2, 4, QUERIES + 1, 12), (3, 5, 2 * QUERIES - 1, 22), (1, 12, 200, 64)],
)
def test_it_equals_torchs_attention(texts: int, heads: int, tokens: int, width: int) -> None:
    query, key, value = drawn(texts, heads, tokens, width)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), is_causal=True, scale=0.3
    )
    output = causal_attention(query, key, value, 0.3)
    assert output is not None
    assert output.shape == (texts, tokens, heads, width)
    torch.testing.assert_close(output.transpose(1, 2).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [1e3, float("inf"), float("nan")])
def test_scores_that_could_overflow_are_left_to_torch(factor: float) -> None:
    query, key, value = drawn(1, 2, 10, 4)
    assert causal_attention(query * factor, key, value, 0.5) is None


def test_scores_up_to_the_largest_are_exact() -> None:
    query, key, value = drawn(1, 1, 50, 8)
    scale = 0.99 * LARGEST_SCORE * np.log(2) / float(query.norm(dim=-1).max() * key.norm(dim=-1).max())
    output = causal_attention(query, key, value, scale)
    assert output is not None
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), is_causal=True, scale=scale
    )
    torch.testing.assert_close(output.transpose(1, 2).double(), expected, rtol=1e-4, atol=1e-5)


def test_a_network_uses_it_only_during_a_fast_trace_on_one_thread(
    tiny: LoadedModel, short: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*arguments: object) -> torch.Tensor | None:
        calls.append(arguments)
        return causal_attention(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(attention, "causal_attention", counted)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    exact = Tracer(tiny).trace(short)
    assert not calls
    with on_threads(2):
        Tracer(tiny, fast=True).trace(short)
    assert not calls  # torch's kernel uses both threads
    with on_threads(1):
        fast = Tracer(tiny, fast=True).trace(short)
    assert len(calls) == tiny.spec.n_layer
    assert tiny.network.config._attn_implementation == "sdpa"
    np.testing.assert_allclose(fast.step_length, exact.step_length, rtol=1e-5)


def test_torchs_attention_is_used_without_avx512(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with on_threads(1), single_core_attention(tiny.network):
        assert tiny.network.config._attn_implementation == "sdpa"


def test_a_mask_is_left_to_torch() -> None:
    query, key, value = drawn(1, 2, 6, 4)
    mask = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    output, _ = attention_forward(torch.nn.Module(), query, key, value, mask, scaling=0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.5)
    torch.testing.assert_close(output.transpose(1, 2), expected)
