"""``pathlen lock``: what a folder's claims declare, recorded and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pathlen.cli import main

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


def test_a_check_prints_the_differences_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_default_folder_is_claims(
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
def test_claims_that_cannot_be_locked_give_a_one_line_error_and_no_lock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str, check: list[str]
) -> None:
    folder = claims_in(tmp_path / "claims", text)
    assert main(["lock", str(folder), *check]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("pathlen lock: ")
    assert message in printed.err
    assert printed.out == ""
    assert not (folder / "claims.lock").exists()


def test_a_check_with_a_missing_or_invalid_lock_is_a_one_line_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = claims_in(tmp_path / "claims")
    assert main(["lock", str(folder), "--check"]) == 1
    assert "claims.lock' can't be read: No such file" in capsys.readouterr().err
    (folder / "claims.lock").write_text("{", encoding="utf-8")
    assert main(["lock", str(folder), "--check"]) == 1
    assert capsys.readouterr().err.startswith(f"pathlen lock: {folder / 'claims.lock'} is not a lock: ")


def test_a_missing_folder_is_a_one_line_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", str(tmp_path / "nowhere")]) == 1
    assert "no claim is declared in" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_lock_takes_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["lock", "one", "other"])
    assert "unrecognized arguments: other" in capsys.readouterr().err


def test_json_lists_the_differences(tmp_path: Path, printed_json: Callable[[], Any]) -> None:
    folder = claims_in(tmp_path / "claims")
    assert main(["lock", str(folder), "--json"]) == 0
    assert printed_json() | {"digest": ""} == {
        "lock": str(folder / "claims.lock"),
        "digest": "",
        "declarations": 1,
        "differences": [],
        "written": True,
    }
    claims_in(folder, CLAIM.replace("It falls.", "It sinks."))
    assert main(["lock", str(folder), "--check", "--json"]) == 1
    assert printed_json()["differences"] == ["falls (corrected): sentence was It falls., is It sinks."]
