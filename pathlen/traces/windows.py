"""Windows over texts, and the batches they are read in.

A text longer than the model's context is read in windows that overlap by half a context. Each token is measured once, in the
first window that holds it, so all but the first window's tokens have at least half a context before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Window", "batches", "right_padded", "windows"]


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a text that is read at once: tokens from ``start`` to ``end``, measured from ``first`` on."""

    text: int
    number: int
    start: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


def windows(tokens: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first token read, first token measured, end) of each window over a text; see the module's docstring."""
    measured = 0
    while measured < tokens:
        start = max(0, measured - context // 2) if measured else 0
        end = min(tokens, start + context)
        yield start, measured, end
        measured = end


def batches(pieces: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Yield windows to read together: alike in length, and no more tokens than asked for, fillers included."""
    batch: list[Window] = []
    for one in sorted(pieces, key=len):
        if batch and len(one) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def right_padded(rows: Sequence[Tensor]) -> Tensor:
    """Return rows of tokens as one array, filled up on the right with each row's own last token."""
    longest = max(map(len, rows))
    return torch.stack([torch.cat([row, row[-1:].expand(longest - len(row))]) for row in rows])
