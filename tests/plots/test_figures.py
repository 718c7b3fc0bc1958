"""Figures, read back as numbers: everything is drawn in the right position, and all text is escaped."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pathlen.plots.figures import ForestRow, forest, histogram, ridge, scatter
from pathlen.plots.svg import WIDTH, Axis, dots, foot, label_width, padded, region_band, ticks
from pathlen.records.schema import Run
from pathlen.report.scrutiny import specification, waterfall
from pathlen.stats.estimate import PROBABILITIES


def numbers(pattern: str, text: str) -> list[float]:
    return [float(number) for number in re.findall(pattern, text)]


def dot_positions(path: str) -> list[tuple[float, float]]:
    """Return the positions of the dots that a path of relative moves draws."""
    moves = re.findall(r"m(-?[\d.]+) ?(-?[\d.]+)h0", path)
    return [(float(x), float(y)) for x, y in np.cumsum(np.array(moves, dtype=float), axis=0)]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_ordered_and_inside(low: float, width: float) -> None:
    high = low + width
    assume(width > 1e-6 * abs(low))
    round_numbers = ticks(low, high)
    step = width / 5
    assert round_numbers == sorted(set(round_numbers))
    assert all(low - 1e-6 * width <= tick <= high + 1e-6 * width for tick in round_numbers)
    assert "-0" not in {f"{tick:g}" for tick in round_numbers}
    assert len(round_numbers) <= 1 + width / step * 1.01


def test_ticks_need_a_range() -> None:
    with pytest.raises(ValueError, match="ticks need low < high"):
        ticks(1.0, 1.0)


@given(st.lists(st.tuples(st.floats(-999, 999), st.floats(-999, 999)), min_size=1, max_size=40))
def test_dots_are_drawn_at_their_points(points: list[tuple[float, float]]) -> None:
    rounded = [(round(x, 1), round(y, 1)) for x, y in points]
    drawn = dot_positions(dots(rounded, "kind"))
    assert np.allclose(drawn, rounded, atol=0.051)


@given(st.floats(-100, 100), st.floats(0.1, 100), st.floats(0, 1))
def test_an_axis_is_linear_and_keeps_its_ends(low: float, width: float, share: float) -> None:
    axis = Axis(low, low + width, 40, 340)
    assert axis(low) == 40
    assert axis(low + width) == pytest.approx(340)
    assert axis(low + share * width) == pytest.approx(40 + 300 * share, abs=0.06)


def test_equal_values_are_padded() -> None:
    assert padded([2.0, 2.0]) == (1.9, 2.1)
    assert padded([0.0]) == (-1.0, 1.0)


def test_label_width_follows_the_longest_label_within_bounds() -> None:
    assert label_width(["a"]) == 40
    assert 60 < label_width(["untrained"]) < 90
    assert label_width(["x" * 400]) == 170


def test_a_long_axis_name_takes_two_lines() -> None:
    assert foot() < foot("r") < foot("difference of Pearson r within passages, trend removed (fisher z)")


def test_a_region_is_drawn_only_inside_the_figure() -> None:
    across = Axis(0.0, 1.0, 40, 340)
    assert "".join(region_band(across, (2.0, 3.0), 0, 10)) == ""
    (band, edge) = region_band(across, (0.5, math.inf), 0, 10)
    assert numbers(r'x="([\d.]+)" y="0" width="', band) == [190.0]
    assert 'x1="190"' in edge


def test_a_figure_has_an_accessible_name_and_escapes_hostile_text() -> None:
    drawn = scatter([(0.0, 1.0), (2.0, 3.0)], title='<a & "b>\u202e', x="x<\x1b", y="</text>")
    assert 'role="img" aria-label="&lt;a &amp; &#34;b&gt;⟨U+202E⟩"' in drawn
    assert ">x&lt;⟨U+001B⟩</text>" in drawn
    assert ">&lt;/text&gt;</text>" in drawn


def test_a_scatter_draws_every_point_and_the_odd_ones_as_rings() -> None:
    drawn = scatter([(0.0, 1.0), (2.0, 3.0), (1.0, 2.0)], [(2.0, 0.0)], title="t", x="x", y="y")
    (path,) = re.findall(r'class="dots token" d="([^"]+)"', drawn)
    (low, high, middle) = dot_positions(path)
    assert low[0] < middle[0] < high[0]
    assert low[1] > middle[1] > high[1]  # the vertical axis points up
    assert drawn.count('class="ring"') == 1


def test_a_scatter_of_equal_points_can_be_drawn() -> None:
    assert "dots token" in scatter([(1.0, 0.0), (1.0, 0.0)], title="t", x="x", y="y")


SMALL = ForestRow(label="small", value=-0.3, low=-0.4, high=-0.2, region=(-math.inf, 0.0), verdict="supported")
XL = ForestRow(label="xl", value=0.05, low=-0.05, high=0.15, region=(-0.1, 0.1), verdict="not tested", published=0.3)


def test_a_forest_draws_values_in_position_and_each_region_beside_its_row() -> None:
    drawn = forest([SMALL, XL], title="t", name="r")
    first, second = numbers(r'<circle class="value [a-z-]+" cx="([\d.]+)"', drawn)
    (ring,) = numbers(r'<circle class="ring" cx="([\d.]+)"', drawn)
    edges = numbers(r'<line class="edge" x1="([\d.]+)"', drawn)
    assert len(edges) == 3
    assert first < edges[1] < second < edges[2] < ring  # -0.3 < -0.1 < 0.05 < 0.1 < 0.3
    assert edges[1] < edges[0] < edges[2]  # -0.1 < 0 < 0.1
    assert drawn.count('class="region"') == 2
    assert forest([SMALL, SMALL], title="t", name="r").count('class="region"') == 1  # one band across both rows


def test_forests_can_share_an_axis() -> None:
    alone, wide = (forest([SMALL], title="t", name="r", ends=ends) for ends in ((), (2.0,)))
    assert numbers(r'cx="([\d.]+)"', alone) > numbers(r'cx="([\d.]+)"', wide)


def test_controls_are_dots_on_the_shared_axis() -> None:
    row = ForestRow(
        label="small", value=0.0, low=-0.1, high=0.1, region=(0.5, math.inf), verdict="refuted",
        controls=(("untrained", (0.0, 0.5)), ("shifted", ())),
    )  # fmt: skip
    drawn = forest([row], title="t", name="r")
    (path,) = re.findall(r'class="dots control" d="([^"]+)"', drawn)
    (value,) = numbers(r'<circle class="value refuted" cx="([\d.]+)"', drawn)
    (edge,) = numbers(r'<line class="edge" x1="([\d.]+)"', drawn)
    assert [x for x, _ in dot_positions(path)] == pytest.approx([value, edge], abs=0.11)
    assert ">untrained</text>" in drawn
    assert ">shifted</text>" not in drawn


@given(st.lists(st.floats(-1, 1), min_size=len(PROBABILITIES), max_size=len(PROBABILITIES), unique=True))
def test_a_ridge_starts_and_ends_on_its_floor_at_the_outer_quantiles(values: list[float]) -> None:
    quantiles = sorted(values)
    assume(quantiles[-1] - quantiles[0] > 0.1)
    across = Axis(-1.0, 1.0, 50, 340)
    points = [
        tuple(map(float, pair.split())) for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", ridge(quantiles, across, 100))
    ]
    xs, ys = zip(*points, strict=True)
    assert list(xs) == sorted(xs)
    assert (xs[0], xs[-1]) == (across(quantiles[0]), across(quantiles[-1]))
    assert (ys[0], ys[-1]) == (100, 100)
    assert min(ys) == 85


def test_the_ridge_of_a_normal_distribution_is_unimodal() -> None:
    quantiles = [
        -2.576,
        -1.96,
        -1.645,
        -1.282,
        -0.842,
        -0.524,
        -0.253,
        0,
        0.253,
        0.524,
        0.842,
        1.282,
        1.645,
        1.96,
        2.576,
    ]
    heights = numbers(r"L[\d.]+ ([\d.]+)", ridge(quantiles, Axis(-3, 3, 50, 340), 100))
    assert heights[:7] == sorted(heights[:7], reverse=True)
    assert heights[7:] == sorted(heights[7:])
    # The density of a normal distribution at 2.27 is 0.076 times its peak.
    assert (100 - heights[0]) / 15 == pytest.approx(0.1, abs=0.06)


def test_there_is_no_ridge_without_spread() -> None:
    across = Axis(-1.0, 1.0, 50, 340)
    assert ridge((), across, 10) == ""
    assert ridge((0.5,) * len(PROBABILITIES), across, 10) == ""


def test_a_histogram_counts_every_value_once() -> None:
    drawn = histogram([0.1, 0.5, 0.55, 1.0, 0.0], [0.0, 0.5, 1.0], mark=0.5, title="t", x="x", y="y")
    heights = numbers(r'<rect class="bar" [^>]*height="([\d.]+)"', drawn)
    assert heights[1] / heights[0] == pytest.approx(3 / 2, abs=0.01)
    with pytest.raises(ValueError, match="values must lie from 0.0 to 1.0, but -1.0 to 2.0 were given"):
        histogram([-1.0, 2.0], [0.0, 1.0], mark=0.5, title="t", x="x", y="y")


def test_the_bars_of_a_waterfall_add_up(run: Run) -> None:
    attribution = run.findings[0].attribution
    assert attribution is not None
    figure = waterfall(attribution, title="way", name="r")
    for number in (
        f"{attribution.published:.3f}",
        f"{attribution.corrected:.3f}",
        f"{attribution.changes[0][1]:+.3f}",
    ):
        assert f">{number}</text>" in figure
    assert ">0</text>" in figure  # a correction without effect is written 0, unsigned
    (published,) = numbers(r'class="ring" cx="([\d.]+)"', figure)
    (corrected,) = numbers(r'class="value" cx="([\d.]+)"', figure)
    start = numbers(r'class="bar" x="([\d.]+)"', figure)[0]
    width = numbers(r'class="bar" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', figure)[0]
    assert (start, start + width) == pytest.approx(sorted((published, corrected)), abs=0.11)


def test_a_specification_curve_draws_every_universe(run: Run) -> None:
    curve = run.findings[0].universes
    assert curve is not None
    figure = specification(curve, (-9.0, 0.0), own=curve.values[0], title="all <of them>", name="r")
    assert "all &lt;of them&gt;" in figure
    paths = re.findall(r'class="dots universe (\w+)" d="([^"]+)"', figure)
    assert {verdict: len(dot_positions(path)) for verdict, path in paths} == {
        "supported": 3,
        "refuted": 2,
        "inconclusive": 1,
    }
    drawn = sorted(x for _, path in paths for x, _ in dot_positions(path))
    left, right = drawn[0], drawn[-1]
    values = np.sort(curve.values)
    assert drawn == pytest.approx(list(left + (values - values[0]) / np.ptp(values) * (right - left)), abs=1)
    for option in ("Pearson", "Spearman", "before the norm", "after it †", "relative ‡"):
        assert f">{option}</text>" in figure
    (claims_value,) = numbers(r'<circle class="value supported" cx="([\d.]+)"', figure)
    assert claims_value == pytest.approx(min(drawn, key=lambda x: abs(x - claims_value)), abs=1)


def test_universes_at_the_same_position_are_drawn_once(run: Run) -> None:
    curve = run.findings[0].universes
    assert curve is not None
    coinciding = replace(curve, values=(0.1,) * 6, verdicts="ssssss")
    figure = specification(coinciding, (0.0, 9.0), own=None, title="t", name="r")
    (path,) = re.findall(r'class="dots universe supported" d="([^"]+)"', figure)
    positions = dot_positions(path)
    assert len(positions) <= 6
    assert len(set(positions)) == len(positions)


def test_figures_fit_a_phone(run: Run) -> None:
    assert WIDTH <= 390 - 2 * 0.9 * 16
    assert f'viewBox="0 0 {WIDTH} ' in forest([SMALL], title="t", name="r")
