"""Small figures as SVG text: a scale, an axis with round ticks, a scatter and a forest of intervals.

Figures carry no colour of their own; classes are styled by the page, so one figure serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Interval", "forest", "scatter", "ticks"]


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
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def _padded(values: Sequence[float], share: float = 0.05) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = (high - low) * share or abs(low) * share or 1.0
    return low - pad, high + pad


def scatter(
    points: Sequence[tuple[float, float]], odd: Sequence[tuple[float, float]] = (), *, title: str, x: str, y: str
) -> Markup:
    """Return a scatter of points, with odd ones among them drawn as rings.

    ``title`` is the figure's accessible name, ``x`` and ``y`` are the names of its axes.
    """
    width, height, left, bottom = 300, 220, 44, 34
    across = _Scale(*_padded([point[0] for point in (*points, *odd)]), left, width - 6)
    up = _Scale(*_padded([point[1] for point in (*points, *odd)]), height - bottom, 6)
    parts = [_opening(width, height, title)]
    for tick in ticks(across.low, across.high):
        parts.append(f'<line class="grid" x1="{across(tick)}" x2="{across(tick)}" y1="6" y2="{height - bottom}"/>')
        parts.append(f'<text x="{across(tick)}" y="{height - bottom + 13}" text-anchor="middle">{tick:g}</text>')
    for tick in ticks(up.low, up.high):
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 6}" y1="{up(tick)}" y2="{up(tick)}"/>')
        parts.append(f'<text x="{left - 4}" y="{up(tick) + 3}" text-anchor="end">{tick:g}</text>')
    parts.extend(f'<circle class="dot" cx="{across(a)}" cy="{up(b)}" r="2"/>' for a, b in points)
    parts.extend(f'<circle class="ring" cx="{across(a)}" cy="{up(b)}" r="3.5"/>' for a, b in odd)
    parts.append(
        f'<text class="name" x="{(left + width) / 2}" y="{height - 5}" text-anchor="middle">{escape(x)}</text>'
    )
    parts.append(
        f'<text class="name" transform="translate(10 {(height - bottom) / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>'
    )
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # every text in it is escaped above


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A line of a forest: a label, a value and the ends of its interval, and the verdict as a style class."""

    label: str
    value: float
    low: float
    high: float
    verdict: str


def forest(intervals: Sequence[Interval], region: tuple[float, float], *, title: str) -> Markup:
    """Return intervals above one axis, with the region of the claim shaded (its ends may be infinite)."""
    width, left, line = 460, 70, 22
    height = line * len(intervals) + 30
    edges = [end for end in region if math.isfinite(end)]
    ends = [number for one in intervals for number in (one.low, one.high)]
    across = _Scale(*_padded([*ends, *edges], 0.08), left, width - 10)
    floor = height - 26
    start, stop = (across(min(max(end, across.low), across.high)) for end in region)
    parts = [_opening(width, height, title)]
    parts.append(f'<rect class="region" x="{start}" y="4" width="{round(stop - start, 1)}" height="{floor - 4}"/>')
    parts.extend(f'<line class="edge" x1="{across(edge)}" x2="{across(edge)}" y1="4" y2="{floor}"/>' for edge in edges)
    for tick in ticks(across.low, across.high):
        parts.append(f'<line class="axis" x1="{across(tick)}" x2="{across(tick)}" y1="{floor}" y2="{floor + 4}"/>')
        parts.append(f'<text x="{across(tick)}" y="{floor + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<line class="axis" x1="{left}" x2="{width - 10}" y1="{floor}" y2="{floor}"/>')
    for place, one in enumerate(intervals):
        middle = 4 + line * (place + 0.5)
        kind = one.verdict.replace(" ", "-")
        parts.append(f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(one.label)}</text>')
        parts.append(
            f'<line class="interval {kind}" x1="{across(one.low)}" x2="{across(one.high)}" y1="{middle}" y2="{middle}"/>'
        )
        parts.append(f'<circle class="value {kind}" cx="{across(one.value)}" cy="{middle}" r="4"/>')
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # every text in it is escaped above


def _opening(width: int, height: int, title: str) -> str:
    name = escape(title)
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{name}"><title>{name}</title>'
