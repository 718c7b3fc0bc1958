"""Matrix products on processors that torch's library for them uses by half.

On x86 torch multiplies float32 with Intel's MKL, which on AMD's processors leaves the wide registers of AVX-512 alone. oneDNN,
which torch has with it for other uses, does twice as much a second on one core of an EPYC of the fifth generation
(``tests/benchmarks/SHAPES.md``), on matrices that lie in memory as they are. It adds the same products in another order, in
longer runs than MKL does, so its last digit is a little less good. Elsewhere, and where torch was built without one of the two, its
own product is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Replaced", "product", "products_of", "replaceable"]

Replaced = tuple[nn.Module, Callable[[Tensor], Tensor]]  # a module, and what computes it for a while

WORTH = 2**20  # multiplications; in fewer, what is prepared for each call costs more than is gained
CPUINFO = Path("/proc/cpuinfo")


def product(states: Tensor, rows: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return ``states rows^T + offset``, without a gradient.

    Parameters
    ----------
    states : Tensor, shape (..., width)
        On any device, in any precision; oneDNN has its turn in float32 on a processor.
    rows : Tensor, shape (made, width)
        May be a view of a matrix that lies in memory the other way round.
    offset : Tensor, shape (made,), optional
        Nothing is added unless said.

    Returns
    -------
    Tensor, shape (..., made)

    """
    is_fit = states.device.type == "cpu" and states.dtype == rows.dtype == torch.float32
    if is_fit and states.numel() * len(rows) >= WORTH and _is_half_used():
        return _by_onednn(states, rows, offset)
    return nn.functional.linear(states, rows, offset)


def replaceable(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that nothing else computes already, as where weights are fetched for each call."""
    return (module for module in network.modules() if "forward" not in vars(module))


def products_of(network: PreTrainedModel) -> list[Replaced]:
    """Return a network's matrix products, and for each what computes it by `product`; none where that gains nothing."""
    from transformers.pytorch_utils import Conv1D

    if network.device.type != "cpu" or network.dtype != torch.float32 or not _is_half_used():
        return []
    found: list[Replaced] = []
    for module in replaceable(network):
        if type(module) is Conv1D:  # GPT-2's, which keeps its matrix the other way round
            found.append((module, partial(_turned, module)))
        elif type(module) is nn.Linear:
            found.append((module, partial(_straight, module)))
    return found


def _straight(module: nn.Linear, states: Tensor) -> Tensor:
    return product(states, module.weight, module.bias)


def _turned(module: Any, states: Tensor) -> Tensor:
    return product(states, module.weight.T, module.bias)


def _by_onednn(states: Tensor, rows: Tensor, offset: Tensor | None) -> Tensor:
    flat = states.reshape(-1, states.shape[-1])
    count = len(flat)
    if filler := _rounded_up(count) - count:
        flat = torch.cat([flat, flat.new_zeros(filler, flat.shape[-1])])
    made: Tensor = torch.ops.mkldnn._linear_pointwise.default(flat, rows, offset, "none", [], "")
    return made[:count].view(*states.shape[:-1], len(rows))


def _rounded_up(count: int) -> int:
    """Return the next larger of the numbers of states that oneDNN is asked for: at most a sixteenth more, and few in all.

    For each shape it prepares something that stays. With one for every length of a text, a corpus would take more and more memory:
    between what stays, and arrays of ever other sizes, no freed place fits the next array.
    """
    step = 1 << max(count.bit_length() - 5, 0)
    return -(-count // step) * step


@cache
def _is_half_used() -> bool:
    """Whether torch's own products use half of this processor, and oneDNN's are there and right."""
    return (
        torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and _vendor() == "AuthenticAMD"
        and _is_right()
    )


def _vendor() -> str:
    """Return who made the processor, where Linux tells it."""
    try:
        lines = CPUINFO.read_text("ascii", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("vendor_id")), "")


def _is_right() -> bool:
    """Whether the operator, which is no part of torch's public interface, is there and computes what it should."""
    numbers = torch.linspace(-1.0, 1.0, 6 * 35).sin().view(6, 35)
    states, rows, offset = numbers[:2], numbers[2:], numbers[0, :4]
    expected = nn.functional.linear(states, rows, offset)
    try:
        with torch.inference_mode():
            found = [_by_onednn(states, each, offset) for each in (rows, rows.T.contiguous().T)]
    except (AttributeError, RuntimeError):
        return False
    return all(torch.allclose(one, expected, rtol=1e-4, atol=1e-5) for one in found)
