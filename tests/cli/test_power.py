"""``pathlen power``: what the texts of a record could have shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pathlen.cli import main
from pathlen.records.files import write
from pathlen.records.schema import Run


def test_every_finding_has_its_detectable_effect(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run, tmp_path / "run.json")
    assert main(["power", str(tmp_path / "run.json")]) == 0
    falls, *_, zero = capsys.readouterr().out.splitlines()
    assert falls.startswith("falls (corrected) on small: 480 tokens, worth ")
    assert "find an r of -0." in falls
    assert "show an r between -0." in zero
    assert "such passages would decide" in zero
    assert main(["power", str(tmp_path / "none.json")]) == 1


def test_json_has_the_same(run: Run, tmp_path: Path, printed_json: Callable[[], Any]) -> None:
    write(run, tmp_path / "run.json")
    assert main(["power", str(tmp_path / "run.json"), "--json"]) == 0
    first = printed_json()[0]
    assert first["could_show"].startswith("find an r of -0.")
    assert first["tokens"] == 480
