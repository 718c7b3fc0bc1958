"""The command line."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pathlen import cli
from pathlen.cli import COMMANDS, main
from pathlen.cli.command import painted
from pathlen.records.files import write
from pathlen.records.schema import Run
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
    assert "find an r of -0." in falls
    assert "show an r between -0." in zero
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


# What holds for every command.


def test_every_command_is_in_the_modules_docstring_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for one in COMMANDS:
        assert f"    pathlen {one.name} " in (cli.__doc__ or "")
        with pytest.raises(SystemExit, match="0"):
            main([one.name, "--help"])
        assert " ".join(f"{one.sentence}.".split()) in " ".join(capsys.readouterr().out.split())
    assert len({one.name for one in COMMANDS}) == len(COMMANDS)


def test_a_name_that_is_nearly_one_is_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["reprot", "x.json"])
    assert capsys.readouterr().err.strip().endswith("; did you mean report?")
    with pytest.raises(SystemExit, match="2"):
        main(["cache", "empty"])
    assert "did you mean" not in capsys.readouterr().err


def from_json(capsys: pytest.CaptureFixture[str]) -> Any:
    shown = capsys.readouterr()
    assert shown.err == ""
    return json.loads(shown.out)


def test_answers_are_json_on_request(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    models = from_json(capsys)
    assert [(one["family"], one["size"]) for one in models[:2]] == [("gpt2", "small"), ("gpt2", "medium")]
    assert all((one["folder"] is None) == bool(one["remedy"]) for one in models)
    assert main(["texts", "--json"]) == 0
    assert {one["name"] for one in from_json(capsys)} >= {"nietzsche", "tides"}
    write(run, tmp_path / "before.json")
    write(replace(run, findings=run.findings[1:]), tmp_path / "after.json")
    assert main(["diff", str(tmp_path / "before.json"), str(tmp_path / "after.json"), "--json"]) == 1
    found = from_json(capsys)
    assert found["gone"] == [
        {"claim": "falls", "reading": "corrected", "size": "small", "before": run.findings[0].verdict}
    ]
    assert (found["changed"], found["new"], found["same"]) == ([], [], len(run.findings) - 1)
    assert main(["power", str(tmp_path / "before.json"), "--json"]) == 0
    power = from_json(capsys)
    assert power[0]["could_show"].startswith("find an r of -0.")
    assert power[0]["tokens"] == 480
    assert main(["cache", "info", "--json"]) == 0
    assert from_json(capsys) | {"folder": ""} == {"folder": "", "entries": 0, "bytes": 0}
    assert main(["cache", "clear", "--json"]) == 0
    assert from_json(capsys)["deleted"] == 0
    folder = claims_in(tmp_path / "claims")
    assert main(["lock", str(folder), "--json"]) == 0
    assert from_json(capsys) | {"digest": ""} == {
        "lock": str(folder / "claims.lock"),
        "digest": "",
        "declarations": 1,
        "differences": [],
        "written": True,
    }
    claims_in(folder, CLAIM.replace("It falls.", "It sinks."))
    assert main(["lock", str(folder), "--check", "--json"]) == 1
    assert from_json(capsys)["differences"] == ["falls (corrected): sentence was It falls., is It sinks."]


class Terminal(io.StringIO):
    """A terminal that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_and_never_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert painted("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert painted("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("TERM", "dumb")
    assert painted("x", "red", Terminal()) == "x"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert painted("x", "red", io.StringIO()) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("x", "red", Terminal()) == "x"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish"])
def test_a_shell_completes_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(one.name in script for one in COMMANDS)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
def test_bash_completes_commands_options_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out, encoding="utf-8")

    def completed(*words: str) -> list[str]:
        line = f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE=x; "
        line += f"_shtab_pathlen pathlen '{words[-1]}' 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert completed("pathlen", "do") == ["doctor"]
    assert "--dry-run" in completed("pathlen", "fetch", "--d")
    assert "run.json" in completed("pathlen", "power", "ru")


def test_a_stopped_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlen.cli.doctor.examine", stopped)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "pathlen doctor: stopped\n"
