"""GPT-2's activation, slice by slice in a core's cache.

transformers computes it in eight steps, one after the other, on all of a block's four times widened states. The same eight steps
on slices take less than half the time on GPT-2 Medium and leave no large array behind. Where rounding may differ, a logistic
function takes the place of the hyperbolic tangent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pathlen.traces.kernels.matmul import Replaced, replaceable

if TYPE_CHECKING:
    from transformers import PreTrainedModel


__all__ = ["slow_activations"]

SLICE_NUMBERS = 2**16  # numbers of a slice: with what is made of them, they stay in a core's cache


def slow_activations(network: PreTrainedModel, *, is_exact: bool) -> list[Replaced]:
    """Return the modules that compute GPT-2's activation step by step, on all states at once, and what does it sooner.

    None of them for an exact trace on an accelerator, which has no slices to gain from, nor where transformers' last bits are
    not those of `_gelu_in_slices`: it may write the formula another way some day.
    """
    from transformers.activations import NewGELUActivation

    found: list[nn.Module] = [module for module in replaceable(network) if type(module) is NewGELUActivation]
    if found and is_exact:
        if network.device.type != "cpu":
            return []
        tried = torch.linspace(-9, 9, SLICE_NUMBERS + 37, dtype=network.dtype)
        if not torch.equal(found[0](tried), _gelu_in_slices(tried)):
            return []
    return [(module, _gelu_in_slices if is_exact else _gelu) for module in found]


def _gelu(states: Tensor) -> Tensor:
    """Return the same activation as ``x / (1 + exp(-2 sqrt(2 / pi) (x + 0.044715 x^3)))``, on a processor slice by slice.

    There torch's own function takes 1.6 times as long, as it does for its hyperbolic tangent.
    """
    if states.device.type != "cpu":
        return nn.functional.gelu(states, approximate="tanh")
    twice = 2.0 * math.sqrt(2.0 / math.pi)
    start = states.new_tensor(twice)

    def write(x: Tensor, t: Tensor, y: Tensor) -> None:
        torch.addcmul(start, x, x, value=0.044715 * twice, out=t).mul_(x).sigmoid_()
        torch.mul(x, t, out=y)

    return _in_slices(write, states)


def _gelu_in_slices(states: Tensor) -> Tensor:
    """Return ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``, each step rounded as transformers' module rounds it."""

    def write(x: Tensor, t: Tensor, y: Tensor) -> None:
        torch.pow(x, 3.0, out=t).mul_(0.044715).add_(x).mul_(math.sqrt(2.0 / math.pi)).tanh_().add_(1.0)
        torch.mul(x, 0.5, out=y).mul_(t)

    return _in_slices(write, states)


def _in_slices(write: Callable[[Tensor, Tensor, Tensor], None], states: Tensor) -> Tensor:
    """Return what a function writes of each slice, given the slice, room of its size, and where to write."""
    made = torch.empty_like(states, memory_format=torch.contiguous_format)
    numbers = SLICE_NUMBERS * torch.get_num_threads()  # each thread gets a slice
    own = torch.empty(min(numbers, states.numel()), dtype=states.dtype, device=states.device)
    for x, y in zip(states.reshape(-1).split(numbers), made.view(-1).split(numbers), strict=True):
        write(x, own[: len(x)], y)
    return made
