"""``pathlen completion``: scripts for shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pathlen.cli import COMMANDS, main


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish"])
def test_a_shell_completes_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(command.name in script for command in COMMANDS)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
def test_bash_completes_commands_options_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out, encoding="utf-8")

    def completed(*words: str) -> list[str]:
        line = f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE=x; "
        line += f"_shtab_pathlen pathlen '{words[-1]}' 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        process = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
        return process.stdout.split()

    assert completed("pathlen", "do") == ["doctor"]
    assert "--dry-run" in completed("pathlen", "fetch", "--d")
    assert "run.json" in completed("pathlen", "power", "ru")
