"""Windows over texts, and the batches they are read in.

A text longer than the model's context is read in windows that overlap by half a context. Each token is measured once, in the
first window that holds it, so every token after the first window has at least half a context before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Window", "batches", "right_padded", "windows"]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text that is read in one pass: tokens from ``start`` to ``end``, measured from ``first`` on.

    Attributes
    ----------
    text : int
        Index of the text among those that are traced together.
    number : int
        Number of the window in its text, from 0.
    start, first, end : int
        Indices of tokens in the text.

    """

    text: int
    number: int
    start: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def measured(self) -> slice:
        """The positions in the window whose tokens are measured in it."""
        return slice(self.first - self.start, len(self))

    @property
    def central(self) -> slice:
        """The positions that the window's centroid is made of: the measured ones without the text's first token."""
        return slice(max(self.first - self.start, 1), len(self))


def windows(tokens: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first token read, first token measured, end) of each window over a text; see the module's docstring."""
    measured = 0
    while measured < tokens:
        start = max(0, measured - context // 2) if measured else 0
        end = min(tokens, start + context)
        yield start, measured, end
        measured = end


def batches(pieces: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Yield windows to read together: similar in length, and at most ``batch_tokens`` tokens with padding, or one window."""
    batch: list[Window] = []
    for window in sorted(pieces, key=len):
        if batch and len(window) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def right_padded(rows: Sequence[Tensor]) -> Tensor:
    """Return rows of token ids as one array, each padded on the right with its last token."""
    longest = max(map(len, rows))
    return torch.stack([torch.cat([row, row[-1:].expand(longest - len(row))]) for row in rows])
