"""Attention on one core against torch's own, and where it stays out of the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.kernels import attention
from pathlen.traces.kernels.attention import LARGEST_SCORE, QUERIES, attended, on_one_core
from pathlen.traces.tracer import Tracer, on_threads


def drawn(texts: int, heads: int, tokens: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values that lie in memory as a network's do."""
    numbers = torch.randn(texts, tokens, 3 * heads * width, generator=torch.Generator().manual_seed(0))
    query, key, value = (one.unflatten(-1, (heads, width)).transpose(1, 2) for one in numbers.chunk(3, dim=-1))
    return query, key, value


@pytest.mark.parametrize(
    ("texts", "heads", "tokens", "width"),
    [(1, 1, 1, 1), (1, 3, QUERIES, 5), (2, 4, QUERIES + 1, 12), (3, 5, 2 * QUERIES - 1, 22), (1, 12, 200, 64)],
)
def test_it_is_torchs_attention(texts: int, heads: int, tokens: int, width: int) -> None:
    query, key, value = drawn(texts, heads, tokens, width)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), is_causal=True, scale=0.3
    )
    found = attended(query, key, value, 0.3)
    assert found is not None
    assert found.shape == (texts, tokens, heads, width)
    torch.testing.assert_close(found.transpose(1, 2).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [1e3, float("inf"), float("nan")])
def test_scores_that_could_overflow_are_left_to_torch(factor: float) -> None:
    query, key, value = drawn(1, 2, 10, 4)
    assert attended(query * factor, key, value, 0.5) is None


def test_scores_up_to_the_largest_are_exact() -> None:
    query, key, value = drawn(1, 1, 50, 8)
    scale = 0.99 * LARGEST_SCORE * np.log(2) / float(query.norm(dim=-1).max() * key.norm(dim=-1).max())
    found = attended(query, key, value, scale)
    assert found is not None
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), is_causal=True, scale=scale
    )
    torch.testing.assert_close(found.transpose(1, 2).double(), expected, rtol=1e-4, atol=1e-5)


def test_a_network_uses_it_meanwhile_and_its_own_again_afterwards(
    tiny: LoadedModel, short: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*given: object) -> torch.Tensor | None:
        calls.append(given)
        return attended(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(attention, "attended", counted)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    exact = Tracer(tiny).trace(short)
    assert not calls
    with on_threads(2):
        Tracer(tiny, fast=True).trace(short)
    assert not calls  # torch's kernel uses them all
    with on_threads(1):
        fast = Tracer(tiny, fast=True).trace(short)
    assert len(calls) == tiny.spec.n_layer
    assert tiny.network.config._attn_implementation == "sdpa"
    np.testing.assert_allclose(fast.step_length, exact.step_length, rtol=1e-5)


def test_it_stays_out_of_the_way_without_wide_registers(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with on_threads(1), on_one_core(tiny.network):
        assert tiny.network.config._attn_implementation == "sdpa"


def test_a_mask_is_left_to_torch() -> None:
    query, key, value = drawn(1, 2, 6, 4)
    mask = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    found, _ = attention._attention(torch.nn.Module(), query, key, value, mask, scaling=0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.5)
    torch.testing.assert_close(found.transpose(1, 2), expected)
