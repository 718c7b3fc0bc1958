"""Records that were made apart become one, or are refused with the difference."""

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
    """The same run, a size each; the second day Small's weights were gone."""
    small = tuple(one for one in run.findings if one.size == "small")
    medium = tuple(one for one in run.findings if one.size == "medium")
    gone = tuple(
        replace(one, verdict="not tested", estimate=None, controls=(), attribution=None, universes=None, p_value=None)
        for one in small
    )
    return [
        replace(run, sizes=("medium",), models=(), findings=(*gone, *medium), started="2026-01-03T00:00:00+00:00"),
        replace(run, sizes=("small",), findings=small),
    ]


def test_sizes_that_ran_apart_stand_side_by_side(run: Run, parts: list[Run]) -> None:
    whole = merged(parts, NAMES)
    assert whole.sizes == ("small", "medium")
    assert whole.verdicts == run.verdicts
    assert [[cell.word for cell in row.cells] for row in rows(whole)] == [
        [cell.word for cell in row.cells] for row in rows(run)
    ]
    assert (whole.started, whole.seconds) == (run.started, 2 * run.seconds)
    assert whole.models == run.models


def test_one_record_is_itself(run: Run) -> None:
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
def test_what_was_made_under_other_conditions_is_refused(
    parts: list[Run], change: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidRecord, match=message):
        merged([replace(parts[0], lock_sha256="a" * 64), replace(parts[1], **change)], NAMES)  # type: ignore[arg-type]


def test_an_old_record_has_no_digest_of_the_lock_and_merges_all_the_same(parts: list[Run]) -> None:
    whole = merged([parts[0], replace(parts[1], lock_sha256="b" * 64, declared=3, schema_version=3)], NAMES)
    assert (whole.lock_sha256, whole.declared, whole.schema_version) == ("b" * 64, 3, 4)


def test_a_commit_that_all_records_share_is_kept(parts: list[Run]) -> None:
    first, second = parts
    assert first.revision is not None
    dirty = replace(first.revision, is_dirty=True)
    assert merged([first, replace(second, revision=dirty)], NAMES).revision == dirty
    other = replace(first.revision, commit="2" * 40)
    assert merged([first, replace(second, revision=other)], NAMES).revision is None
    assert merged([first, replace(second, revision=None)], NAMES).revision is None


def test_families_stand_side_by_side_under_their_names(run: Run) -> None:
    other = replace(run, family="gpt2", selection="--family gpt2", models=(replace(run.models[0], surprise=8.4),))
    alone = replace(
        run,
        family="mine",
        selection="--model mine",
        sizes=("model",),
        models=(),
        findings=(replace(run.findings[0], size="model"),),
    )
    whole = merged([run, other, alone], ["a.json", "b.json", "c.json"])
    assert whole.family == "mini + gpt2 + mine"
    assert whole.sizes == ("mini / small", "mini / medium", "gpt2 / small", "gpt2 / medium", "mine")
    assert whole.selection == "--family mini + --family gpt2 + --model mine"
    assert len(whole.findings) == 2 * len(run.findings) + 1
    falls = rows(whole)[0]
    assert [cell.word for cell in falls.cells] == ["supported", "refuted", "supported", "refuted", "supported"]
    assert falls.together == "mini: refuted, gpt2: refuted, mine: supported"
    text = page(whole)
    assert "What stands under mini says nothing about GPT-2" in text
    assert "Random weights." in text
    assert ".venv/bin/pytest claims/ --model mine --seed 0" in text
    assert (
        merged([whole, replace(run, sizes=("small",))], NAMES).sizes == whole.sizes
    )  # what was merged can be merged again


def test_two_stories_about_one_thing_are_refused(run: Run, parts: list[Run]) -> None:
    other = replace(run.models[0], weights_sha256="f" * 64)
    with pytest.raises(InvalidRecord, match="b.json has other weights, tokenizer or type of small than a.json"):
        merged([run, replace(run, models=(other,))], NAMES)
    reworded = replace(run.claims[0], sentence="Another.")
    with pytest.raises(InvalidRecord, match=r"b.json has another declaration of falls corrected than a.json"):
        merged([parts[0], replace(parts[1], claims=(reworded, *run.claims[1:]))], NAMES)
    broken = replace(run.findings[0], verdict="error", estimate=None, controls=(), universes=None, attribution=None)
    with pytest.raises(InvalidRecord, match="another verdict of falls corrected small"):
        merged([run, replace(run, findings=(broken, *run.findings[1:]))], NAMES)


def test_the_command_merges(parts: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in NAMES]
    for one, path in zip(parts, paths, strict=True):
        write(one, path)
    assert main(["report", *map(str, paths)]) == 1
    assert "2 records become one page, so say where it goes with -o" in capsys.readouterr().err
    assert main(["report", *map(str, paths), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text("utf-8") == page(merged(parts, [str(path) for path in paths]))
    assert main(["report", *map(str, paths), "-o", str(paths[1])]) == 1
