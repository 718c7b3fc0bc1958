"""The pieces that every figure is made of: a scale, round ticks, axes, the band of a region, dots, and the opening tag.

Figures carry no colour of their own; classes are styled by the page, so one figure serves light, dark and print. Each is
`WIDTH` units wide and drawn at that size, so that its letters stay as large as the page's on a phone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from pathlen._util.text import visible

__all__ = [
    "WIDTH",
    "Axis",
    "closing",
    "dots",
    "floor_axis",
    "foot",
    "frame",
    "label_width",
    "opening",
    "padded",
    "region_band",
    "text",
    "ticks",
]

WIDTH = 350
LETTER = 6.9  # units that a letter of a figure's type takes in a wide font, on average


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers between two ends: steps of 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> ticks(-0.13, 0.37)
    [-0.1, 0.0, 0.1, 0.2, 0.3]

    """
    if not low < high:
        raise ValueError(f"ticks need low < high, but [{low}, {high}] was given")
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step)))
    return [round(place * step, decimals) + 0.0 for place in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Axis:
    """A straight map from ``low`` and ``high`` to ``start`` and ``end`` of a drawing, to a tenth of a unit."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value is drawn."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def padded(values: Iterable[float], share: float = 0.05) -> tuple[float, float]:
    """Return the ends of some values with room on both sides."""
    known = list(values)
    low, high = min(known), max(known)
    pad = (high - low) * share or abs(low) * share or 1.0
    return low - pad, high + pad


def label_width(labels: Iterable[str], *, least: int = 40, most: int = 170) -> int:
    """Return how much room labels need on the left of a figure."""
    return round(min(most, max([least, *(LETTER * len(label) + 12 for label in labels)])))


def opening(height: float, title: str, *, kind: str = "", width: float = WIDTH) -> str:
    """Return the opening tag of a figure and its accessible name."""
    name, kinds = escape(visible(title)), f' class="{kind}"' if kind else ""
    return f'<svg{kinds} viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" aria-label="{name}">'


def closing(parts: Iterable[str]) -> Markup:
    """Return a figure from its parts, each of which has escaped its words."""
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # every word in it is escaped where it is written


def text(x: float, y: float, words: str, *, anchor: str = "", kind: str = "") -> str:
    """Return words at a place."""
    where = f' text-anchor="{anchor}"' if anchor else ""
    kinds = f' class="{kind}"' if kind else ""
    return f'<text{kinds} x="{x:g}" y="{y:g}"{where}>{escape(visible(words))}</text>'


def region_band(across: Axis, region: tuple[float, float], top: float, floor: float) -> list[str]:
    """Return the region of a claim as a band down to a floor, with its edges; nothing where it lies outside."""
    start, stop = (across(min(max(end, across.low), across.high)) for end in region)
    band = (
        f'<rect class="region" x="{start:g}" y="{top:g}" width="{round(stop - start, 1):g}" height="{floor - top:g}"/>'
    )
    edges = [across(end) for end in region if across.low <= end <= across.high]
    return [
        band if stop > start else "",
        *(f'<line class="edge" x1="{edge:g}" x2="{edge:g}" y1="{top:g}" y2="{floor:g}"/>' for edge in edges),
    ]


def floor_axis(across: Axis, floor: float, name: str = "") -> list[str]:
    """Return an axis at the foot of a figure, with round ticks, and its name below them."""
    marks = ticks(across.low, across.high)
    path = f"M{across.start:g} {floor:g}H{across.end:g}" + "".join(f"M{across(tick):g} {floor:g}v4" for tick in marks)
    parts = [f'<path class="axis" d="{path}"/>']
    parts.append('<g text-anchor="middle">')
    parts += [text(across(tick), floor + 16, f"{tick:g}") for tick in marks]
    for place, line in enumerate(_lines(name)):
        half = LETTER * len(line) / 2
        middle = max(half, min(WIDTH - half, (across.start + across.end) / 2))
        parts.append(text(round(middle, 1), floor + 32 + 14 * place, line, kind="name"))
    return [*parts, "</g>"]


def foot(name: str = "") -> float:
    """Return how much room an axis and its name take below their floor."""
    return 24 + 14 * len(_lines(name))


def _lines(name: str) -> list[str]:
    return textwrap.wrap(name, int(WIDTH / LETTER))


def frame(across: Axis, up: Axis, x: str, y: str) -> list[str]:
    """Return both axes of a figure with a grid, and their names."""
    left, right, floor, top = across.start, across.end, up.start, up.end
    path = "".join(f"M{across(tick):g} {top:g}V{floor:g}" for tick in ticks(across.low, across.high))
    path += "".join(f"M{left:g} {up(tick):g}H{right:g}" for tick in ticks(up.low, up.high))
    middle = round((top + floor) / 2)
    return [
        f'<path class="grid" d="{path}"/><g text-anchor="middle">',
        *(text(across(tick), floor + 15, f"{tick:g}") for tick in ticks(across.low, across.high)),
        text((left + right) / 2, floor + 31, x, kind="name"),
        f'<text class="name" transform="translate(11 {middle:g}) rotate(-90)">{escape(visible(y))}</text>',
        '</g><g text-anchor="end">',
        *(text(left - 5, up(tick) + 4, f"{tick:g}") for tick in ticks(up.low, up.high)),
        "</g>",
    ]


def dots(places: Sequence[tuple[float, float]], kind: str) -> str:
    """Return many dots as one path, a round cap each: a tenth of what circles take."""
    path, at = [], (0.0, 0.0)
    for x, y in places:
        path.append(f"m{_step(x - at[0])}{_signed(y - at[1])}h0")
        at = (x, y)
    return f'<path class="dots {kind}" d="{"".join(path)}"/>'


def _step(value: float) -> str:
    """Return a number to a tenth, without what a path can do without."""
    return f"{round(value, 1) + 0.0:g}"


def _signed(value: float) -> str:
    """Return a number that follows another one: its minus sign parts them, or a blank."""
    written = _step(value)
    return written if written.startswith("-") else f" {written}"
