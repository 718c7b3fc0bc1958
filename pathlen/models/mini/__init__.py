"""The embedded family: four small GPT-2 networks that ship with the package.

They have GPT-2's architecture and its four depths (12, 24, 36 and 48 blocks) but are narrow, and were trained from
scratch by this project on public-domain English books, so that every claim can be run on trained networks without a
network connection. They demonstrate the instrument: **nothing measured on them says anything about GPT-2.**
``MODEL_CARD.md`` beside this file describes them.

Each folder beside this file is an ordinary checkpoint (``config.json``, ``model.safetensors``, ``tokenizer.json``) and
is loaded like any other; see `pathlen.models.loading`.

The weights come from two commands, which need a folder of books and about three hours on one core::

    python -m pathlen.models.mini.train  --books BOOKS --work WORK
    python -m pathlen.models.mini.export --work WORK

"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parent
CONTEXT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The shape of one network of the family: blocks, heads and width."""

    n_layer: int
    n_head: int
    d_model: int


SHAPES = {
    "small": Shape(n_layer=12, n_head=4, d_model=48),
    "medium": Shape(n_layer=24, n_head=4, d_model=64),
    "large": Shape(n_layer=36, n_head=4, d_model=80),
    "xl": Shape(n_layer=48, n_head=4, d_model=88),
}


def checkpoint(size: str) -> Path:
    """Return the folder of one embedded checkpoint."""
    return HOME / size
