"""Lengths and angles of vectors in the residual stream: pure functions of tensors that know nothing about models.

Differences are taken before anything is squared and lengths are summed in float64, so a short step between two
long vectors keeps its digits. None of these functions centres, normalises or clips its input.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["distance", "length", "turning_angle", "widest"]


def widest(tensor: Tensor) -> torch.dtype:
    """Return the widest floating type that a tensor's device supports: float64, except float32 on Apple's MPS."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def length(vectors: Tensor) -> Tensor:
    """Return the Euclidean length of each vector, in float64.

    Parameters
    ----------
    vectors : Tensor, shape (..., d_model)
        In any floating type; lengths are summed in float64 if the device supports it.

    Returns
    -------
    Tensor, shape (...)

    Examples
    --------
    >>> length(torch.tensor([3.0, 4.0]))
    tensor(5., dtype=torch.float64)

    """
    norm: Tensor = torch.linalg.vector_norm(vectors, dim=-1, dtype=widest(vectors))
    return norm


def distance(start: Tensor, end: Tensor) -> Tensor:
    """Return the Euclidean distance ``||end - start||`` of each pair of vectors, shape ``(...)``, in float64.

    Vectors in half precision are widened before the subtraction; otherwise the difference would be rounded again.
    """
    if end.dtype in (torch.bfloat16, torch.float16):
        start, end = start.float(), end.float()
    return length(end - start)


def turning_angle(before: Tensor, after: Tensor, step: Tensor) -> Tensor:
    """Return the angle between the vectors before and after a step, from three lengths.

    ``theta = 2 asin(sqrt((s - |a - b|)(s + |a - b|) / (4 a b)))``: the half-angle form of the law of cosines.
    The usual ``acos`` of a cosine loses half its digits for small angles; this form keeps them.

    Parameters
    ----------
    before, after, step : Tensor, shape (...)
        ``a = ||x||``, ``b = ||y||`` and ``s = ||y - x||``.

    Returns
    -------
    Tensor, shape (...)
        Radians, from 0 to pi.

    References
    ----------
    Kahan, "Miscalculating Area and Angles of a Needle-like Triangle", 2014.

    Examples
    --------
    >>> a, b, s = torch.tensor([[3.0, 1.0], [4.0, 2.0], [5.0, 1.0]], dtype=torch.float64)
    >>> turning_angle(a, b, s).rad2deg().round(decimals=3)
    tensor([90.,  0.], dtype=torch.float64)

    """
    radial = (before - after).abs()
    half_sine = ((step - radial).clamp(min=0) * (step + radial) / (4 * before * after)).sqrt()
    return 2 * torch.asin(half_sine.clamp(max=1))
