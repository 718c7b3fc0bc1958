"""What holds for every command."""

from __future__ import annotations

import pytest

from pathlen import cli
from pathlen.cli import COMMANDS, main


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "usage: pathlen" in capsys.readouterr().err


def test_every_command_is_in_the_modules_docstring_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        assert f"    pathlen {command.name} " in (cli.__doc__ or "")
        with pytest.raises(SystemExit, match="0"):
            main([command.name, "--help"])
        assert " ".join(f"{command.sentence}.".split()) in " ".join(capsys.readouterr().out.split())
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


def test_a_misspelled_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["reprot", "x.json"])
    assert capsys.readouterr().err.strip().endswith("; did you mean report?")
    with pytest.raises(SystemExit, match="2"):
        main(["cache", "empty"])
    assert "did you mean" not in capsys.readouterr().err


def test_an_interrupted_command_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlen.cli.doctor.examine", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "pathlen doctor: stopped\n"
