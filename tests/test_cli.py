"""The command line."""

from __future__ import annotations

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
