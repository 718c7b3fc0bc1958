r"""What a record holds about single tokens: the beginning of every text, token by token, for the page to draw.

A token of a byte-level vocabulary is a run of bytes that may end in the middle of a character, and only the tokenizer
knows which bytes. `pieces` asks it, and `written` writes bytes down so that nothing is lost: what is valid UTF-8 as it is, every
other byte as ``\xNN``.

No record grows with the length of a text: `LIMIT` tokens of a model are kept at most, an equal share of each text, and of
no text fewer than `SHORTEST`. What a verdict rests on is never taken from here.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pathlen.records.schema import Excerpt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pathlen.columns.measurement import Measurement

__all__ = ["LIMIT", "SHORTEST", "Tokenizer", "excerpts", "pieces", "rounded", "surprise", "written"]

LIMIT = 1000
SHORTEST = 20


class Tokenizer(Protocol):
    """What is needed of a tokenizer of transformers."""

    def convert_ids_to_tokens(self, ids: list[int]) -> str | list[str]:
        """Return the names of tokens in the vocabulary; of several, a list."""

    def __len__(self) -> int:
        """Return how many tokens there are."""


BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def excerpts(
    measured: Measurement,
    token_ids: Sequence[NDArray[np.int64]],
    names: Sequence[str],
    tokenizer: Tokenizer,
) -> tuple[Excerpt, ...]:
    """Return the beginnings of the texts that were measured.

    Parameters
    ----------
    measured : Measurement
        The columns of one model over all texts.
    token_ids : sequence of ndarray of int
        All tokens of each text.
    names : sequence of str
        Names of the texts, in the same order.
    tokenizer : Tokenizer
        That the texts were read with.

    """
    share = max(SHORTEST, LIMIT // len(names))
    made: list[Excerpt] = []
    for place, (name, ids) in enumerate(zip(names, token_ids, strict=True)):
        if len(made) * share >= LIMIT:
            break
        rows = np.flatnonzero(measured.passage == place)[:share]
        if not len(rows):
            continue
        left_out, last = int(measured.token[rows[0]]), int(measured.token[rows[-1]])
        made.append(
            Excerpt(
                text=name,
                left_out=left_out,
                pieces=tuple(map(written, pieces(tokenizer, ids[: last + 2].tolist()))),
                steps=tuple(rounded(one, 3) for one in measured.step_length[:, rows]),
                final_norm_step=rounded(measured.final_norm_step[rows], 4),
                next_logit=rounded(measured.next_logit[rows], 4),
                next_log_probability=rounded(measured.next_log_probability[rows], 4),
            )
        )
    return tuple(made)


def rounded(values: NDArray[np.float64], digits: int) -> tuple[float, ...]:
    """Return numbers with so many significant digits, and never "-0".

    Examples
    --------
    >>> rounded(np.array([1234.5, 0.0012345, -0.0]), 3)
    (1230.0, 0.00123, 0.0)

    """
    return tuple(float(f"{value:.{digits}g}") + 0.0 for value in values.tolist())


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[bytes]:
    """Return the bytes that each token stands for.

    Of a byte-level vocabulary (GPT-2 and most later ones) exactly these; of one that marks spaces with a bar and falls back
    on single bytes (Llama, Gemma, Mistral), with the bar as a space.
    """
    names = tokenizer.convert_ids_to_tokens(list(ids))
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if "ByteLevel" in str(getattr(backend, "decoder", "")):
        alphabet = _alphabet()
        return [
            bytes(map(alphabet.__getitem__, name)) if set(name) <= alphabet.keys() else name.encode() for name in names
        ]
    return [
        bytes([int(found[1], 16)]) if (found := BYTE.fullmatch(name)) else name.replace("\u2581", " ").encode()
        for name in names
    ]


def written(piece: bytes) -> str:
    r"""Return bytes as text that can be read and turned back; see `pathlen.records.schema.Excerpt`.

    Examples
    --------
    >>> written(" caf\u00e9".encode()), written(b"\xe2\x80"), written(b"a\\b")
    (' café', '\\xe2\\x80', 'a\\\\b')

    """
    return piece.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _alphabet() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for.

    Printable bytes stand for themselves; the others, space among them, are counted on from 256.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def surprise(log_probability: NDArray[np.float64]) -> float:
    """Return the mean of ``-log p`` in nats."""
    return -math.fsum(log_probability.tolist()) / len(log_probability)
