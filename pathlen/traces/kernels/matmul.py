"""Matrix products on CPUs that torch's math library uses only half of.

On x86 torch multiplies float32 matrices with Intel's MKL, which doesn't use the wide AVX-512 registers of AMD CPUs. oneDNN, which
torch ships for other uses, does twice as many products per second on one core of a fifth-generation EPYC
(``tests/benchmarks/SHAPES.md``), without repacking the matrices. It adds the same products in another order, in longer runs than
MKL, so its last digit is slightly less accurate. On other CPUs, and where torch was built without one of the two, torch's own
product is used.
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

__all__ = [
    "Replacement",
    "cpu_vendor",
    "matmul_replacements",
    "onednn_linear",
    "padded_count",
    "product",
    "replaceable_modules",
]

Replacement = tuple[nn.Module, Callable[[Tensor], Tensor]]  # a module, and the function that replaces its forward

WORTH = 2**20  # multiplications; below that, the overhead of a call to oneDNN exceeds the gain
CPUINFO = Path("/proc/cpuinfo")


def product(states: Tensor, rows: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return ``states rows^T + offset``, without a gradient.

    Parameters
    ----------
    states : Tensor, shape (..., width)
        On any device, in any precision; oneDNN is used for float32 on a CPU.
    rows : Tensor, shape (outputs, width)
        May be a transposed view.
    offset : Tensor, shape (outputs,), optional
        0 by default.

    Returns
    -------
    Tensor, shape (..., outputs)

    """
    is_fit = states.device.type == "cpu" and states.dtype == rows.dtype == torch.float32
    if is_fit and states.numel() * len(rows) >= WORTH and _is_half_used():
        return onednn_linear(states, rows, offset)
    return nn.functional.linear(states, rows, offset)


def replaceable_modules(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules whose ``forward`` nothing else has replaced, as wrappers that fetch weights for each call do."""
    return (module for module in network.modules() if "forward" not in vars(module))


def matmul_replacements(network: PreTrainedModel) -> list[Replacement]:
    """Return a network's linear modules, each with a function that uses `product`; none if that gains nothing."""
    from transformers.pytorch_utils import Conv1D

    if network.device.type != "cpu" or network.dtype != torch.float32 or not _is_half_used():
        return []
    replacements: list[Replacement] = []
    for module in replaceable_modules(network):
        if type(module) is Conv1D:  # GPT-2's linear module, whose weight is transposed
            replacements.append((module, partial(_conv1d, module)))
        elif type(module) is nn.Linear:
            replacements.append((module, partial(_linear, module)))
    return replacements


def _linear(module: nn.Linear, states: Tensor) -> Tensor:
    return product(states, module.weight, module.bias)


def _conv1d(module: Any, states: Tensor) -> Tensor:
    return product(states, module.weight.T, module.bias)


def onednn_linear(states: Tensor, rows: Tensor, offset: Tensor | None) -> Tensor:
    """Return ``states rows^T + offset`` from oneDNN, with the states padded to `padded_count`; shapes as in `product`."""
    flat = states.reshape(-1, states.shape[-1])
    count = len(flat)
    if padding := padded_count(count) - count:
        flat = torch.cat([flat, flat.new_zeros(padding, flat.shape[-1])])
    output: Tensor = torch.ops.mkldnn._linear_pointwise.default(flat, rows, offset, "none", [], "")
    return output[:count].view(*states.shape[:-1], len(rows))


def padded_count(count: int) -> int:
    """Return how many states oneDNN is given for ``count`` of them: at most a sixteenth more, and few different counts.

    oneDNN caches a kernel for every shape. With a new shape for every length of a text, memory would grow over a corpus:
    between the cached kernels and arrays of ever new sizes, no freed block fits the next array.
    """
    step = 1 << max(count.bit_length() - 5, 0)
    return -(-count // step) * step


@cache
def _is_half_used() -> bool:
    """Whether torch's own products use only half of this CPU, and oneDNN's are available and correct."""
    return (
        torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and cpu_vendor() == "AuthenticAMD"
        and _is_right()
    )


def cpu_vendor() -> str:
    """Return the CPU's vendor as Linux reports it, or ``""``."""
    try:
        lines = CPUINFO.read_text("ascii", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("vendor_id")), "")


def _is_right() -> bool:
    """Whether oneDNN's operator, which is not in torch's public interface, exists and computes the product."""
    numbers = torch.linspace(-1.0, 1.0, 6 * 35).sin().view(6, 35)
    states, rows, offset = numbers[:2], numbers[2:], numbers[0, :4]
    expected = nn.functional.linear(states, rows, offset)
    try:
        with torch.inference_mode():
            outputs = [onednn_linear(states, matrix, offset) for matrix in (rows, rows.T.contiguous().T)]
    except (AttributeError, RuntimeError):
        return False
    return all(torch.allclose(output, expected, rtol=1e-4, atol=1e-5) for output in outputs)
