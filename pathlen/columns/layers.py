"""Parts of a network's depth, by name, so that "the middle blocks" are the same in every claim.

================== ==================================================================
part               entries of a column along its first axis
================== ==================================================================
``"first"``        the first
``"first half"``   the first half, without the middle entry of an odd number
``"middle half"``  from a quarter of the depth to three quarters, both rounded
``"second half"``  the second half, without the middle entry of an odd number
``"last quarter"`` the last quarter, at least one entry
``"last"``         the last
================== ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PARTS", "at_depth"]

PARTS: Mapping[str, Callable[[int], slice]] = {
    "first": lambda depth: slice(0, 1),
    "first half": lambda depth: slice(0, max(1, depth // 2)),
    "middle half": lambda depth: slice(round(depth / 4), max(round(depth / 4) + 1, round(3 * depth / 4))),
    "second half": lambda depth: slice(depth - max(1, depth // 2), depth),
    "last quarter": lambda depth: slice(depth - max(1, depth // 4), depth),
    "last": lambda depth: slice(depth - 1, depth),
}


def at_depth(column: ArrayLike, part: str) -> NDArray[np.float64]:
    """Return each token's mean of a column over a part of the depth.

    Parameters
    ----------
    column : array_like, shape (depth, ..., rows)
        A column along states, steps or blocks.
    part : str
        One of `PARTS`; see the module's docstring.

    Returns
    -------
    ndarray, shape (..., rows)
        In the column's unit.

    Raises
    ------
    ValueError
        If the part is unknown, or the column has only one number per token.

    Examples
    --------
    >>> at_depth([[1.0], [2.0], [3.0], [6.0]], "second half")
    array([4.5])

    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(map(repr, PARTS))}, but {part!r} was given")
    values = np.asarray(column, dtype=np.float64)
    if values.ndim < 2:
        raise ValueError(f"column must have an axis of depth before its tokens, but its shape is {values.shape}")
    mean: NDArray[np.float64] = values[PARTS[part](len(values))].mean(axis=0)
    return mean
