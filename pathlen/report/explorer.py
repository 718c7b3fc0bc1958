"""The token explorer: one text in one model, as a scatter, as cumulative curves, and as the text itself, linked token by token.

The figures drawn here need no script: the first model, the first text, the last block. `page.js` draws the same figures for every
other choice, from the record that the page carries, so the two must agree; a browser test compares them number by number.

A page has room for `VALUES` step lengths. If a record holds more, `thinned` keeps the beginnings of as many texts as fit with at
least `FEWEST` tokens each, and the page says so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate

from markupsafe import Markup, escape

from pathlen.plots.svg import WIDTH, Axis, closing, frame, opening, padded
from pathlen.records.schema import Excerpt, ModelRecord, Run

__all__ = [
    "FEWEST",
    "MOST",
    "VALUES",
    "Explorer",
    "curves",
    "explorer",
    "readable",
    "shades",
    "thinned",
    "tokens",
    "words",
]

VALUES = 36_000  # blocks times tokens, over all models: a fifth of what a page may weigh
FEWEST, MOST = 64, 350  # tokens of a text: fewer don't read as a text, more are too many lines in one figure
SHADES = 5
HEIGHT = 250
LEFT, RIGHT, TOP, FLOOR = 46, WIDTH - 8, 8, HEIGHT - 40

ESCAPED = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explorer:
    """What the page shows before the reader chooses, and what there is to choose from.

    Attributes
    ----------
    models : tuple of ModelRecord
        Those with tokens, with as many as the page holds.
    excerpt : Excerpt
        The first text of the first model.
    scatter, curves, words : Markup
        Drawings of that excerpt.
    sampled : str
        What the page leaves out, in words.

    """

    models: tuple[ModelRecord, ...]
    excerpt: Excerpt
    scatter: Markup
    curves: Markup
    words: Markup
    sampled: str


def thinned(run: Run, values: int = VALUES) -> Run:
    """Return a run whose excerpts fit into a page; the same run if they already do."""
    width = sum(model.n_layer for model in run.models if model.excerpts)
    texts = max((len(model.excerpts) for model in run.models), default=0)
    if not texts:
        return run
    room = max(1, values // width)
    held = max(sum(excerpt.measured for excerpt in model.excerpts) for model in run.models)
    longest = max(excerpt.measured for model in run.models for excerpt in model.excerpts)
    if held <= room and longest <= MOST:
        return run
    tokens = min(MOST, room, max(FEWEST, room // texts))
    shown_texts = max(1, room // tokens)
    return replace(
        run,
        models=tuple(
            replace(
                model,
                excerpts=tuple(
                    excerpt.first(min(tokens, excerpt.measured)) for excerpt in model.excerpts[:shown_texts]
                ),
            )
            for model in run.models
        ),
    )


def explorer(run: Run) -> Explorer | None:
    """Return the explorer of a run that was `thinned`; None if its record holds no tokens."""
    models = tuple(model for model in run.models if model.excerpts)
    if not models:
        return None
    excerpt = models[0].excerpts[0]
    lengths = {excerpt.text: excerpt.measured for excerpt in models[0].excerpts}
    longest = max(lengths.values())
    drawn = sum(lengths.values())
    texts = f"{len(lengths)} of {len(run.texts)} texts" if len(lengths) < len(run.texts) else _texts(len(lengths))
    return Explorer(
        models=models,
        excerpt=excerpt,
        scatter=tokens(excerpt, models[0].n_layer, title=models[0].title),
        curves=curves(excerpt, models[0].n_layer, title=models[0].title),
        words=words(excerpt),
        sampled=f"{drawn:,} of {models[0].rows:,} tokens can be looked at here: the first {longest} at most of {texts}.",
    )


def tokens(excerpt: Excerpt, block: int, *, title: str) -> Markup:
    """Return a scatter of a block's step against the next token's logit, a circle for each token."""
    lengths = excerpt.steps[block - 1]
    across = Axis(*padded(lengths), LEFT, RIGHT)
    up = Axis(*padded(excerpt.next_logit), FLOOR, TOP)
    name = f"{title}, {excerpt.text}: step of block {block} against the next token’s logit, {excerpt.measured} tokens"
    return closing(
        [
            opening(HEIGHT, name, kind="tokens"),
            *frame(across, up, f"step of block {block}", "next token’s logit"),
            *(
                f'<circle data-i="{number}" cx="{across(length):g}" cy="{up(logit):g}" r="3.5"/>'
                for number, (length, logit) in enumerate(zip(lengths, excerpt.next_logit, strict=True))
            ),
        ]
    )


def curves(excerpt: Excerpt, block: int, *, title: str) -> Markup:
    """Return every token's cumulative path length over the blocks, with a line at one block."""
    paths = [[0.0, *accumulate(steps)] for steps in zip(*excerpt.steps, strict=True)]
    blocks = len(excerpt.steps)
    across = Axis(0, blocks, LEFT, RIGHT)
    up = Axis(0, max(path[-1] for path in paths) * 1.04 or 1, FLOOR, TOP)
    name = f"{title}, {excerpt.text}: path length of {excerpt.measured} tokens over {blocks} blocks"
    return closing(
        [
            opening(HEIGHT, name, kind="curves"),
            *frame(across, up, "block", "path length so far"),
            f'<path class="block" d="M{across(block):g} {TOP}V{FLOOR}"/>',
            *(
                f'<path data-i="{number}" d="M{"L".join(f"{across(after):g} {up(length):g}" for after, length in enumerate(path))}"/>'
                for number, path in enumerate(paths)
            ),
        ]
    )


def words(excerpt: Excerpt) -> Markup:
    """Return the text, a span for each token that was measured, shaded by the last block's step."""
    first, last = excerpt.left_out, len(excerpt.pieces) - 1
    fifths = shades(excerpt.steps[-1])
    spans = []
    for token, piece in enumerate(excerpt.pieces):
        if first <= token < last:
            number = token - first
            spans.append(
                f'<span id="t{number}" data-i="{number}" class="q{fifths[number]}">{escape(readable(piece))}</span>'
            )
        else:
            spans.append(f"<i>{escape(readable(piece))}</i>")
    return Markup("".join(spans))  # noqa: S704  # every piece is escaped above


def shades(values: Iterable[float]) -> list[int]:
    """Return in which fifth of the values each lies, 0 for the smallest."""
    numbers = list(values)
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    fifths = [0] * len(numbers)
    for rank, index in enumerate(order):
        fifths[index] = rank * SHADES // len(numbers)
    return fifths


def readable(piece: str) -> str:
    r"""Return a piece as a reader can see it: bytes and invisible characters are named in angle brackets.

    Examples
    --------
    >>> readable(" caf\u00e9"), readable(r"\xe2\x80"), readable(r"a\\b"), readable("x\u202e"), readable("\n")
    (' café', '⟨E2⟩⟨80⟩', 'a\\b', 'x⟨U+202E⟩', '↵')

    """
    shown = []
    plain = ESCAPED.sub(lambda escaped: f"⟨{escaped[1].upper()}⟩" if escaped[1] else "\\", piece)
    for letter in plain:
        kind = unicodedata.category(letter)
        if letter == "\n":
            shown.append("↵")
        elif kind.startswith("C") or kind in ("Zl", "Zp"):
            shown.append(f"⟨U+{ord(letter):04X}⟩")
        else:
            shown.append(letter)
    if plain and unicodedata.category(plain[0]).startswith("M"):
        shown.insert(0, "◌")  # a combining mark would combine with its neighbour
    return "".join(shown)


def _texts(count: int) -> str:
    return "the text" if count == 1 else f"each of {count} texts"
