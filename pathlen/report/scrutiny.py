"""Figures of what a claim was put through: its corrections as a waterfall, its universes as a specification curve."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup, escape

from pathlen.attribution import Attribution
from pathlen.report.svg import Scale, dots, floor_axis, opening, padded, region_band
from pathlen.universes import EQUIVALENT, SLIP, Curve

__all__ = ["specification", "waterfall"]

WORDS = {"s": "supported", "i": "inconclusive", "r": "refuted"}
KINDS = {EQUIVALENT: "", SLIP: " (slip)", "extension": " (another question)"}


def waterfall(found: Attribution, *, title: str) -> Markup:
    """Return the way from the published number to the corrected one: a bar for each correction, adding up exactly."""
    width, left, right, line = 440, 170, 60, 20
    edges = [found.published]
    for _, change in found.changes:
        edges.append(edges[-1] + change)
    lines = len(edges) + 1
    across = Scale(*padded([*edges, 0.0], 0.08), left, width - right)
    floor = line * lines + 6
    parts = [opening(width, floor + 24, title), *floor_axis(across, floor)]

    def label(place: int, name: str, number: str) -> float:
        middle = 4 + line * (place + 0.5)
        parts.append(f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<text class="name" x="{width - right + 8}" y="{middle + 4}">{number}</text>')
        return middle

    for place, (name, end) in enumerate((("as published", edges[0]), ("corrected", edges[-1]))):
        middle = label(place * (lines - 1), name, f"{end:.3f}")
        parts.append(f'<circle class="value" cx="{across(end)}" cy="{middle}" r="4"/>')
    for place, (name, change) in enumerate(found.changes):
        middle = label(place + 1, name, f"{change:+.3f}" if abs(change) >= 0.0005 else "0")
        start, stop = sorted((across(edges[place]), across(edges[place + 1])))
        parts.append(
            f'<rect class="bar" x="{start}" y="{middle - 6}" width="{max(1.0, round(stop - start, 1))}" height="12"/>'
        )
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # every text in it is escaped above


def specification(curve: Curve, region: tuple[float, float], *, title: str) -> Markup:
    """Return all universes in order of their number, coloured by verdict, and below them each option's range and median."""
    width, left, top = 560, 280, 130
    options = [
        (choice.name, option.name + KINDS[option.kind], axis, place)
        for axis, choice in enumerate(curve.choices)
        for place, option in enumerate(choice.options)
    ]
    table = np.reshape(curve.values, curve.shape)
    height = top + 26 + 14 * len(options) + 16 * len(curve.choices)
    across = Scale(*padded([*curve.values, curve.published, 0.0], 0.05), left, width - 10)
    order = np.argsort(curve.values, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.linspace(6, top - 6, len(order))
    parts = [opening(width, height, title), *region_band(across, region, top), *floor_axis(across, top)]
    for letter, word in WORDS.items():
        places = [
            (across(value), round(float(rank[at]), 1))
            for at, value in enumerate(curve.values)
            if curve.verdicts[at] == letter
        ]
        if places:
            parts.append(dots(places, f"universe {word}"))
    published = across(curve.published)
    parts.append(f'<line class="published" x1="{published}" x2="{published}" y1="4" y2="{top}"/>')
    parts.append(f'<text class="name" x="{left - 8}" y="16" text-anchor="end">{len(curve.values)} universes</text>')
    parts.append(f'<text class="name" x="{left - 8}" y="30" text-anchor="end">dashed: as published</text>')
    y, previous = float(top + 20), ""
    for choice, name, axis, place in options:
        if choice != previous:
            y += 16
            parts.append(f'<text class="name" x="4" y="{y}">{escape(choice)}</text>')
            previous = choice
        y += 14
        values = table.take(place, axis=axis)
        low, middle, high = (across(float(end)) for end in np.quantile(values, [0, 0.5, 1]))
        parts.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<line class="span" x1="{low}" x2="{high}" y1="{y - 4}" y2="{y - 4}"/>')
        parts.append(f'<circle class="value" cx="{middle}" cy="{y - 4}" r="3"/>')
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # every text in it is escaped above
