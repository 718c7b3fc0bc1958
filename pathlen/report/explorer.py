"""The token explorer: one text in one model, as a scatter, as cumulative curves, and as the text itself, linked token by token.

What is drawn here needs no script: the first model, the first text, the last block. `page.js` draws the same figures for every
other choice, from the record that the page carries, so the two must agree; a browser test compares them number by number.

A page has room for `VALUES` step lengths. Where a record holds more, `thinned` keeps the beginnings of as many texts as fit
with at least `FEWEST` tokens each, and the page says so.
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
FEWEST, MOST = 64, 350  # tokens of a text: fewer are no text, more are too many lines in one figure
SHADES = 5
HEIGHT = 250
LEFT, RIGHT, TOP, FLOOR = 46, WIDTH - 8, 8, HEIGHT - 40

ESCAPED = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explorer:
    """What the page shows before any choice is made, and what there is to choose from.

    Attributes
    ----------
    models : tuple of ModelRecord
        With tokens, as far as the page holds them.
    excerpt : Excerpt
        The first text of the first model.
    scatter, curves, words : Markup
        It, drawn.
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
    """Return a run whose excerpts fit into a page; the same run where they do already."""
    width = sum(model.n_layer for model in run.models if model.excerpts)
    texts = max((len(model.excerpts) for model in run.models), default=0)
    if not texts:
        return run
    room = max(1, values // width)
    held = max(sum(one.measured for one in model.excerpts) for model in run.models)
    longest = max(one.measured for model in run.models for one in model.excerpts)
    if held <= room and longest <= MOST:
        return run
    tokens = min(MOST, room, max(FEWEST, room // texts))
    kept = max(1, room // tokens)
    return replace(
        run,
        models=tuple(
            replace(
                model,
                excerpts=tuple(one.first(min(tokens, one.measured)) for one in model.excerpts[:kept]),
            )
            for model in run.models
        ),
    )


def explorer(run: Run) -> Explorer | None:
    """Return the explorer of a run that is thinned already; None if its record holds no tokens."""
    models = tuple(model for model in run.models if model.excerpts)
    if not models:
        return None
    excerpt = models[0].excerpts[0]
    kept = {one.text: one.measured for one in models[0].excerpts}
    longest = max(kept.values())
    drawn = sum(kept.values())
    some = f"{len(kept)} of {len(run.texts)} texts" if len(kept) < len(run.texts) else f"{_texts(len(kept))}"
    return Explorer(
        models=models,
        excerpt=excerpt,
        scatter=tokens(excerpt, models[0].n_layer, title=models[0].title),
        curves=curves(excerpt, models[0].n_layer, title=models[0].title),
        words=words(excerpt),
        sampled=f"{drawn:,} of {models[0].rows:,} tokens can be looked at here: the first {longest} at most of {some}.",
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
                f'<circle data-i="{place}" cx="{across(x):g}" cy="{up(y):g}" r="3.5"/>'
                for place, (x, y) in enumerate(zip(lengths, excerpt.next_logit, strict=True))
            ),
        ]
    )


def curves(excerpt: Excerpt, block: int, *, title: str) -> Markup:
    """Return every token's cumulative path length over the blocks, with a line at one block."""
    ways = [[0.0, *accumulate(steps)] for steps in zip(*excerpt.steps, strict=True)]
    blocks = len(excerpt.steps)
    across = Axis(0, blocks, LEFT, RIGHT)
    up = Axis(0, max(way[-1] for way in ways) * 1.04 or 1, FLOOR, TOP)
    name = f"{title}, {excerpt.text}: path length of {excerpt.measured} tokens over {blocks} blocks"
    place = across(block)
    return closing(
        [
            opening(HEIGHT, name, kind="curves"),
            *frame(across, up, "block", "path length so far"),
            f'<path class="block" d="M{place:g} {TOP}V{FLOOR}"/>',
            *(
                f'<path data-i="{number}" d="M{"L".join(f"{across(at):g} {up(y):g}" for at, y in enumerate(way))}"/>'
                for number, way in enumerate(ways)
            ),
        ]
    )


def words(excerpt: Excerpt) -> Markup:
    """Return the text, a span for each token that was measured, shaded by the last block's step."""
    first, last = excerpt.left_out, len(excerpt.pieces) - 1
    inked = shades(excerpt.steps[-1])
    made = []
    for place, piece in enumerate(excerpt.pieces):
        if first <= place < last:
            number = place - first
            made.append(
                f'<span id="t{number}" data-i="{number}" class="q{inked[number]}">{escape(readable(piece))}</span>'
            )
        else:
            made.append(f"<i>{escape(readable(piece))}</i>")
    return Markup("".join(made))  # noqa: S704  # every piece is escaped above


def shades(values: Iterable[float]) -> list[int]:
    """Return in which fifth of the values each lies, 0 for the smallest."""
    known = list(values)
    order = sorted(range(len(known)), key=known.__getitem__)
    found = [0] * len(known)
    for rank, place in enumerate(order):
        found[place] = rank * SHADES // len(known)
    return found


def readable(piece: str) -> str:
    r"""Return a piece as a reader can see it: what has no shape of its own is named between angle brackets.

    Examples
    --------
    >>> readable(" caf\u00e9"), readable(r"\xe2\x80"), readable(r"a\\b"), readable("x\u202e"), readable("\n")
    (' café', '⟨E2⟩⟨80⟩', 'a\\b', 'x⟨U+202E⟩', '↵')

    """
    shown = []
    plain = ESCAPED.sub(lambda found: f"⟨{found[1].upper()}⟩" if found[1] else "\\", piece)
    for letter in plain:
        kind = unicodedata.category(letter)
        if letter == "\n":
            shown.append("↵")
        elif kind.startswith("C") or kind in ("Zl", "Zp"):
            shown.append(f"⟨U+{ord(letter):04X}⟩")
        else:
            shown.append(letter)
    if plain and unicodedata.category(plain[0]).startswith("M"):
        shown.insert(0, "◌")  # a mark needs something to stand on that is not its neighbour
    return "".join(shown)


def _texts(count: int) -> str:
    return "the text" if count == 1 else f"each of {count} texts"
