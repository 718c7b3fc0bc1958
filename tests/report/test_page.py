"""The page and the lines for a terminal hold what the record holds."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import SAMPLES

from pathlen.claims.controls import Tally
from pathlen.records.files import read
from pathlen.records.merge import merged
from pathlen.records.schema import FindingRecord, Run
from pathlen.report import page, terminal_lines
from pathlen.report.calibration import severity_rows
from pathlen.report.matrix import NOT_CLAIMED, NOT_RUN, SYMBOLS, adjusted, rows, sentence
from pathlen.report.page import CONTENTS
from pathlen.stats.estimate import Estimate

SAMPLE = SAMPLES / "mini.json"


class Reader(HTMLParser):
    """Collects the text a reader sees, and every attribute that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data"):
                self.loads.append((tag, value or ""))
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def reader(run: Run) -> Reader:
    return Reader(page(run))


def test_every_cell_shows_its_verdict_value_and_interval(run: Run, reader: Reader) -> None:
    for finding in run.findings:
        assert finding.verdict in reader.text
        if finding.estimate:
            value, low, high = finding.estimate.digits
            assert value in reader.text
            if finding.estimate.unit != "census":
                assert f"[{low}, {high}]" in reader.text


def test_every_reason_and_every_command_is_on_the_page(run: Run, reader: Reader) -> None:
    for finding in run.findings:
        assert finding.reason in reader.text
    for claim in run.claims:
        assert f'pytest "{claim.node}"' in reader.text


def test_each_text_is_on_the_page_with_its_licence_if_known(run: Run, reader: Reader) -> None:
    assert "test; nobody; licence CC0; sha256" in reader.text
    unknown = tuple(replace(text, licence="", attribution="") for text in run.texts)
    assert "test; sha256" in Reader(page(replace(run, texts=unknown))).text


def test_the_page_loads_nothing(reader: Reader) -> None:
    for tag, target in reader.loads:
        assert target.startswith(("#", "data:application/gzip;base64,")) or (tag, target) == ("link", "data:,")


def test_every_link_leads_somewhere_and_ids_are_unique(reader: Reader) -> None:
    assert len(reader.ids) == len(set(reader.ids))
    for _, target in reader.loads:
        if target.startswith("#"):
            assert target[1:] in reader.ids


def test_hostile_words_are_text(run: Run) -> None:
    hostile = '</script><script>alert(1)</script>"\u202e\u2028\x00\x1b'
    claims = tuple(replace(claim, sentence=hostile, node=hostile) for claim in run.claims)
    texts = tuple(replace(text, name=hostile, origin=hostile) for text in run.texts)
    html = page(replace(run, claims=claims, texts=texts, family=hostile, selection=hostile, deviations=(hostile,)))
    assert html.count("<script") == 1  # ours
    assert html.count("</script") == 1
    assert "alert(1)" in Reader(html).text


def test_the_matrix_names_the_statistic_of_each_number(run: Run) -> None:
    html = page(run)
    for row in rows(run):
        assert row.statistic
        assert f"</a> {row.statistic}, {row.claim.region}" in html
    nothing = replace(
        run, findings=tuple(replace(finding, verdict="not tested", estimate=None) for finding in run.findings)
    )
    assert [row.statistic for row in rows(nothing)] == ["", "", ""]


def test_the_demonstration_family_is_announced_before_the_conclusion(run: Run) -> None:
    html = page(run)
    assert html.index("Demonstration family") < html.index('class="lead"')


def test_the_same_record_gives_the_same_bytes(run: Run) -> None:
    assert page(run) == page(run)


def test_the_demonstration_family_is_named_as_such_and_others_are_not(run: Run, reader: Reader) -> None:
    assert "Nothing on this page says anything about GPT-2" in reader.text
    assert "Demonstration family" not in page(replace(run, family="gpt2"))


def test_a_run_without_measurements_has_a_page(run: Run) -> None:
    findings = tuple(replace(finding, verdict="not tested", estimate=None) for finding in run.findings)
    assert "No model was measured in this run" in page(replace(run, models=(), findings=findings))


def test_the_matrix_knows_what_was_not_claimed(run: Run) -> None:
    words = {(row.claim.id, cell.size): cell.word for row in rows(run) for cell in row.cells}
    assert words == {
        ("falls", "small"): "supported",
        ("falls", "medium"): "refuted",
        ("zero", "small"): "not claimed",
        ("zero", "medium"): "inconclusive",
        ("sums", "small"): "vacuous",
        ("sums", "medium"): "not tested",
    }


def test_a_claim_about_all_sizes_has_a_verdict_on_all(run: Run) -> None:
    assert [row.together for row in rows(run)] == ["refuted", "", ""]


def test_the_sentence_is_counted_from_the_matrix(run: Run) -> None:
    assert sentence(run) == "3 claims on 2 sizes, 3 checks, slips corrected: 1 supported, 1 refuted and 1 inconclusive."


verdicts = st.sampled_from([word for word in SYMBOLS if word not in (NOT_CLAIMED, NOT_RUN)])


@given(st.lists(verdicts, min_size=5, max_size=5))
def test_the_sentence_never_contradicts_the_matrix(run: Run, words: list[str]) -> None:
    findings = tuple(
        replace(finding, verdict=word, estimate=None) for finding, word in zip(run.findings, words, strict=True)
    )
    changed = replace(run, findings=findings)
    cells = [cell.word for row in rows(changed) if row.claim.reading == "corrected" for cell in row.cells]
    said = {word: int(count) for count, word in re.findall(rf"(\d+) ({'|'.join(SYMBOLS)})", sentence(changed))}
    assert said == {word: cells.count(word) for word in set(cells) - {"not claimed"}}


def test_the_terminal_shows_the_matrix_and_why_something_was_not_tested(run: Run) -> None:
    lines = terminal_lines(run)
    assert lines[0].split() == ["small", "medium", "together"]
    assert re.match(r"falls +✓ supported -0\.\d+ \(fragile\) +✗ refuted 0\.\d+ +refuted", lines[1])
    assert "not tested: no weights; get them with: x" in lines
    assert "mini is a demonstration family: these verdicts say nothing about GPT-2" in lines


def test_a_claim_that_did_not_run_is_neither_tested_nor_counted(run: Run) -> None:
    only = tuple(finding for finding in run.findings if finding.claim == "falls")
    words = {cell.word for row in rows(replace(run, findings=only)) for cell in row.cells if row.claim.id == "sums"}
    assert words == {"not run"}
    assert sentence(replace(run, findings=only)).startswith("3 claims on 2 sizes, 2 checks, slips corrected:")


def test_all_together_is_undecided_while_a_size_was_not_run(run: Run) -> None:
    only_small = replace(
        run, sizes=("small",), findings=tuple(finding for finding in run.findings if finding.size == "small")
    )
    assert [row.together for row in rows(only_small)] == ["not tested", "", ""]
    only_medium = replace(
        run, sizes=("medium",), findings=tuple(finding for finding in run.findings if finding.size == "medium")
    )
    assert [row.together for row in rows(only_medium)] == ["refuted", "", ""]


def test_p_values_of_confirmatory_findings_are_adjusted_together(run: Run, reader: Reader) -> None:
    by_holm = adjusted(run)
    assert set(by_holm) == {
        ("falls", "corrected", "small"),
        ("falls", "corrected", "medium"),
        ("zero", "corrected", "medium"),
    }
    raw = {(finding.claim, finding.reading, finding.size): finding.p_value for finding in run.findings}
    assert min(by_holm.values()) == pytest.approx(
        3 * min(p for key, p in raw.items() if key in by_holm and p is not None)
    )
    assert "by Holm over the 3 confirmatory checks p" in reader.text
    assert "p = 0.0002 against its lying elsewhere, by Holm over the 3 confirmatory checks p = 0.0006" in reader.text


def test_support_that_is_too_small_to_matter_is_flagged(run: Run) -> None:
    claims = tuple(replace(claim, negligible=(-0.99, 0.99)) if claim.id == "falls" else claim for claim in run.claims)
    with pytest.raises(ValueError, match="has negligible False, but its interval says True"):
        replace(run, claims=claims)
    findings = tuple(
        replace(finding, negligible=finding.claim == "falls" and finding.size == "small") for finding in run.findings
    )
    flagged = replace(run, claims=claims, findings=findings)
    assert "negligible" in Reader(page(flagged)).text
    assert any("supported" in line and "(negligible, fragile)" in line for line in terminal_lines(flagged))


def test_too_few_texts_to_resample_are_pointed_out(run: Run, reader: Reader) -> None:
    said = "intervals speak about these texts only"
    assert said not in reader.text
    estimates = [replace(finding.estimate, unit="texts") if finding.estimate else None for finding in run.findings]
    findings = tuple(
        replace(finding, estimate=estimate) for finding, estimate in zip(run.findings, estimates, strict=True)
    )
    assert said in Reader(page(replace(run, findings=findings))).text
    assert any(said in line for line in terminal_lines(replace(run, findings=findings)))


def test_the_terminal_says_why_something_is_inconclusive(run: Run) -> None:
    reason = next(finding.reason for finding in run.findings if finding.verdict == "inconclusive")
    assert f"inconclusive: zero, corrected, medium: {reason}" in terminal_lines(run)


def test_each_control_is_on_the_page_with_its_count(run: Run, reader: Reader) -> None:
    assert "untrained 1 of 10" in reader.text
    assert "supported in 0 of 20 shifted pairings (at most 14% of the time)" in reader.text
    assert "Must fail in untrained, shifted" in reader.text
    bare = tuple(replace(finding, controls=()) for finding in run.findings)
    assert "Nothing was tried where the claims should fail" in page(replace(run, findings=bare))
    assert "Nothing was tried" not in reader.text


def test_support_in_controls_is_bold_and_reported_in_the_terminal(run: Run) -> None:
    damning = Tally(control="untrained", runs=10, supported=9, values=(), seconds=1.0)
    findings = (replace(run.findings[0], controls=(damning,), verdict="vacuous"), *run.findings[1:])
    emptied = replace(run, findings=findings)
    assert "<strong>untrained 9 of 10</strong>" in page(emptied)
    falls, _, sums = rows(emptied)
    assert falls.emptiness(falls.cells[0]) == "untrained too"
    assert (falls.emptiness(falls.cells[1]), sums.emptiness(sums.cells[0])) == ("", "by construction")
    assert '<span class="flag">untrained too</span>' in page(emptied)
    assert '<span class="flag">by construction</span>' in page(emptied)
    expected = "vacuous: falls, corrected, is supported where it should not be (small: untrained 9 of 10)"
    assert expected in terminal_lines(emptied)


def test_a_verdict_that_its_controls_contradict_is_refused(run: Run) -> None:
    damning = Tally(control="untrained", runs=10, supported=9, values=(), seconds=1.0)
    with pytest.raises(ValueError, match="says supported, but its interval says vacuous"):
        replace(run, findings=(replace(run.findings[0], controls=(damning,)), *run.findings[1:]))


def test_the_terminal_says_what_controls_cost_and_what_came_from_the_cache(run: Run) -> None:
    assert "controls (full): 30 runs in 2 s" in terminal_lines(run)
    from_cache = tuple(replace(tally, kept=tally.runs) for tally in run.findings[0].controls)
    again = replace(run, findings=(replace(run.findings[0], controls=from_cache), *run.findings[1:]))
    assert "controls (full): 30 runs in 2 s, 30 of them by an earlier session" in terminal_lines(again)


def test_universes_that_disagree_make_a_verdict_fragile(run: Run, reader: Reader) -> None:
    assert run.findings[0].universes is not None
    assert run.findings[0].universes.agreeing == 0.5
    assert run.findings[0].flags == ("fragile",)
    assert "50% of 2 equivalent analyses come to “supported”, controls apart" in reader.text
    assert (
        "fragile: falls, corrected, small: only 50% of equivalent analyses come to the same verdict"
        in terminal_lines(run)
    )
    assert "supported -0." in next(line for line in terminal_lines(run) if line.startswith("falls"))
    assert "(fragile)" in next(line for line in terminal_lines(run) if line.startswith("falls"))


def test_a_deviation_from_the_lock_is_flagged_everywhere(run: Run) -> None:
    text = "expect was below 0.1, is below 0.0"
    claims = (replace(run.claims[0], deviation=text), *run.claims[1:])
    moved = replace(run, claims=claims, lock="claims/claims.lock", deviations=(f"falls (corrected): {text}",))
    assert f"DEVIATED from claims/claims.lock: falls (corrected): {text}" in terminal_lines(moved)
    assert "deviated, fragile" in page(moved)
    assert "These claims are not the ones that were written down" in page(moved)
    assert "Deviated." not in page(run)


def test_limits_of_every_kind_are_stated(run: Run, reader: Reader) -> None:
    falls, _, sums = rows(run)
    assert falls.limits == (
        "anything about size as such: there is one network of each size",
        "anything about texts of another kind",
        "more than sampling error: intervals know nothing of another training run or tokenizer",
    )
    alone = replace(falls, claim=replace(falls.claim, compares_sizes=False, not_shown="why"))
    assert alone.limits == ("why", *falls.limits[1:])
    assert sums.limits == ()  # a census says nothing beyond its tokens
    assert "anything about texts of another kind; more than sampling error" in reader.text


def test_false_alarms_on_random_networks_are_counted(run: Run, reader: Reader) -> None:
    assert run.severity is not None
    assert (run.severity.checks, run.severity.alarms) == (40, 1)
    assert "Of 40 checks that must fail there, 1 (2.5%) came out supported and were not called vacuous." in reader.text
    assert [row.numbers for row in severity_rows(run.severity)] == [(1, 20, 19, 0, 0), (0, 20, 0, 0, 0)]
    assert "random networks" not in page(replace(run, severity=None))


def test_a_difference_between_sizes_has_one_cell_across_them(run: Run) -> None:
    claims = (replace(run.claims[0], logic="differs"), *run.claims[1:])
    findings = (replace(run.findings[0], size="together"), *run.findings[2:])
    across = replace(run, claims=claims, findings=findings)
    first = rows(across)[0]
    assert [cell.word for cell in first.across] == ["supported"]
    assert (first.across[0].word, first.together) == ("supported", "supported")
    assert 'colspan="2"' in page(across)
    assert sentence(across).startswith("3 claims on 2 sizes, 2 checks, slips corrected: 1 supported and 1 inconclusive")


def numbers_of_estimate(estimate: Estimate) -> Iterator[str]:
    """What the page says of an estimate."""
    yield from estimate.digits[:1] if estimate.unit == "census" else estimate.digits
    yield estimate.sample
    if estimate.effective_n:
        yield f"{estimate.effective_n:,.0f} independent tokens"


def numbers_of_finding(finding: FindingRecord) -> Iterator[str]:
    """What the page says of a finding."""
    if finding.estimate:
        yield from numbers_of_estimate(finding.estimate)
    for tally in finding.controls:
        yield f"{tally.control} {tally.supported} of {tally.defined}"
    if finding.attribution:
        for _, change in finding.attribution.changes:
            yield f"{change:+.3f}" if abs(change) >= 0.0005 else " 0 "
    if finding.universes:
        yield f"{finding.universes.median:.3f}"
        yield f"{finding.universes.published:.3f}"


def test_every_number_that_was_found_is_on_the_page_without_scripts(run: Run, reader: Reader) -> None:
    for finding in run.findings:
        for words in numbers_of_finding(finding):
            assert words in reader.text, finding.claim
    for model in run.models:
        for words in (model.weights_sha256[:16], model.tokenizer_sha256[:16], f"{model.tokens:,}", f"{model.rows:,}"):
            assert words in reader.text
    for text in run.texts:
        assert text.sha256[:16] in reader.text
    assert run.revision is not None
    assert run.revision.commit in reader.text


def test_numbers_of_the_sample_are_possible() -> None:
    sample = read(SAMPLE)
    for finding in sample.findings:
        if finding.estimate:
            assert finding.estimate.low <= finding.estimate.value <= finding.estimate.high
            if finding.estimate.scale == "fisher z":
                assert -1 <= finding.estimate.low <= finding.estimate.high <= 1
                assert all(-1 <= quantile <= 1 for quantile in finding.estimate.quantiles)


def test_no_figure_has_a_minus_zero() -> None:
    html = page(read(SAMPLE))
    assert html.count("<text") > 500
    assert not re.findall(r">-0(?:\.0*)?<", html)


def test_the_sample_page_is_light() -> None:
    assert len(page(read(SAMPLE)).encode()) <= 600_000


def test_the_script_is_small_and_the_policy_allows_nothing_else(run: Run) -> None:
    html = page(run)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(script.encode()) <= 6_500
    assert "fetch(" not in script
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r'\sstyle="|\son[a-z]+="', html)


def test_sections_are_in_order(run: Run) -> None:
    html = page(run)
    positions = [html.index(f'<h2 id="{anchor}">') for anchor, _ in CONTENTS]
    assert positions == sorted(positions)
    assert html.count("<h2 ") == len(CONTENTS)


def test_exploratory_claims_have_their_own_section(run: Run) -> None:
    claims = (replace(run.claims[0], exploratory=True), *run.claims[1:])
    html = page(replace(run, claims=claims))
    confirmatory, exploratory = html.index('<h2 id="claims">'), html.index('<h2 id="exploratory">')
    assert html.index('<h3 id="falls-corrected">') > exploratory
    assert confirmatory < html.index('<h3 id="zero-corrected">') < exploratory


def test_an_inferred_finding_is_not_called_counted(run: Run) -> None:
    estimate = run.findings[0].estimate
    assert estimate is not None
    bare = replace(run, findings=(replace(run.findings[0], estimate=replace(estimate, effective_n=None)),))
    assert 'class="fine">p = ' in page(bare)
    assert 'class="fine">Counted' not in page(bare)


def test_the_merged_sample_page_is_what_its_records_render_to() -> None:
    paths = [SAMPLE, SAMPLE.with_name("untrained.json")]
    run = merged([read(path) for path in paths], [str(path) for path in paths])
    html = page(run)
    assert SAMPLE.with_name("merged.html").read_text("utf-8") == html
    assert run.sizes == ("mini / small", "mini / medium", "mini / large", "mini / xl", "untrained")
    assert "Random weights." in html
