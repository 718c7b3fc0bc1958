"""The page in a real browser: nothing is fetched or cut off, it is accessible, and linked marks light up together."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from pathlen.records.files import encoded
from pathlen.records.schema import Run
from pathlen.report.explorer import readable, thinned

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

DRAWN = """() => {
  const box = document.getElementById('explorer'), [dots, lines] = box.querySelectorAll('svg');
  const by = (list) => [...list].sort((a, b) => a.dataset.i - b.dataset.i);
  return {
    names: [dots.getAttribute('aria-label'), lines.getAttribute('aria-label')],
    dots: by(dots.querySelectorAll('circle')).map(c => [+c.getAttribute('cx'), +c.getAttribute('cy')]),
    lines: by(lines.querySelectorAll('path[data-i]')).map(p => p.getAttribute('d').match(/[\\d.]+/g).map(Number)),
    words: [...document.querySelectorAll('#words span')].map(s => [s.textContent, s.className.split(' ')[0]]),
    left: [...document.querySelectorAll('#words i')].map(s => s.textContent),
    ticks: [...box.querySelectorAll('svg text')].map(t => t.textContent).sort(),
  };
}"""


def drawn(page: Any) -> dict[str, Any]:
    marks: dict[str, Any] = page.evaluate(DRAWN)
    return marks


def flat(rows: list[list[float]]) -> list[float]:
    return [number for row in rows for number in row]


@pytest.mark.parametrize("options", [{}, PHONE, {"color_scheme": "dark"}], ids=["desk", "phone", "dark"])
def test_nothing_is_fetched_and_no_error_is_logged(visit: Any, sample_page: Path, options: dict[str, Any]) -> None:
    visited = visit(sample_page, **options)
    visited.page.wait_for_timeout(300)
    assert visited.requests == [sample_page.as_uri()] or all(
        url.startswith(("data:", "file:")) for url in visited.requests
    )
    assert [url for url in visited.requests if not url.startswith("data:,")] == [sample_page.as_uri()]
    assert visited.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_violation(visit: Any, axe: str, sample_page: Path, scheme: str, options: dict[str, Any]) -> None:
    visited = visit(sample_page, color_scheme=scheme, **options)
    visited.page.locator("#words").focus()  # lights a token, so that its colours are checked too
    visited.page.evaluate(axe)
    violations, passed_rules = visited.page.evaluate(
        "axe.run().then(r => [r.violations.map(v => [v.id, v.nodes.map(n => n.html)]), r.passes.length])"
    )
    assert violations == []
    assert passed_rules > 20  # axe did check something


def test_axe_can_find_a_violation(visit: Any, axe: str, hostile_page: Path) -> None:
    visited = visit(hostile_page)
    visited.page.evaluate("document.querySelector('.lead').style.color = 'rgb(250, 250, 250)'")
    visited.page.evaluate(axe)
    assert "color-contrast" in visited.page.evaluate("axe.run().then(r => r.violations.map(v => v.id))")


def test_the_script_draws_what_python_draws(visit: Any, sample_page: Path) -> None:
    static, scripted = visit(sample_page, java_script_enabled=False), visit(sample_page)
    # Even with scripts disabled, playwright can evaluate expressions in the page.
    by_python, by_script = drawn(static.page), drawn(scripted.page)
    assert len(by_python["dots"]) > 20
    for name in ("names", "words", "left", "ticks"):
        assert by_script[name] == by_python[name], name
    for name in ("dots", "lines"):
        assert flat(by_script[name]) == pytest.approx(flat(by_python[name]), abs=0.11), name


def lit(page: Any) -> list[str]:
    marks: list[str] = page.evaluate("[...document.querySelectorAll('.on')].map(e => e.tagName + e.dataset.i).sort()")
    return marks


def test_pointing_at_a_dot_lights_its_line_and_its_word(visit: Any, sample_page: Path) -> None:
    page = visit(sample_page).page
    page.locator(".tokens").scroll_into_view_if_needed()
    dot = page.locator(".tokens circle[data-i='7']").bounding_box()
    page.mouse.move(dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
    assert lit(page) == ["SPAN7", "circle7", "path7"]
    page.locator("#words span[data-i='3']").hover()
    assert lit(page) == ["SPAN3", "circle3", "path3"]
    box = page.locator(".curves").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    assert len(lit(page)) == 3
    assert len({"".join(filter(str.isdigit, name)) for name in lit(page)}) == 1


def test_a_tap_lights_all_three(visit: Any, sample_page: Path) -> None:
    page = visit(sample_page, **PHONE).page
    page.locator("#words span[data-i='5']").tap()
    assert lit(page) == ["SPAN5", "circle5", "path5"]
    page.locator(".tokens").tap(position={"x": 150, "y": 110})
    assert len(lit(page)) == 3


def test_arrow_keys_move_through_the_text_and_values_are_announced(visit: Any, sample_page: Path, sample: Run) -> None:
    page = visit(sample_page).page
    page.locator("#words").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    assert lit(page) == ["SPAN3", "circle3", "path3"]
    assert page.locator("#words").get_attribute("aria-activedescendant") == "t3"
    excerpt = sample.models[0].excerpts[0]
    announced = page.locator("#live").inner_text()
    assert f"“{readable(excerpt.pieces[4])}”, token 4 of" in announced
    assert f"Step of block 12: {excerpt.steps[-1][3]:g}" in announced
    assert f"Next comes “{readable(excerpt.pieces[5])}” with logit {excerpt.next_logit[3]:g}" in announced
    assert f"p = {math.exp(excerpt.next_log_probability[3]):.2g}"[:6] in announced
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert f"token {len(drawn(page)['dots'])} of" in page.locator("#live").inner_text()
    page.keyboard.press("Home")
    assert lit(page) == ["SPAN0", "circle0", "path0"]
    page.keyboard.press("Tab")  # the keyboard focus isn't trapped in the text
    assert page.evaluate("document.activeElement.id") != "words"


def test_pickers_show_every_model_text_and_block(visit: Any, sample_page: Path, sample: Run) -> None:
    page = visit(sample_page).page
    embedded = thinned(sample)
    for index, model in enumerate(embedded.models):
        page.locator("#model").select_option(index=index)
        last = len(model.excerpts) - 1
        page.locator("#passage").select_option(index=last)
        page.locator("#block").select_option(index=2)
        excerpt, marks = model.excerpts[last], drawn(page)
        assert marks["names"][0].startswith(f"{model.title}, {excerpt.text}: step of block 3 against")
        assert [word for word, _ in marks["words"]] == [readable(piece) for piece in excerpt.pieces[1:-1]]
        by_step = sorted(range(excerpt.measured), key=excerpt.steps[2].__getitem__)
        across = [marks["dots"][row][0] for row in by_step]
        assert across == sorted(across)
    assert page.locator("#block option").count() == embedded.models[-1].n_layer


def test_a_lit_token_stays_lit_when_the_model_changes(visit: Any, sample_page: Path) -> None:
    page = visit(sample_page).page
    page.locator("#words span[data-i='4']").hover()
    page.locator("#model").select_option(index=1)
    assert lit(page) == ["SPAN4", "circle4", "path4"]
    assert "Step of block 24" in page.locator("#live").inner_text()


def test_hostile_tokens_are_shown_and_not_executed(visit: Any, hostile_page: Path, run: Run) -> None:
    static, scripted = visit(hostile_page, java_script_enabled=False), visit(hostile_page)
    expected = [readable(piece) for piece in run.models[0].excerpts[0].pieces]
    assert "⟨E2⟩" in expected[2]
    assert expected[3:9] == ["⟨80⟩⟨94⟩", "</script>", "<|endoftext|>", "⟨U+202E⟩", "◌\u0301e", "⟨U+2028⟩"]
    for visited in (static, scripted):
        marks = drawn(visited.page)
        assert [word for word, _ in marks["words"]] == expected[1:-1]
        assert marks["left"] == [expected[0], expected[-1]]
    assert scripted.errors == []
    assert scripted.page.evaluate("document.scripts.length") == 1


def test_without_scripts_everything_can_be_read(visit: Any, sample_page: Path, sample: Run) -> None:
    page = visit(sample_page, java_script_enabled=False).page
    text = page.evaluate("document.body.innerText")
    for finding in sample.findings:
        assert finding.verdict in text
        if finding.estimate:
            assert finding.estimate.digits[0] in text
    assert not page.locator("#model").is_visible()
    assert "Without scripts this shows" in text
    assert page.locator("svg").count() > 50


def test_the_saved_record_is_the_one_of_the_page(visit: Any, sample_page: Path, sample: Run) -> None:
    page = visit(sample_page).page
    with page.expect_download() as saved:
        page.locator("#record").click()
    assert saved.value.suggested_filename == "mini.json.gz"
    raw = gzip.decompress(Path(saved.value.path()).read_bytes())
    assert raw.decode("utf-8") == encoded(thinned(sample))
    assert json.loads(raw)["findings"] == json.loads(encoded(sample))["findings"]


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_the_page_is_no_wider_than_its_window(visit: Any, sample_page: Path, width: int) -> None:
    page = visit(sample_page, viewport={"width": width, "height": 900}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


CUT = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
  const box = svg.viewBox.baseVal;
  return [...svg.querySelectorAll('text')].filter(t => {
    const b = t.getBBox(), turned = t.getAttribute('transform');
    return !turned && (b.x < -1 || b.y < -1 || b.x + b.width > box.width + 1 || b.y + b.height > box.height + 1);
  }).map(t => svg.getAttribute('aria-label') + ': ' + t.textContent);
})"""
OVERLAPPING = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
  const words = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]), found = [];
  words.forEach(([a, p], i) => words.slice(i + 1).forEach(([b, q]) => {
    const across = Math.min(p.right, q.right) - Math.max(p.left, q.left), down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (across > 1 && down > 4) found.push(svg.getAttribute('aria-label') + ': ' + a + ' | ' + b);
  }));
  return found;
})"""


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_no_label_of_a_figure_is_cut_off_or_overlaps_another(
    visit: Any, sample_page: Path, options: dict[str, Any]
) -> None:
    page = visit(sample_page, **options).page
    assert page.evaluate("document.querySelectorAll('svg text').length") > 300
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPPING) == []
    assert page.evaluate("[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length") == 0


def test_printed_pages_are_full_and_cut_nothing_off(visit: Any, sample_page: Path, tmp_path: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed; pip install pathlen[browser]")
    page = visit(sample_page).page
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    document = pdfium.PdfDocument(tmp_path / "page.pdf")
    filled = []
    for sheet in document:
        width, height = sheet.get_size()
        assert (round(width), round(height)) == (595, 842)  # A4 in points
        ink = sheet.render(scale=0.25, grayscale=True).to_numpy()
        inked_rows = [index for index, row in enumerate(ink) if row.min() < 200]
        filled.append(max(inked_rows) / len(ink))
        inked_columns = [index for index, column in enumerate(ink.T) if column.min() < 200]
        assert max(inked_columns) < 0.97 * ink.shape[1]  # nothing runs into the margin
    document.close()
    assert len(filled) > 5
    assert min(filled[:-1]) > 0.5
