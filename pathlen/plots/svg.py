"""Building blocks of figures: axes with round ticks, region bands, text, dots, and the SVG element around them.

Figures contain no colours. The page styles their classes, so one figure works in light mode, dark mode and print. Each is
`WIDTH` units wide and drawn at that size, so that its text is as large as the page's even on a phone.
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
LETTER = 6.9  # average width of a letter in a figure, in units, for a wide font


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers between two ends, in steps of 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> ticks(-0.13, 0.37)
    [-0.1, 0.0, 0.1, 0.2, 0.3]

    """
    if not low < high:
        raise ValueError(f"ticks need low < high, but [{low}, {high}] was given")
    smallest_step = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(smallest_step))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= smallest_step * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step)))
    return [round(multiple * step, decimals) + 0.0 for multiple in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear map from the values ``low`` and ``high`` to the coordinates ``start`` and ``end``, to a tenth of a unit."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def padded(values: Iterable[float], share: float = 0.05) -> tuple[float, float]:
    """Return the range of some values, widened by a share of its width on both sides."""
    numbers = list(values)
    low, high = min(numbers), max(numbers)
    pad = (high - low) * share or abs(low) * share or 1.0
    return low - pad, high + pad


def label_width(labels: Iterable[str], *, least: int = 40, most: int = 170) -> int:
    """Return the width that labels need on the left of a figure, within bounds."""
    return round(min(most, max([least, *(LETTER * len(label) + 12 for label in labels)])))


def opening(height: float, title: str, *, kind: str = "", width: float = WIDTH) -> str:
    """Return the opening tag of a figure, with its accessible name."""
    name, kinds = escape(visible(title)), f' class="{kind}"' if kind else ""
    return f'<svg{kinds} viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" aria-label="{name}">'


def closing(parts: Iterable[str]) -> Markup:
    """Return a complete figure made of parts whose text is already escaped."""
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # the parts escape their text


def text(x: float, y: float, words: str, *, anchor: str = "", kind: str = "") -> str:
    """Return a text element at a position."""
    anchors = f' text-anchor="{anchor}"' if anchor else ""
    kinds = f' class="{kind}"' if kind else ""
    return f'<text{kinds} x="{x:g}" y="{y:g}"{anchors}>{escape(visible(words))}</text>'


def region_band(across: Axis, region: tuple[float, float], top: float, floor: float) -> list[str]:
    """Return the region of a claim as a band from ``top`` to ``floor``, with its edges, as far as the axis shows it."""
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
    """Return a horizontal axis at the bottom of a figure, with round ticks and its name below them."""
    marks = ticks(across.low, across.high)
    path = f"M{across.start:g} {floor:g}H{across.end:g}" + "".join(f"M{across(tick):g} {floor:g}v4" for tick in marks)
    parts = [f'<path class="axis" d="{path}"/>']
    parts.append('<g text-anchor="middle">')
    parts += [text(across(tick), floor + 16, f"{tick:g}") for tick in marks]
    for index, line in enumerate(_lines(name)):
        half = LETTER * len(line) / 2
        middle = max(half, min(WIDTH - half, (across.start + across.end) / 2))
        parts.append(text(round(middle, 1), floor + 32 + 14 * index, line, kind="name"))
    return [*parts, "</g>"]


def foot(name: str = "") -> float:
    """Return the height that an axis and its name need below the floor."""
    return 24 + 14 * len(_lines(name))


def _lines(name: str) -> list[str]:
    return textwrap.wrap(name, int(WIDTH / LETTER))


def frame(across: Axis, up: Axis, x: str, y: str) -> list[str]:
    """Return the two axes of a figure, with a grid and their names."""
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
    """Return many dots as one path of round line caps, which takes a tenth of the bytes of circles."""
    path, previous = [], (0.0, 0.0)
    for x, y in places:
        path.append(f"m{_tenths(x - previous[0])}{_separated(y - previous[1])}h0")
        previous = (x, y)
    return f'<path class="dots {kind}" d="{"".join(path)}"/>'


def _tenths(value: float) -> str:
    """Return a number to a tenth, as short as a path allows."""
    return f"{round(value, 1) + 0.0:g}"


def _separated(value: float) -> str:
    """Return a number that can follow another one in a path: after a blank, unless a minus sign separates them."""
    digits = _tenths(value)
    return digits if digits.startswith("-") else f" {digits}"
