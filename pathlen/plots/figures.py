"""Figures of what was measured: intervals as a forest, points as a scatter, counts as a histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from markupsafe import Markup

from pathlen.plots.svg import (
    WIDTH,
    Axis,
    closing,
    dots,
    floor_axis,
    foot,
    frame,
    label_width,
    opening,
    padded,
    region_band,
    text,
)
from pathlen.stats.estimate import PROBABILITIES

__all__ = ["ForestRow", "forest", "histogram", "ridge", "scatter"]

LINE, STRIP, RIDGE = 30, 13, 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """A line of a forest.

    Attributes
    ----------
    label : str
    value, low, high : float
        The number and the ends of its interval.
    region : tuple of float
        Where the claim holds; its ends may be infinite.
    verdict : str
        Styles the line.
    quantiles : tuple of float
        Of the replicates, at `pathlen.stats.estimate.PROBABILITIES`, drawn as a ridge; empty where there are none.
    controls : tuple of (str, tuple of float)
        Below the line, the values that each control gave, where the claim should not hold.
    published : float or None
        The number as published, drawn as a ring.

    """

    label: str
    value: float
    low: float
    high: float
    region: tuple[float, float]
    verdict: str
    quantiles: tuple[float, ...] = ()
    controls: tuple[tuple[str, tuple[float, ...]], ...] = ()
    published: float | None = None

    @property
    def strips(self) -> list[tuple[str, tuple[float, ...]]]:
        """The controls that gave a number."""
        return [control for control in self.controls if control[1]]

    @property
    def extremes(self) -> list[float]:
        """Every number that has to have room."""
        found = [self.value, self.low, self.high, *(value for _, values in self.controls for value in values)]
        found += [end for end in self.region if math.isfinite(end)]
        return found if self.published is None else [*found, self.published]


def forest(lines: Sequence[ForestRow], *, title: str, name: str, ends: Sequence[float] = ()) -> Markup:
    """Return intervals above one axis, each with the region of its claim shaded and its replicates as a ridge.

    Parameters
    ----------
    lines : sequence of ForestRow
        At least one.
    title : str
        The figure's accessible name.
    name : str
        Of the axis.
    ends : sequence of float
        Further numbers that the axis has room for, so that two figures can share theirs.

    """
    left = label_width([label for one in lines for label in (one.label, *(name for name, _ in one.strips))])
    across = Axis(*padded([*ends, *(end for one in lines for end in one.extremes)], 0.07), left, WIDTH - 10)
    heights = [LINE + STRIP * len(one.strips) for one in lines]
    floor = 4 + sum(heights)
    tops = [4.0, *(4.0 + height for height in accumulate(heights))]
    parts, labels = [opening(floor + foot(name), title)], []
    for region, same in groupby(zip(lines, tops, tops[1:], strict=False), key=lambda one: one[0].region):
        _, starts, stops = zip(*same, strict=True)
        parts += region_band(across, region, starts[0], stops[-1])
    for one, top in zip(lines, tops, strict=False):
        parts += _line(one, across, top)
        labels.append(text(left - 8, top + 25, one.label))
        for place, (control, _) in enumerate(one.strips):
            labels.append(text(left - 8, top + LINE + STRIP * place + 8, control, kind="name"))
    return closing([*parts, '<g text-anchor="end">', *labels, "</g>", *floor_axis(across, floor, name)])


def _line(one: ForestRow, across: Axis, top: float) -> list[str]:
    middle, kind = top + 21, one.verdict.replace(" ", "-")
    parts = []
    if outline := ridge(one.quantiles, across, middle - 5):
        parts.append(f'<path class="ridge {kind}" d="{outline}"/>')
    parts.append(f'<path class="interval {kind}" d="M{across(one.low):g} {middle:g}H{across(one.high):g}"/>')
    if one.published is not None:
        parts.append(f'<circle class="ring" cx="{across(one.published):g}" cy="{middle:g}" r="4"/>')
    parts.append(f'<circle class="value {kind}" cx="{across(one.value):g}" cy="{middle:g}" r="4"/>')
    for place, (_, values) in enumerate(one.strips):
        here = top + LINE + STRIP * place + 5
        parts.append(dots([(across(value), here) for value in values], "control"))
    return parts


def ridge(quantiles: Sequence[float], across: Axis, floor: float) -> str:
    """Return the outline of a distribution from its quantiles: density over value, standing on a floor.

    Between two quantiles the density is the probability between them over their distance; it is drawn at their middle, and the
    densest part is `RIDGE` units high. Quantiles nearer than a hundredth of the whole count as one, else two that nearly
    coincide would be a spike beside which all else is flat. Empty where there is no spread to draw.
    """
    if len(quantiles) != len(PROBABILITIES) or across(quantiles[-1]) - across(quantiles[0]) < 3:
        return ""
    pairs, start = [], 0
    for place in range(1, len(quantiles)):
        width = quantiles[place] - quantiles[start]
        if width >= (quantiles[-1] - quantiles[0]) / 100:
            middle = (quantiles[place] + quantiles[start]) / 2
            pairs.append((middle, (PROBABILITIES[place] - PROBABILITIES[start]) / width))
            start = place
    densest = max(density for _, density in pairs)
    shape = "".join(f"L{across(x):g} {round(floor - RIDGE * density / densest, 1):g}" for x, density in pairs)
    return f"M{across(quantiles[0]):g} {floor:g}{shape}L{across(quantiles[-1]):g} {floor:g}Z"


def scatter(
    points: Sequence[tuple[float, float]], odd: Sequence[tuple[float, float]] = (), *, title: str, x: str, y: str
) -> Markup:
    """Return a scatter of points, with odd ones among them drawn as rings.

    ``title`` is the figure's accessible name, ``x`` and ``y`` are the names of its axes.
    """
    height = 220
    across = Axis(*padded(point[0] for point in (*points, *odd)), 46, WIDTH - 8)
    up = Axis(*padded(point[1] for point in (*points, *odd)), height - 38, 6)
    return closing(
        [
            opening(height, title),
            *frame(across, up, x, y),
            dots([(round(across(a)), round(up(b))) for a, b in points], "token"),
            *(f'<circle class="ring" cx="{across(a):g}" cy="{up(b):g}" r="3.5"/>' for a, b in odd),
        ]
    )


def histogram(values: Sequence[float], edges: Sequence[float], *, mark: float, title: str, x: str, y: str) -> Markup:
    """Return how many values lie between each two edges, as bars, with a line at one number.

    A value on an inner edge counts above it; one outside of all edges raises `ValueError`.
    """
    if any(not edges[0] <= value <= edges[-1] for value in values):
        raise ValueError(
            f"values must lie from {edges[0]} to {edges[-1]}, but {min(values)} to {max(values)} were given"
        )
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(sum(value >= edge for edge in edges[1:-1]), len(counts) - 1)] += 1
    height = 150
    across = Axis(edges[0], edges[-1], 46, WIDTH - 8)
    up = Axis(0, max(counts) * 1.05 or 1, height - 38, 6)
    bars = [
        f'<rect class="bar" x="{across(low):g}" y="{up(count):g}" width="{max(0.5, across(high) - across(low) - 1):g}" '
        f'height="{round(up.start - up(count), 1):g}"/>'
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    place = across(mark)
    line = f'<line class="published" x1="{place:g}" x2="{place:g}" y1="6" y2="{up.start:g}"/>'
    return closing([opening(height, title), *frame(across, up, x, y), *bars, line])
