r"""Excerpts: the beginning of every text, token by token, stored in a record for the page to draw.

A token of a byte-level vocabulary is a run of bytes that may end in the middle of a character, and only the tokenizer knows
which bytes. `pieces` asks the tokenizer; `written` turns bytes into text without loss, writing bytes that are not valid UTF-8
as ``\xNN``.

The size of a record does not grow with the length of a text: it holds at most `LIMIT` tokens per model, an equal share of each
text but no fewer than `SHORTEST`. No verdict depends on an excerpt.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pathlen.columns.measurement import Measurement

__all__ = [
    "LARGEST_POINT",
    "LIMIT",
    "SHORTEST",
    "Excerpt",
    "Tokenizer",
    "excerpts",
    "pieces",
    "rounded",
    "surprise",
    "written",
]

LIMIT = 1000
SHORTEST = 20
LARGEST_POINT = 1e30  # far beyond any residual stream, and still drawable
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Tokenizer(Protocol):
    """The interface this module needs of a Hugging Face tokenizer."""

    def convert_ids_to_tokens(self, ids: list[int]) -> str | list[str]:
        """Return the vocabulary's names of the tokens with these ids."""

    def __len__(self) -> int:
        """Return the size of the vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    r"""The beginning of a text as a model reads it: its tokens and their measurements.

    The first ``left_out`` tokens were read but not measured, and the last one was read only as the next token, so with ``m``
    measured tokens there are ``left_out + m + 1`` pieces.

    Attributes
    ----------
    text : str
        Name of the text.
    left_out : int
        Number of tokens before the first measured one.
    pieces : tuple of str
        The tokens as text. Bytes that are not valid UTF-8 are written as ``\xNN`` and backslashes are doubled, so every piece
        can be turned back into its bytes.
    steps : tuple of tuple of float, shape (steps, m)
        ``||h_L - h_(L-1)||`` to three significant digits. For drawing only; no verdict depends on it.
    final_norm_step, next_logit, next_log_probability : tuple of float, shape (m,)
        As in `pathlen.columns.measurement.Measurement`, to four significant digits.

    """

    text: str
    left_out: int
    pieces: tuple[str, ...]
    steps: tuple[tuple[float, ...], ...]
    final_norm_step: tuple[float, ...]
    next_logit: tuple[float, ...]
    next_log_probability: tuple[float, ...]

    def __post_init__(self) -> None:
        columns = (*self.steps, self.final_norm_step, self.next_logit, self.next_log_probability)
        if (
            not self.steps
            or self.left_out < 0
            or self.measured < 1
            or any(len(column) != self.measured for column in columns)
        ):
            raise ValueError(
                f"an excerpt of {len(self.pieces)} pieces, {self.left_out} of them left out, has {self.measured} tokens "
                f"measured and as many numbers in every column, but columns of {sorted({len(column) for column in columns})} "
                "were given"
            )
        if max(max(map(abs, column)) for column in columns) > LARGEST_POINT or min(map(min, self.steps)) < 0:
            raise ValueError(
                f"the steps of an excerpt must lie from 0 to {LARGEST_POINT:g}, and so must its logits in size"
            )

    @property
    def measured(self) -> int:
        """Number of measured tokens."""
        return len(self.pieces) - self.left_out - 1

    def first(self, tokens: int) -> Excerpt:
        """Return the excerpt cut to its first ``tokens`` measured tokens."""
        if not tokens > 0:
            raise ValueError(f"an excerpt needs at least one token, but {tokens} was given")
        return Excerpt(
            text=self.text,
            left_out=self.left_out,
            pieces=self.pieces[: self.left_out + tokens + 1],
            steps=tuple(row[:tokens] for row in self.steps),
            final_norm_step=self.final_norm_step[:tokens],
            next_logit=self.next_logit[:tokens],
            next_log_probability=self.next_log_probability[:tokens],
        )


def excerpts(
    measured: Measurement,
    token_ids: Sequence[NDArray[np.int64]],
    names: Sequence[str],
    tokenizer: Tokenizer,
) -> tuple[Excerpt, ...]:
    """Return the beginnings of the measured texts.

    Parameters
    ----------
    measured : Measurement
        The columns of one model over all texts.
    token_ids : sequence of ndarray of int
        All tokens of each text.
    names : sequence of str
        Names of the texts, in the same order.
    tokenizer : Tokenizer
        The tokenizer that the texts were read with.

    """
    share = max(SHORTEST, LIMIT // len(names))
    records: list[Excerpt] = []
    for number, (name, ids) in enumerate(zip(names, token_ids, strict=True)):
        if len(records) * share >= LIMIT:
            break
        rows = np.flatnonzero(measured.passage == number)[:share]
        if not len(rows):
            continue
        left_out, last = int(measured.token[rows[0]]), int(measured.token[rows[-1]])
        records.append(
            Excerpt(
                text=name,
                left_out=left_out,
                pieces=tuple(map(written, pieces(tokenizer, ids[: last + 2].tolist()))),
                steps=tuple(rounded(step, 3) for step in measured.step_length[:, rows]),
                final_norm_step=rounded(measured.final_norm_step[rows], 4),
                next_logit=rounded(measured.next_logit[rows], 4),
                next_log_probability=rounded(measured.next_log_probability[rows], 4),
            )
        )
    return tuple(records)


def rounded(values: NDArray[np.float64], digits: int) -> tuple[float, ...]:
    """Return numbers rounded to significant digits, never "-0".

    Examples
    --------
    >>> rounded(np.array([1234.5, 0.0012345, -0.0]), 3)
    (1230.0, 0.00123, 0.0)

    """
    return tuple(float(f"{value:.{digits}g}") + 0.0 for value in values.tolist())


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[bytes]:
    """Return the bytes that each token stands for.

    Byte-level vocabularies (GPT-2 and most later ones) give exact bytes. In vocabularies that mark spaces with a bar and
    fall back on single bytes (Llama, Gemma, Mistral), a bar becomes a space.
    """
    names = tokenizer.convert_ids_to_tokens(list(ids))
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if "ByteLevel" in str(getattr(backend, "decoder", "")):
        alphabet = _alphabet()
        return [
            bytes(map(alphabet.__getitem__, name)) if set(name) <= alphabet.keys() else name.encode() for name in names
        ]
    return [
        bytes([int(match[1], 16)]) if (match := BYTE.fullmatch(name)) else name.replace("\u2581", " ").encode()
        for name in names
    ]


def written(piece: bytes) -> str:
    r"""Return bytes as readable text that can be turned back into the bytes; see `Excerpt`.

    Examples
    --------
    >>> written(" caf\u00e9".encode()), written(b"\xe2\x80"), written(b"a\\b")
    (' café', '\\xe2\\x80', 'a\\\\b')

    """
    return piece.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _alphabet() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for.

    Printable bytes stand for themselves; the others, including space, map to characters from 256 upwards in order.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(others)}


def surprise(log_probability: NDArray[np.float64]) -> float:
    """Return the mean surprise per token, ``-log p``, in nats."""
    return -math.fsum(log_probability.tolist()) / len(log_probability)
