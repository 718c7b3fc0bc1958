"""What the page weighs, takes to make and takes to be painted: ``pytest tests/benchmarks/test_report_cost.py -s``.

The page of the committed sample (four sizes, fourteen passages, every claim, universe and control) is compared with the same
numbers through plotly: every figure of the page, each with as many points and lines, in one file with plotly's own script, as
``plotly.io`` writes it. Both are opened offline in one Chromium, in turn, and timed until their last figure is painted: the
frame after the one in which the last figure is there. Making is timed in seconds of this process, so that neighbours on a shared
machine don't count.

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
    """Return one file with the figures of a record's page, drawn by plotly: as many, with the same numbers."""
    import plotly.graph_objects as go
    import plotly.io as pio

    figures = []

    def add(*traces: go.Scatter) -> None:
        figures.append(go.Figure(data=list(traces), layout={"width": 350, "height": 250, "showlegend": False}))

    by_row: dict[tuple[str, str], list[go.Scatter]] = {}
    for place, one in enumerate(run.findings):
        traces = by_row.setdefault((one.claim, one.reading), [])
        if one.estimate:
            traces.append(go.Scatter(x=[one.estimate.low, one.estimate.value, one.estimate.high], y=[place] * 3))
            traces.append(
                go.Scatter(x=one.estimate.quantiles, y=np.hanning(len(one.estimate.quantiles)), fill="toself")
            )
        traces += [go.Scatter(x=tally.values, y=[place] * len(tally.values), mode="markers") for tally in one.controls]
        if one.attribution:
            add(go.Bar(x=[change for _, change in one.attribution.changes], orientation="h"))
        if one.universes:
            values = np.sort(one.universes.values)
            add(go.Scatter(x=values, y=np.arange(len(values)), mode="markers"))
    for traces in by_row.values():
        add(*traces)
    for model in run.models:
        for points in (model.points, model.published_points):
            x, y = zip(*points, strict=True)
            add(go.Scatter(x=x, y=y, mode="markers"))
    excerpt = run.models[0].excerpts[0]
    add(go.Scatter(x=excerpt.steps[-1], y=excerpt.next_logit, mode="markers"))
    add(*(go.Scatter(y=way, mode="lines") for way in np.cumsum(excerpt.steps, axis=0).T))
    parts = [pio.to_html(one, include_plotlyjs=place == 0, full_html=False) for place, one in enumerate(figures)]
    return f"<!DOCTYPE html><html><body>{''.join(parts)}</body></html>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; skipped where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("PATHLEN_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on the path")
    with driver.sync_playwright() as started:
        one = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield one
        one.close()


def painted(browser: Browser, path: Path, selector: str, count: int) -> float:
    """Return the seconds from the start of the navigation until the last figure is painted."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    try:
        seen = context.new_page()
        seen.goto(path.as_uri(), wait_until="commit")
        return float(seen.evaluate(PAINTED % (selector, count))) / 1000
    finally:
        context.close()


def test_the_page_is_small_and_made_and_painted_quickly(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plotly = pytest.importorskip("plotly", reason="plotly is not installed; pip install pathlen[benchmark]")
    run = read(SAMPLE)
    made = []
    for _ in range(3):
        start = time.process_time()
        text = page(run)
        made.append(time.process_time() - start)
    start = time.process_time()
    other = through_plotly(run)
    other_made = time.process_time() - start
    ours, theirs = tmp_path / "ours.html", tmp_path / "theirs.html"
    write_text(ours, text)
    write_text(theirs, other)
    figures = len(re.findall("<svg", text))
    drawn = other.count("Plotly.newPlot(")
    assert abs(figures - drawn) <= 3  # the histogram of the calibration is in no record
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(RUNS):
        times["ours"].append(painted(browser, ours, "svg", figures))
        times["theirs"].append(painted(browser, theirs, ".main-svg .cartesianlayer", drawn))
    mine, plotlys = (statistics.median(times[name]) for name in ("ours", "theirs"))
    lines = [
        f"| pathlen | {len(text.encode()) / 1000:.0f} kB | {min(made):.2f} s | {mine * 1000:.0f} ms |",
        f"| plotly {plotly.__version__} | {len(other.encode()) / 1000:.0f} kB | {other_made:.2f} s | {plotlys * 1000:.0f} ms |",
        f"| plotly over pathlen | {len(other) / len(text):.1f} | {other_made / min(made):.1f} | {plotlys / mine:.1f} |",
    ]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    if table := os.environ.get("PATHLEN_REPORT_TABLE"):
        write_text(Path(table), HEADER.format(runs=RUNS) + "\n".join(lines) + "\n")
    assert len(text.encode()) <= LARGEST
    assert min(made) < LONGEST
    assert mine < SLOWEST
    assert plotlys / mine >= FASTER
