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

LINE, STRIP, RIDGE = 30, 13, 15  # heights, in units: of a row, of the dots of one of its controls, of its ridge


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """A row of a forest plot.

    Attributes
    ----------
    label : str
    value, low, high : float
        The number and the ends of its interval.
    region : tuple of float
        Where the claim holds. Ends may be infinite.
    verdict : str
        Decides the style of the row.
    quantiles : tuple of float
        Of the replicates, at `pathlen.stats.estimate.PROBABILITIES`, drawn as a ridge. Empty if there are none.
    controls : tuple of (str, tuple of float)
        Each control and its values, drawn as dots below the row.
    published : float or None
        The published number, drawn as a ring.

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
        """The controls that gave any values."""
        return [control for control in self.controls if control[1]]

    @property
    def extremes(self) -> list[float]:
        """Every number that the axis has to cover."""
        numbers = [self.value, self.low, self.high, *(value for _, values in self.controls for value in values)]
        numbers += [end for end in self.region if math.isfinite(end)]
        return numbers if self.published is None else [*numbers, self.published]


def forest(lines: Sequence[ForestRow], *, title: str, name: str, ends: Sequence[float] = ()) -> Markup:
    """Return a forest plot: intervals above a shared axis, with each claim's region shaded and its replicates as a ridge.

    Parameters
    ----------
    lines : sequence of ForestRow
        At least one.
    title : str
        The figure's accessible name.
    name : str
        Name of the axis.
    ends : sequence of float
        Additional numbers for the axis to cover, so that two figures can share their range.

    """
    left = label_width([label for row in lines for label in (row.label, *(control for control, _ in row.strips))])
    across = Axis(*padded([*ends, *(number for row in lines for number in row.extremes)], 0.07), left, WIDTH - 10)
    heights = [LINE + STRIP * len(row.strips) for row in lines]
    floor = 4 + sum(heights)
    tops = [4.0, *(4.0 + height for height in accumulate(heights))]
    parts, labels = [opening(floor + foot(name), title)], []
    for region, neighbours in groupby(
        zip(lines, tops, tops[1:], strict=False), key=lambda row_and_ends: row_and_ends[0].region
    ):
        _, starts, stops = zip(*neighbours, strict=True)
        parts += region_band(across, region, starts[0], stops[-1])
    for row, top in zip(lines, tops, strict=False):
        parts += _row(row, across, top)
        labels.append(text(left - 8, top + 25, row.label))
        for index, (control, _) in enumerate(row.strips):
            labels.append(text(left - 8, top + LINE + STRIP * index + 8, control, kind="name"))
    return closing([*parts, '<g text-anchor="end">', *labels, "</g>", *floor_axis(across, floor, name)])


def _row(row: ForestRow, across: Axis, top: float) -> list[str]:
    middle, kind = top + 21, row.verdict.replace(" ", "-")
    parts = []
    if outline := ridge(row.quantiles, across, middle - 5):
        parts.append(f'<path class="ridge {kind}" d="{outline}"/>')
    parts.append(f'<path class="interval {kind}" d="M{across(row.low):g} {middle:g}H{across(row.high):g}"/>')
    if row.published is not None:
        parts.append(f'<circle class="ring" cx="{across(row.published):g}" cy="{middle:g}" r="4"/>')
    parts.append(f'<circle class="value {kind}" cx="{across(row.value):g}" cy="{middle:g}" r="4"/>')
    for index, (_, values) in enumerate(row.strips):
        height = top + LINE + STRIP * index + 5
        parts.append(dots([(across(value), height) for value in values], "control"))
    return parts


def ridge(quantiles: Sequence[float], across: Axis, floor: float) -> str:
    """Return the outline of a distribution, reconstructed from its quantiles, as a path above a floor.

    The density between two quantiles is the probability between them divided by their distance. It is drawn at their midpoint,
    scaled so that the peak is `RIDGE` units high. Quantiles closer than 1 % of the range are merged, because two that nearly
    coincide would make a spike that flattens everything else. Empty if there is no spread to draw.
    """
    if len(quantiles) != len(PROBABILITIES) or across(quantiles[-1]) - across(quantiles[0]) < 3:
        return ""
    pairs, start = [], 0
    for end in range(1, len(quantiles)):
        width = quantiles[end] - quantiles[start]
        if width >= (quantiles[-1] - quantiles[0]) / 100:
            middle = (quantiles[end] + quantiles[start]) / 2
            pairs.append((middle, (PROBABILITIES[end] - PROBABILITIES[start]) / width))
            start = end
    densest = max(density for _, density in pairs)
    shape = "".join(f"L{across(x):g} {round(floor - RIDGE * density / densest, 1):g}" for x, density in pairs)
    return f"M{across(quantiles[0]):g} {floor:g}{shape}L{across(quantiles[-1]):g} {floor:g}Z"


def scatter(
    points: Sequence[tuple[float, float]], odd: Sequence[tuple[float, float]] = (), *, title: str, x: str, y: str
) -> Markup:
    """Return a scatter plot, with the odd points drawn as rings.

    ``title`` is the figure's accessible name; ``x`` and ``y`` are the names of its axes.
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
    """Return a histogram with a vertical line at ``mark``.

    A value on an inner edge belongs to the bin above it.

    Raises
    ------
    ValueError
        If a value lies outside all bins.

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
    position = across(mark)
    line = f'<line class="published" x1="{position:g}" x2="{position:g}" y1="6" y2="{up.start:g}"/>'
    return closing([opening(height, title), *frame(across, up, x, y), *bars, line])
