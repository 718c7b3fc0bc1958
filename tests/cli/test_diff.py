"""``pathlen diff``: two records compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pathlen.cli import main
from pathlen.records.files import write
from pathlen.records.schema import Run


def test_changed_verdicts_come_first(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    write(run, before)
    assert main(["diff", str(before), str(before)]) == 0
    assert capsys.readouterr().out == f"{len(run.findings)} findings with the same verdict, 0 with another\n"
    untested = replace(run.findings[2], verdict="not tested", estimate=None, p_value=None, reason="no weights")
    write(replace(run, seed=3, findings=(*run.findings[1:2], untested, *run.findings[3:])), after)
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


def test_json_lists_the_findings_that_are_gone(run: Run, tmp_path: Path, printed_json: Callable[[], Any]) -> None:
    write(run, tmp_path / "before.json")
    write(replace(run, findings=run.findings[1:]), tmp_path / "after.json")
    assert main(["diff", str(tmp_path / "before.json"), str(tmp_path / "after.json"), "--json"]) == 1
    changes = printed_json()
    assert changes["gone"] == [
        {"claim": "falls", "reading": "corrected", "size": "small", "before": run.findings[0].verdict}
    ]
    assert (changes["changed"], changes["new"], changes["same"]) == ([], [], len(run.findings) - 1)
