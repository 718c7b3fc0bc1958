"""The page's size, and the time to make and paint it: ``pytest tests/benchmarks/test_report_cost.py -s``.

The page of the committed sample (four sizes, fourteen passages, every claim, universe and control) is compared with the same
numbers drawn by plotly: every figure of the page, with as many points and lines, in one file with plotly's own script, as
``plotly.io`` writes it. Both are opened offline in one Chromium, in turn, and timed until their last figure is painted: the
frame after the one in which the last figure appears. Making is timed in CPU seconds of this process, so that other jobs on a
shared machine don't count.

With ``PATHLEN_REPORT_TABLE=FILE`` the numbers are written to a file.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pathlen._util.files import write_text
from pathlen.records.files import read
from pathlen.records.schema import Run
from pathlen.report import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SAMPLE = Path(__file__).parents[2] / "reports" / "samples" / "mini.json"
LARGEST, LONGEST, SLOWEST, FASTER = 600_000, 2.0, 0.5, 8.0
RUNS = 5

PAINTED = """() => new Promise(done => {
  const drawn = () => document.querySelectorAll('%s').length >= %d;
  const look = () => drawn() ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : setTimeout(look, 4);
  look();
})"""

HEADER = """# What the page costs

The page of the sample record beside the same figures through plotly, in one Chromium: medians of {runs} openings each, in turn.
Made by `PATHLEN_REPORT_TABLE=tests/benchmarks/REPORT.md pytest tests/benchmarks/test_report_cost.py`.

| | size | made in | last figure painted after |
|---|---|---|---|
"""


def through_plotly(run: Run) -> str:
    """Return an HTML file with the figures of a record's page, drawn by plotly from the same numbers."""
    import plotly.graph_objects as go
    import plotly.io as pio

    figures = []

    def add(*traces: go.Scatter) -> None:
        figures.append(go.Figure(data=list(traces), layout={"width": 350, "height": 250, "showlegend": False}))

    by_row: dict[tuple[str, str], list[go.Scatter]] = {}
    for row, finding in enumerate(run.findings):
        traces = by_row.setdefault((finding.claim, finding.reading), [])
        if estimate := finding.estimate:
            traces.append(go.Scatter(x=[estimate.low, estimate.value, estimate.high], y=[row] * 3))
            traces.append(go.Scatter(x=estimate.quantiles, y=np.hanning(len(estimate.quantiles)), fill="toself"))
        traces += [
            go.Scatter(x=tally.values, y=[row] * len(tally.values), mode="markers") for tally in finding.controls
        ]
        if finding.attribution:
            add(go.Bar(x=[change for _, change in finding.attribution.changes], orientation="h"))
        if finding.universes:
            values = np.sort(finding.universes.values)
            add(go.Scatter(x=values, y=np.arange(len(values)), mode="markers"))
    for traces in by_row.values():
        add(*traces)
    for model in run.models:
        for points in (model.points, model.published_points):
            x, y = zip(*points, strict=True)
            add(go.Scatter(x=x, y=y, mode="markers"))
    excerpt = run.models[0].excerpts[0]
    add(go.Scatter(x=excerpt.steps[-1], y=excerpt.next_logit, mode="markers"))
    add(*(go.Scatter(y=path_length, mode="lines") for path_length in np.cumsum(excerpt.steps, axis=0).T))
    parts = [pio.to_html(figure, include_plotlyjs=index == 0, full_html=False) for index, figure in enumerate(figures)]
    return f"<!DOCTYPE html><html><body>{''.join(parts)}</body></html>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium, or skip if there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("PATHLEN_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on the path")
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def painted(browser: Browser, path: Path, selector: str, count: int) -> float:
    """Return the seconds from the start of the navigation until the last figure is painted."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    try:
        tab = context.new_page()
        tab.goto(path.as_uri(), wait_until="commit")
        return float(tab.evaluate(PAINTED % (selector, count))) / 1000
    finally:
        context.close()


def _row(name: str, text: str, making: float, painting: float) -> str:
    return f"| {name} | {len(text.encode()) / 1000:.0f} kB | {making:.2f} s | {painting * 1000:.0f} ms |"


def test_the_page_is_small_and_made_and_painted_quickly(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plotly = pytest.importorskip("plotly", reason="plotly is not installed; pip install pathlen[benchmark]")
    run = read(SAMPLE)
    making = []
    for _ in range(3):
        start = time.process_time()
        text = page(run)
        making.append(time.process_time() - start)
    start = time.process_time()
    plotly_text = through_plotly(run)
    plotly_making = time.process_time() - start
    ours, theirs = tmp_path / "ours.html", tmp_path / "theirs.html"
    write_text(ours, text)
    write_text(theirs, plotly_text)
    figures = len(re.findall("<svg", text))
    plotly_figures = plotly_text.count("Plotly.newPlot(")
    assert abs(figures - plotly_figures) <= 3  # the histogram of the calibration is in no record
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(RUNS):
        times["ours"].append(painted(browser, ours, "svg", figures))
        times["theirs"].append(painted(browser, theirs, ".main-svg .cartesianlayer", plotly_figures))
    our_painting, plotly_painting = (statistics.median(times[name]) for name in ("ours", "theirs"))
    ratios = (len(plotly_text) / len(text), plotly_making / min(making), plotly_painting / our_painting)
    lines = [
        _row("pathlen", text, min(making), our_painting),
        _row(f"plotly {plotly.__version__}", plotly_text, plotly_making, plotly_painting),
        f"| plotly over pathlen | {' | '.join(f'{ratio:.1f}' for ratio in ratios)} |",
    ]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    if table := os.environ.get("PATHLEN_REPORT_TABLE"):
        write_text(Path(table), HEADER.format(runs=RUNS) + "\n".join(lines) + "\n")
    assert len(text.encode()) <= LARGEST
    assert min(making) < LONGEST
    assert our_painting < SLOWEST
    assert plotly_painting / our_painting >= FASTER
