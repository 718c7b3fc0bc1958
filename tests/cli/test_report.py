"""``pathlen report``: a record rendered again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pathlen.cli import main
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


def test_an_invalid_record_gives_a_one_line_error_and_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "run.json"
    record.write_text("{", encoding="utf-8")
    assert main(["report", str(record)]) == 1
    assert "is not JSON" in capsys.readouterr().err
    assert not (tmp_path / "run.html").exists()


def test_a_page_never_replaces_its_record(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "run.html"
    write(run, record)
    assert main(["report", str(record)]) == 1
    assert "the page must not replace its record" in capsys.readouterr().err
    assert main(["report", str(record), "-o", str(tmp_path / "page.html"), "--record", str(record)]) == 1
    error = capsys.readouterr().err
    assert "the one record of several must not replace its record" in error
    assert error.endswith("name another with --record\n")
    assert record.read_text("utf-8").startswith("{")
