"""GPT-2's activation in slices against transformers' module."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.activations import NewGELUActivation

from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.kernels import gelu
from pathlen.traces.kernels.gelu import exact_gelu, fast_gelu
from pathlen.traces.tracer import Tracer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("numbers", [1, 3, 37, 1 << 16, (1 << 16) + 1, 200_003])
def test_the_exact_activation_equals_transformers_to_the_last_bit(dtype: torch.dtype, numbers: int) -> None:
    states = (torch.randn(numbers, generator=torch.Generator().manual_seed(0)) * 4).to(dtype)
    strided = states.repeat_interleave(2)[::2]  # not contiguous in memory
    for inputs in (states, states[None], strided):
        assert torch.equal(exact_gelu(inputs), NewGELUActivation()(inputs))


def test_an_exact_trace_is_the_same_with_many_slices(
    tiny: LoadedModel, long: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Tracer(tiny).trace(long)
    monkeypatch.setattr(gelu, "SLICE_NUMBERS", 100)
    assert np.array_equal(Tracer(tiny).trace(long).step_length, expected.step_length)


def test_an_exact_trace_keeps_an_activation_that_differs_in_the_last_bit(
    tiny: LoadedModel, short: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Tracer(tiny).trace(short)
    calls: list[torch.Tensor] = []

    def other(states: torch.Tensor) -> torch.Tensor:
        calls.append(states)
        return 1.001 * exact_gelu(states)

    monkeypatch.setattr(gelu, "exact_gelu", other)
    assert np.array_equal(Tracer(tiny).trace(short).step_length, expected.step_length)
    assert len(calls) == 1  # compared once, never used


@pytest.mark.parametrize("fast", [False, True])
def test_activations_are_replaced_only_while_a_text_is_read(tiny: LoadedModel, short: Passage, fast: bool) -> None:
    modules = [module for module in tiny.network.modules() if not list(module.children())]
    activations = {module for module in modules if type(module) is NewGELUActivation}
    replaced: set[torch.nn.Module] = set()

    def note(module: torch.nn.Module, inputs: object, output: object) -> None:
        if "forward" in vars(module):
            replaced.add(module)

    handles = [module.register_forward_hook(note) for module in modules]
    try:
        Tracer(tiny, fast=fast).trace(short)
    finally:
        for handle in handles:
            handle.remove()
    assert activations
    assert replaced >= activations if fast else replaced == activations
    assert all("forward" not in vars(module) for module in tiny.network.modules())


def test_the_fast_activation_differs_from_transformers_by_rounding_only() -> None:
    inputs = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(fast_gelu(inputs), NewGELUActivation()(inputs), rtol=1e-5, atol=1e-6)
