"""Merging records: compatible ones become one, others are refused with the difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pathlen.cli import main
from pathlen.errors import InvalidRecord
from pathlen.records.files import write
from pathlen.records.merge import merged
from pathlen.records.schema import Run, TextRecord
from pathlen.report import page
from pathlen.report.matrix import rows

NAMES = ("a.json", "b.json")


@pytest.fixture
def parts(run: Run) -> list[Run]:
    """The same run in two parts, one size each; Small could not be tested in the part about Medium."""
    small = tuple(finding for finding in run.findings if finding.size == "small")
    medium = tuple(finding for finding in run.findings if finding.size == "medium")
    untested = tuple(
        replace(
            finding, verdict="not tested", estimate=None, controls=(), attribution=None, universes=None, p_value=None
        )
        for finding in small
    )
    return [
        replace(run, sizes=("medium",), models=(), findings=(*untested, *medium), started="2026-01-03T00:00:00+00:00"),
        replace(run, sizes=("small",), findings=small),
    ]


def test_sizes_that_ran_separately_are_merged(run: Run, parts: list[Run]) -> None:
    merged_run = merged(parts, NAMES)
    assert merged_run.sizes == ("small", "medium")
    assert merged_run.verdicts == run.verdicts
    assert [[cell.word for cell in row.cells] for row in rows(merged_run)] == [
        [cell.word for cell in row.cells] for row in rows(run)
    ]
    assert (merged_run.started, merged_run.seconds) == (run.started, 2 * run.seconds)
    assert merged_run.models == run.models


def test_a_single_record_is_unchanged(run: Run) -> None:
    assert merged([run], NAMES[:1]) == run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"texts": (TextRecord(name="other", origin="x", sha256="e" * 64, licence="", attribution=""),)},
            "of one texts",
        ),
        ({"seed": 7}, "records of one seed can be merged, but a.json has 0 and b.json has 7"),
        ({"controls": "quick"}, "records of one controls can be merged, but a.json has full and b.json has quick"),
        ({"lock": "claims.lock"}, "records of one lock can be merged, but a.json has None and b.json has claims.lock"),
        (
            {"lock_sha256": "b" * 64},
            f"records of one content of the lock can be merged, but a.json has {'a' * 12} and b.json has {'b' * 12}",
        ),
        ({"environment": {"pathlen": "9.9"}}, "records of one version of pathlen can be merged"),
    ],
)
def test_records_made_under_different_conditions_are_refused(
    parts: list[Run], change: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidRecord, match=message):
        merged([replace(parts[0], lock_sha256="a" * 64), replace(parts[1], **change)], NAMES)  # type: ignore[arg-type]


def test_an_old_record_without_a_digest_of_the_lock_can_be_merged(parts: list[Run]) -> None:
    merged_run = merged([parts[0], replace(parts[1], lock_sha256="b" * 64, declared=3, schema_version=3)], NAMES)
    assert (merged_run.lock_sha256, merged_run.declared, merged_run.schema_version) == ("b" * 64, 3, 4)


def test_only_a_commit_shared_by_all_records_is_recorded(parts: list[Run]) -> None:
    first, second = parts
    assert first.revision is not None
    dirty = replace(first.revision, is_dirty=True)
    assert merged([first, replace(second, revision=dirty)], NAMES).revision == dirty
    other = replace(first.revision, commit="2" * 40)
    assert merged([first, replace(second, revision=other)], NAMES).revision is None
    assert merged([first, replace(second, revision=None)], NAMES).revision is None


def test_sizes_of_several_families_are_labelled_with_their_family(run: Run) -> None:
    gpt2 = replace(run, family="gpt2", selection="--family gpt2", models=(replace(run.models[0], surprise=8.4),))
    alone = replace(
        run,
        family="mine",
        selection="--model mine",
        sizes=("model",),
        models=(),
        findings=(replace(run.findings[0], size="model"),),
    )
    merged_run = merged([run, gpt2, alone], ["a.json", "b.json", "c.json"])
    assert merged_run.family == "mini + gpt2 + mine"
    assert merged_run.sizes == ("mini / small", "mini / medium", "gpt2 / small", "gpt2 / medium", "mine")
    assert merged_run.selection == "--family mini + --family gpt2 + --model mine"
    assert len(merged_run.findings) == 2 * len(run.findings) + 1
    falls = rows(merged_run)[0]
    assert [cell.word for cell in falls.cells] == ["supported", "refuted", "supported", "refuted", "supported"]
    assert falls.together == "mini: refuted, gpt2: refuted, mine: supported"
    text = page(merged_run)
    assert "What stands under mini says nothing about GPT-2" in text
    assert "Random weights." in text
    assert ".venv/bin/pytest claims/ --model mine --seed 0" in text
    # A merged record can be merged again.
    assert merged([merged_run, replace(run, sizes=("small",))], NAMES).sizes == merged_run.sizes


def test_records_that_contradict_each_other_are_refused(run: Run, parts: list[Run]) -> None:
    other = replace(run.models[0], weights_sha256="f" * 64)
    with pytest.raises(InvalidRecord, match="b.json has other weights, tokenizer or type of small than a.json"):
        merged([run, replace(run, models=(other,))], NAMES)
    reworded = replace(run.claims[0], sentence="Another.")
    with pytest.raises(InvalidRecord, match=r"b.json has another declaration of falls corrected than a.json"):
        merged([parts[0], replace(parts[1], claims=(reworded, *run.claims[1:]))], NAMES)
    broken = replace(run.findings[0], verdict="error", estimate=None, controls=(), universes=None, attribution=None)
    with pytest.raises(InvalidRecord, match="another verdict of falls corrected small"):
        merged([run, replace(run, findings=(broken, *run.findings[1:]))], NAMES)


def test_the_report_command_merges_records(
    parts: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name for name in NAMES]
    for part, path in zip(parts, paths, strict=True):
        write(part, path)
    assert main(["report", *map(str, paths)]) == 1
    assert "2 records become one page, so say where it goes with -o" in capsys.readouterr().err
    assert main(["report", *map(str, paths), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text("utf-8") == page(merged(parts, [str(path) for path in paths]))
    assert main(["report", *map(str, paths), "-o", str(paths[1])]) == 1
