"""Small figures as SVG text: a scale, an axis with round ticks, a scatter and a forest of intervals.

Figures carry no colour of their own; classes are styled by the page, so one figure serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Interval", "Scale", "dots", "floor_axis", "forest", "opening", "padded", "region_band", "scatter", "ticks"]


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
class Scale:
    """A straight map from ``low`` and ``high`` to ``start`` and ``end`` of a drawing, to a tenth of a unit."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value is drawn."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def padded(values: Sequence[float], share: float = 0.05) -> tuple[float, float]:
    """Return the ends of some values with room on both sides."""
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
    across = Scale(*padded([point[0] for point in (*points, *odd)]), left, width - 6)
    up = Scale(*padded([point[1] for point in (*points, *odd)]), height - bottom, 6)
    parts = [opening(width, height, title)]
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
    """A line of a forest.

    Attributes
    ----------
    label : str
    value, low, high : float
        The number and the ends of its interval.
    verdict : str
        Styles the line.
    controls : tuple of (str, tuple of float)
        Below the line, the values that each control gave, where the claim should not hold.

    """

    label: str
    value: float
    low: float
    high: float
    verdict: str
    controls: tuple[tuple[str, tuple[float, ...]], ...] = ()


def forest(intervals: Sequence[Interval], region: tuple[float, float], *, title: str) -> Markup:
    """Return intervals above one axis, with the region of the claim shaded (its ends may be infinite)."""
    width, left, line, thin = 460, 86, 22, 13
    below = [[control for control in one.controls if control[1]] for one in intervals]
    floor = 4 + line * len(intervals) + thin * sum(map(len, below))
    ends = [number for one in intervals for number in (one.low, one.high)]
    ends += [value for controls in below for _, values in controls for value in values]
    ends += [end for end in region if math.isfinite(end)]
    across = Scale(*padded(ends, 0.08), left, width - 10)
    parts = [opening(width, floor + 26, title), *region_band(across, region, floor), *floor_axis(across, floor)]
    top = 4.0
    for one, controls in zip(intervals, below, strict=True):
        middle = top + line / 2
        kind = one.verdict.replace(" ", "-")
        parts.append(f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(one.label)}</text>')
        parts.append(
            f'<line class="interval {kind}" x1="{across(one.low)}" x2="{across(one.high)}" y1="{middle}" y2="{middle}"/>'
        )
        parts.append(f'<circle class="value {kind}" cx="{across(one.value)}" cy="{middle}" r="4"/>')
        top += line
        for name, values in controls:
            middle = top + thin / 2 - 2
            parts.append(f'<text class="name" x="{left - 8}" y="{middle + 3}" text-anchor="end">{escape(name)}</text>')
            parts.append(dots([(across(value), middle) for value in values], "control"))
            top += thin
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # every text in it is escaped above


def region_band(across: Scale, region: tuple[float, float], floor: float) -> list[str]:
    """Return the region of a claim as a band down to a floor, with its edges."""
    start, stop = (across(min(max(end, across.low), across.high)) for end in region)
    band = f'<rect class="region" x="{start}" y="4" width="{round(stop - start, 1)}" height="{floor - 4}"/>'
    edges = [across(end) for end in region if math.isfinite(end)]
    return [band, *(f'<line class="edge" x1="{edge}" x2="{edge}" y1="4" y2="{floor}"/>' for edge in edges)]


def floor_axis(across: Scale, floor: float) -> list[str]:
    """Return an axis at the foot of a figure, with round ticks."""
    parts = []
    for tick in ticks(across.low, across.high):
        parts.append(f'<line class="axis" x1="{across(tick)}" x2="{across(tick)}" y1="{floor}" y2="{floor + 4}"/>')
        parts.append(f'<text x="{across(tick)}" y="{floor + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<line class="axis" x1="{across.start}" x2="{across.end}" y1="{floor}" y2="{floor}"/>')
    return parts


def dots(places: Sequence[tuple[float, float]], kind: str) -> str:
    """Return many dots as one path, a round cap each: a tenth of what circles take."""
    path = "".join(f"M{x:g} {y:g}h0" for x, y in places)
    return f'<path class="{kind}" d="{path}"/>'


def opening(width: float, height: float, title: str) -> str:
    """Return the opening tag of a figure and its accessible name."""
    name = escape(title)
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{name}"><title>{name}</title>'
