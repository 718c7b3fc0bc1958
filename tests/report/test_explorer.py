"""The token explorer and what it leaves out, the tables beside the page, and the page's provenance."""

from __future__ import annotations

import csv
import gzip
import io
import re
import shutil
import sys
from base64 import b64decode
from dataclasses import replace
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import PROJECT

from pathlen._util.text import visible
from pathlen.cli import main
from pathlen.errors import MissingTemplate
from pathlen.records.files import decoded, encoded, write
from pathlen.records.schema import Excerpt, ModelRecord, Run
from pathlen.report import matrix_markdown, page, tokens_csv
from pathlen.report.explorer import FEWEST, MOST, VALUES, curves, explorer, readable, shades, thinned, tokens, words
from pathlen.report.provenance import banners, bibtex, citation, downloads, reproduce, stages, stamp
from pathlen.report.tables import COLUMNS, MOST_CHARACTERS

BUDGET = 600_000


def excerpt(measured: int, blocks: int = 2, text: str = "one") -> Excerpt:
    return Excerpt(
        text=text,
        left_out=1,
        pieces=tuple(f" w{token}" for token in range(measured + 2)),
        steps=tuple(tuple(1.0 + (7 * token + block) % 13 / 4 for token in range(measured)) for block in range(blocks)),
        final_norm_step=(2.5,) * measured,
        next_logit=tuple(0.125 * (token % 40) for token in range(measured)),
        next_log_probability=(-1.5,) * measured,
    )


def with_excerpts(run: Run, *excerpts: Excerpt) -> Run:
    model = replace(run.models[0], n_layer=len(excerpts[0].steps), excerpts=excerpts)
    return replace(run, models=(model,))


def test_the_explorer_draws_each_token_three_times(run: Run) -> None:
    first = run.models[0].excerpts[0]
    dots, lines, text = tokens(first, 2, title="t"), curves(first, 2, title="t"), words(first)
    for drawn in (dots, lines, text):
        assert re.findall(r'data-i="(\d+)"', drawn) == [str(number) for number in range(first.measured)]
    across = [float(x) for x in re.findall(r'cx="([\d.]+)"', dots)]
    assert sorted(range(8), key=across.__getitem__) == sorted(range(8), key=first.steps[1].__getitem__)
    ends = [float(path.split(" ")[-1]) for path in re.findall(r'data-i="\d+" d="([^"]+)"', lines)]
    totals = [list(accumulate(steps))[-1] for steps in zip(*first.steps, strict=True)]
    assert sorted(range(8), key=ends.__getitem__, reverse=True) == sorted(range(8), key=totals.__getitem__)


def test_hostile_pieces_are_words(run: Run) -> None:
    text = words(run.models[0].excerpts[0])
    assert "<script" not in text
    assert "&lt;/script&gt;" in text
    assert "⟨80⟩⟨94⟩" in text
    assert "⟨U+202E⟩" in text
    assert "⟨U+2028⟩" in text
    assert ">◌\u0301e<" in text


@given(st.text())
def test_nothing_readable_is_hidden_and_nothing_hidden_is_shown(text: str) -> None:
    for shown in (readable(text.replace("\\", "\\\\")), visible(text)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]", shown)


@given(st.lists(st.floats(0, 100), min_size=5))
def test_shades_are_fifths(values: list[float]) -> None:
    fifths = shades(values)
    assert set(fifths) <= set(range(5))
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [fifths[index] for index in order] == sorted(fifths)
    assert max(fifths.count(shade) for shade in range(5)) <= len(values) // 5 + 1


def test_a_small_record_is_shown_in_full(run: Run) -> None:
    assert thinned(run) is run
    shown = explorer(run)
    assert shown is not None
    assert shown.sampled == "8 of 480 tokens can be looked at here: the first 8 at most of the text."


@pytest.mark.parametrize(
    ("texts", "measured", "blocks"), [(1, 4000, 48), (14, 71, 48), (200, 20, 12), (14, 400, 12), (3, 5, 6)]
)
def test_a_page_has_room_for_the_beginnings_of_texts(run: Run, texts: int, measured: int, blocks: int) -> None:
    full = with_excerpts(run, *(excerpt(measured, blocks, f"text {number}") for number in range(texts)))
    small = thinned(full)
    excerpts = small.models[0].excerpts
    assert sum(shown.measured for shown in excerpts) * blocks <= VALUES
    assert max(shown.measured for shown in excerpts) <= MOST
    assert len(excerpts) == texts or min(shown.measured for shown in excerpts) >= min(measured, FEWEST)
    for shown, before in zip(excerpts, full.models[0].excerpts, strict=False):
        assert shown == before.first(shown.measured)


def test_48_blocks_of_4000_tokens_stay_within_the_budget_and_say_so(run: Run) -> None:
    large = page(with_excerpts(run, excerpt(4000, 48)))
    assert len(large.encode()) < BUDGET
    assert "350 of 480 tokens can be looked at here" in large
    assert "the record that it was made from holds more tokens" in large


def test_a_record_without_tokens_has_a_page(run: Run) -> None:
    bare = replace(run, models=tuple(replace(model, excerpts=()) for model in run.models))
    assert explorer(bare) is None
    assert "This record holds no single tokens." in page(bare)
    assert "<script" not in page(bare)


def test_the_page_carries_the_record_that_it_was_made_from(run: Run) -> None:
    record, table = downloads(run)
    assert (record.name, table.name) == ("mini.json.gz", "mini.tokens.csv.gz")
    assert decoded(gzip.decompress(b64decode(record.address.partition(",")[2]))) == run
    assert gzip.decompress(b64decode(table.address.partition(",")[2])).decode() == tokens_csv(run)
    assert record.address in page(run)


def test_names_of_downloads_hold_no_special_characters(run: Run) -> None:
    assert downloads(replace(run, family='../a" b'))[0].name == "..-a--b.json.gz"


def test_the_token_table_has_a_line_for_each_token(run: Run) -> None:
    lines = list(csv.DictReader(io.StringIO(tokens_csv(run))))
    first = run.models[0].excerpts[0]
    assert len(lines) == first.measured
    assert tuple(lines[0]) == COLUMNS
    assert [line["piece"] for line in lines] == list(first.pieces[1:-1])
    assert [line["next_piece"] for line in lines] == list(first.pieces[2:])
    assert [float(line["last_step"]) for line in lines] == list(first.steps[-1])
    assert float(lines[2]["path_length"]) == first.steps[0][2] + first.steps[1][2]
    assert [int(line["token"]) for line in lines] == list(range(1, 9))


def test_the_markdown_matrix_has_a_row_for_each_reading(run: Run) -> None:
    text = matrix_markdown(run)
    lines = text.splitlines()
    assert lines[0].startswith("**[¬Re] refuted.** Of 3 claims on two sizes:")
    assert lines[2] == "| claim | holds if | small | medium | together |"
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| falls", "| zero", "| sums (as published)"]
    for finding in run.findings:
        if finding.estimate and finding.estimate.unit != "census":
            value, low, high = finding.estimate.digits
            assert f"{finding.verdict} {value} \\[{low}, {high}\\]" in text


def test_hostile_words_stay_in_their_cell(run: Run) -> None:
    claims = tuple(replace(claim, id=f"{claim.id}|<b>`\n\u202e") for claim in run.claims)
    findings = tuple(replace(finding, claim=f"{finding.claim}|<b>`\n\u202e") for finding in run.findings)
    rows = matrix_markdown(replace(run, claims=claims, findings=findings)).splitlines()[4:]
    assert len(rows) == 3
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 6
        assert "\u202e" not in row
        assert "<b>" not in row.replace("\\<b\\>", "")


def test_a_long_matrix_fits_into_a_comment_and_says_how_many_rows_are_left_out(run: Run) -> None:
    claims = tuple(replace(run.claims[0], id=f"claim-{number}-{'x' * 60}") for number in range(900))
    text = matrix_markdown(replace(run, claims=claims, findings=()))
    assert len(text) <= MOST_CHARACTERS
    left = re.search(r"^(\d+) more rows don’t fit into a comment", text, re.MULTILINE)
    assert left is not None
    assert int(left[1]) + text.count("| claim-") == 900


@pytest.mark.parametrize(
    ("option", "table"), [("--markdown", matrix_markdown), ("--tokens", tokens_csv), ("--json", encoded)]
)
def test_the_command_prints_or_writes_tables(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, table: object
) -> None:
    record, target = tmp_path / "run.json", tmp_path / "out" / "table"
    write(run, record)
    assert main(["report", str(record), option]) == 0
    assert capsys.readouterr().out == table(run)  # type: ignore[operator]
    assert main(["report", str(record), option, "-o", str(target)]) == 0
    assert target.read_text("utf-8") == table(run)  # type: ignore[operator]
    assert main(["report", str(record), option, "-o", str(record)]) == 1
    assert not (tmp_path / "run.html").exists()


def test_a_target_that_cannot_be_written_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run, tmp_path / "run.json")
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["report", str(tmp_path / "run.json"), "-o", str(tmp_path / "file" / "page.html")]) == 1
    assert "file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run.json"]


@pytest.mark.parametrize("name", ["page.css", "page.html", "_card.html"])
def test_a_missing_template_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    module = sys.modules["pathlen.report.page"]  # whose name in the package is the function's
    copy = tmp_path / "templates"
    shutil.copytree(Path(str(module.__file__)).parent / "templates", copy)
    (copy / name).unlink()
    monkeypatch.setattr(module, "files", lambda _: tmp_path)
    monkeypatch.setattr(module, "PackageLoader", lambda _: jinja2.FileSystemLoader(copy))
    with pytest.raises(
        MissingTemplate, match=f"the page needs the template {name}, which is not installed with pathlen"
    ):
        page(run)


def banner_names(run: Run) -> list[str]:
    return [banner.name for banner in banners(run)]


def test_banners_warn_the_reader(run: Run) -> None:
    assert banner_names(run) == ["Demonstration family.", "Partial run."]
    real = replace(
        run, family="gpt2", findings=tuple(finding for finding in run.findings if finding.verdict != "not tested")
    )
    assert banner_names(real) == ["Partial run."]  # a check is gone
    assert "1 checks on these sizes were not run" in banners(real)[0].about
    assert "3 of 27 declared readings of claims were asked for" in banners(replace(real, declared=27))[0].about
    small = replace(
        real, sizes=("small",), findings=tuple(finding for finding in real.findings if finding.size == "small")
    )
    assert "sizes that claims are made about, and that were not run: medium" in banners(small)[0].about
    bare = replace(run, findings=tuple(replace(finding, controls=()) for finding in run.findings))
    assert "No controls." in banner_names(bare)
    assert "Deviated." in banner_names(replace(run, lock="x", deviations=("it moved",)))
    assert "Stale." in banner_names(replace(run, environment={"pathlen": "0.0.1"}))
    random: tuple[ModelRecord, ...] = (replace(run.models[0], surprise=8.31),)
    assert "Random weights." in banner_names(replace(run, models=random))


def test_the_stamp_identifies_a_run(run: Run) -> None:
    by_name = dict(stamp(replace(run, lock="claims/claims.lock", lock_sha256="ab" * 32)))
    assert by_name["lock"] == "claims/claims.lock, sha256 abababababab"
    assert by_name["intervals"] == "8 passages resampled 9,999 times, seed 0"
    assert by_name["texts"].startswith("1 text, 496 tokens, sha256 ")
    assert by_name["networks"] == "float32 on cpu"
    assert dict(stamp(replace(run, models=(), findings=())))["intervals"] == "nothing resampled, seed 0"


def test_stages_add_up_to_the_total(run: Run) -> None:
    timed = stages(replace(run, seconds=100.0))
    assert sum(seconds for _, seconds, _ in timed[:-1]) == pytest.approx(timed[-1][1])
    from_cache = replace(run, models=(replace(run.models[0], is_kept=True),))
    assert stages(from_cache)[0][2] == "kept from an earlier run: small"


def test_a_run_can_be_reproduced_with_three_commands(run: Run) -> None:
    with_text = replace(run, texts=(replace(run.texts[0], origin="my texts/a.txt"),))
    assert reproduce(with_text) == [
        f"git checkout {'1' * 40}",
        "python3 -m venv .venv && .venv/bin/pip install -q .",
        '.venv/bin/pytest claims/ --family mini --seed 0 --controls full --text "my texts/a.txt"',
    ]
    assert reproduce(replace(run, revision=None))[0].startswith("# a checkout of pathlen ")


def test_the_citation_file_of_the_project_is_this_release() -> None:
    shipped = (PROJECT / "CITATION.cff").read_text("utf-8")
    assert shipped == citation(version("pathlen"))


def test_bibtex_names_the_record(run: Run) -> None:
    entry = bibtex(run, "f" * 64)
    assert entry.startswith("@software{pathlen_2026,")
    assert "Record of 2026-01-02, sha256 " + "f" * 64 in entry
    assert entry.count("{") == entry.count("}")
