"""Figures of how a claim was tested: its corrections as a waterfall, its universes as a specification curve."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from pathlen.claims.multiverse import EQUIVALENT, SLIP, Curve
from pathlen.claims.shapley import Attribution
from pathlen.plots.svg import (
    WIDTH,
    Axis,
    closing,
    dots,
    floor_axis,
    foot,
    label_width,
    opening,
    padded,
    region_band,
    text,
)

__all__ = ["KIND_MARKS", "specification", "waterfall"]

WORDS = {"s": "supported", "i": "inconclusive", "r": "refuted"}
KIND_MARKS = {EQUIVALENT: "", SLIP: " †", "extension": " ‡"}


def waterfall(attribution: Attribution, *, title: str, name: str) -> Markup:
    """Return the way from the published number to the corrected one: a bar for each correction, adding up exactly."""
    line, right = 20, 52
    left = label_width(["as published", *(change for change, _ in attribution.changes)])
    edges = [attribution.published]
    for _, change in attribution.changes:
        edges.append(edges[-1] + change)
    lines = len(edges) + 1
    across = Axis(*padded([*edges, 0.0], 0.08), left, WIDTH - right)
    floor = line * lines + 6
    parts = [opening(floor + foot(name), title)]

    def label(row: int, words: str, number: str) -> float:
        middle = 4 + line * (row + 0.5)
        parts.append(text(left - 8, middle + 4, words, anchor="end"))
        parts.append(text(WIDTH - 2, middle + 4, number, anchor="end", kind="name"))
        return middle

    if across.low < 0 < across.high:
        parts.append(f'<path class="grid" d="M{across(0):g} 4V{floor:g}"/>')
    for row, kind, words, end in (
        (0, "ring", "as published", edges[0]),
        (lines - 1, "value", "corrected", edges[-1]),
    ):
        middle = label(row, words, f"{round(end, 3) + 0.0:.3f}")
        parts.append(f'<circle class="{kind}" cx="{across(end):g}" cy="{middle:g}" r="4"/>')
    for number, (words, change) in enumerate(attribution.changes):
        middle = label(number + 1, words, f"{change:+.3f}" if abs(change) >= 0.0005 else "0")
        start, stop = sorted((across(edges[number]), across(edges[number + 1])))
        parts.append(
            f'<rect class="bar" x="{start:g}" y="{middle - 6:g}" width="{max(1.0, round(stop - start, 1)):g}" height="12"/>'
        )
    return closing([*parts, *floor_axis(across, floor, name)])


def specification(curve: Curve, region: tuple[float, float], *, own: float | None, title: str, name: str) -> Markup:
    """Return all universes in order of their number, coloured by verdict, and below them each option's range and median.

    The published analysis is the dashed line; the claim's ``own`` number is the large dot, at the height of the universe
    nearest to it. A dagger marks an option that is a slip, a double dagger one that asks another question.
    """
    top = 120
    options = [
        (choice.name, option.name + KIND_MARKS[option.kind], axis, index)
        for axis, choice in enumerate(curve.choices)
        for index, option in enumerate(choice.options)
    ]
    left = label_width([words for _, words, _, _ in options])
    table = np.reshape(curve.values, curve.shape)
    across = Axis(*padded([*curve.values, curve.published, 0.0], 0.05), left, WIDTH - 10)
    order = np.argsort(curve.values, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.linspace(6, top - 6, len(order))
    parts = [opening(top + foot(name) + 4 + 14 * len(options) + 15 * len(curve.choices), title)]
    parts += [*region_band(across, region, 4, top), *floor_axis(across, top, name)]
    for letter, word in WORDS.items():
        # Universes within one unit of the drawing can't be told apart there, so each unit is drawn once.
        points = dict.fromkeys(
            (float(round(across(curve.values[universe]))), float(round(rank[universe])))
            for universe in order.tolist()
            if curve.verdicts[universe] == letter
        )
        if points:
            parts.append(dots(list(points), f"universe {word}"))
    published = across(curve.published)
    parts.append(f'<line class="published" x1="{published:g}" x2="{published:g}" y1="4" y2="{top}"/>')
    if own is not None:
        nearest = int(np.argmin(np.abs(np.asarray(curve.values) - own)))
        height = round(float(rank[nearest]), 1)
        parts.append(
            f'<circle class="value {curve.verdict}" cx="{across(curve.values[nearest]):g}" cy="{height:g}" r="4"/>'
        )
    parts.append(text(left - 8, 16, f"{len(curve.values)} universes", anchor="end", kind="name"))
    y, previous = float(top + foot(name) - 4), ""
    spans: list[str] = []
    labels: list[str] = []
    medians: list[tuple[float, float]] = []
    for choice, words, axis, index in options:
        if choice != previous:
            y += 15
            parts.append(text(2, y, choice, kind="name"))
            previous = choice
        y += 14
        values = table.take(index, axis=axis)
        low, middle, high = (across(float(end)) for end in np.quantile(values, [0, 0.5, 1]))
        labels.append(text(left - 8, y, words))
        spans.append(f"M{low:g} {y - 4:g}H{high:g}")
        medians.append((middle, y - 4))
    parts.append(f'<path class="span" d="{"".join(spans)}"/>{dots(medians, "median")}')
    return closing([*parts, '<g text-anchor="end">', *labels, "</g>"])
