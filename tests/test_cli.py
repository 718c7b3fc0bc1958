"""The command line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pathlen.cli import main
from pathlen.records import Run, write
from pathlen.report import page


def test_a_record_is_rendered_again(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, html = tmp_path / "run.json", tmp_path / "page.html"
    write(run, record)
    assert main(["report", str(record), "-o", str(html)]) == 0
    assert html.read_text("utf-8") == page(run)
    assert capsys.readouterr().out.strip() == str(html)
    assert main(["report", str(record)]) == 0
    assert (tmp_path / "run.html").read_text("utf-8") == page(run)


def test_a_bad_record_is_one_line_and_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "run.json"
    record.write_text("{", encoding="utf-8")
    assert main(["report", str(record)]) == 1
    assert "is not JSON" in capsys.readouterr().err
    assert not (tmp_path / "run.html").exists()


def test_a_page_never_replaces_its_record(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "run.html"
    write(run, record)
    assert main(["report", str(record)]) == 1
    assert "must not replace its record" in capsys.readouterr().err
    assert record.read_text("utf-8").startswith("{")


def test_models_are_listed_with_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all("mini" in line for line in lines[4:])


def test_texts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texts"]) == 0
    assert capsys.readouterr().out.startswith("nietzsche ")


def test_power_says_what_the_texts_of_a_record_could_have_shown(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(run, tmp_path / "run.json")
    assert main(["power", str(tmp_path / "run.json")]) == 0
    falls, *_, zero = capsys.readouterr().out.splitlines()
    assert falls.startswith("falls (corrected) on small: 480 tokens, worth ")
    assert "find an r 0." in falls
    assert "show an r within 0." in zero
    assert "such passages would decide" in zero
    assert main(["power", str(tmp_path / "none.json")]) == 1


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "usage: pathlen" in capsys.readouterr().err


CLAIM = '''from pathlen import SIZES, UNTRAINED, below, claim, pearson


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[UNTRAINED])
def test_falls(measured):
    """It falls."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)
'''


def claims_in(folder: Path, text: str = CLAIM) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "test_mine.py").write_text(text, encoding="utf-8")
    return folder


def test_claims_are_locked_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = claims_in(tmp_path / "claims")
    lock = folder / "claims.lock"
    assert main(["lock", str(folder)]) == 0
    assert capsys.readouterr().out == f"{lock}: 1 declarations\n"
    assert '"sentence": "It falls."' in lock.read_text("utf-8")
    assert main(["lock", str(folder), "--check"]) == 0
    assert capsys.readouterr().out == f"{lock}: 1 declarations, all as locked\n"


def test_a_check_says_what_differs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = claims_in(tmp_path / "claims")
    assert main(["lock", str(folder)]) == 0
    before = (folder / "claims.lock").read_bytes()
    claims_in(folder, CLAIM.replace("below(0.0)", "below(-0.25)").replace("It falls.", "It falls steeply."))
    capsys.readouterr()
    assert main(["lock", str(folder), "--check"]) == 1
    assert capsys.readouterr().out == (
        "falls (corrected): sentence was It falls., is It falls steeply.; expect was below 0.0, is below -0.25\n"
    )
    assert (folder / "claims.lock").read_bytes() == before
    assert main(["lock", str(folder)]) == 0
    assert main(["lock", str(folder), "--check"]) == 0


def test_every_difference_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = claims_in(tmp_path / "claims")
    assert main(["lock", str(folder)]) == 0
    claims_in(folder, CLAIM.replace("test_falls", "test_sinks_slowly"))
    capsys.readouterr()
    assert main(["lock", str(folder), "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "sinks-slowly (corrected): the claim is not in the lock",
        "falls (corrected) is locked, but test_mine.py declares it no more",
    ]


def test_the_folder_is_claims_unless_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claims_in(tmp_path / "claims")
    monkeypatch.chdir(tmp_path)
    assert main(["lock"]) == 0
    assert (tmp_path / "claims" / "claims.lock").is_file()
    assert main(["lock", "--check"]) == 0
    assert "all as locked" in capsys.readouterr().out


@pytest.mark.parametrize("check", [[], ["--check"]])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no claim is declared in "),
        ("1 / 0\n", "can't be imported: ZeroDivisionError: division by zero"),
        (CLAIM.replace('"""It falls."""', "pass"), "InvalidClaim: claim 'falls' needs a sentence"),
    ],
)
def test_claims_that_can_not_be_locked_are_one_line_and_no_lock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str, check: list[str]
) -> None:
    folder = claims_in(tmp_path / "claims", text)
    assert main(["lock", str(folder), *check]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("pathlen lock: ")
    assert message in shown.err
    assert shown.out == ""
    assert not (folder / "claims.lock").exists()


def test_a_check_without_a_lock_or_with_one_that_is_none_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = claims_in(tmp_path / "claims")
    assert main(["lock", str(folder), "--check"]) == 1
    assert "claims.lock' can't be read: No such file" in capsys.readouterr().err
    (folder / "claims.lock").write_text("{", encoding="utf-8")
    assert main(["lock", str(folder), "--check"]) == 1
    assert capsys.readouterr().err.startswith(f"pathlen lock: {folder / 'claims.lock'} is not a lock: ")


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", str(tmp_path / "nowhere")]) == 1
    assert "no claim is declared in" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_lock_takes_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["lock", "one", "other"])
    assert "unrecognized arguments: other" in capsys.readouterr().err


def test_changed_verdicts_come_first(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    write(run, before)
    assert main(["diff", str(before), str(before)]) == 0
    assert capsys.readouterr().out == f"{len(run.findings)} findings with the same verdict, 0 with another\n"
    gone = replace(run.findings[2], verdict="not tested", estimate=None, p_value=None, reason="no weights")
    write(replace(run, seed=3, findings=(*run.findings[1:2], gone, *run.findings[3:])), after)
    assert main(["diff", str(before), str(after)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"zero \(corrected\) on medium: \? inconclusive -?0\.\d+ before, – not tested now", lines[0])
    assert re.fullmatch(r"falls \(corrected\) on small: gone, was ✓ supported -0\.\d+", lines[1])
    assert lines[2:] == [
        "3 findings with the same verdict, 1 with another",
        "made under other conditions: seed: 0 before, 3 now",
    ]
    assert main(["diff", str(after), str(before), "--markdown"]) == 1
    table = capsys.readouterr().out
    assert table.startswith("**1 changed verdicts**, 3 the same.\n\n| claim | reading | size | before | now |\n")
    assert re.search(r"\| falls \| corrected \| small \| – \| ✓ supported -0\.\d+ \|", table)
