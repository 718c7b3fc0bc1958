"""Every code block of the documentation runs, in the order of its page, and says what the page says it does.

- A ``console`` block holds commands (``$ ...``) and what they print; ``...`` stands for anything. A command has to succeed,
  unless the next one is ``echo $?``.
- A ``python`` block whose first line is a comment with a path is that file; any other runs, after the ones before it.
- A ``yaml`` block whose first line is a path is a workflow: it has to be one, and its ``pathlen`` and ``pytest`` commands run.
- A ``bash`` block is a script, and runs.
- ``<!-- run: ... -->`` prepares a page.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from project import DOCS

PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "_generated" not in path.parts)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$|<!-- run: (.*?) -->", re.DOTALL | re.MULTILINE)
SHOWN = {"text", "toctree"}  # what is shown and is no code
END = "__end_of_output__"
# Need GPT-2's weights, or a cluster: run against stand-ins by test_real_models_page.py, test_fetch.py and test_slurm.py.
ELSEWHERE = {"real-models.md", "cluster.md"}
# A page with nothing to run is one that only explains or lists.
WITHOUT_CODE = {
    "how-to/index.md",
    "explanation/index.md",
    "explanation/verdicts.md",
    *(page for page in PAGES if page.startswith("reference/")),
}


@dataclass(frozen=True)
class Block:
    """A piece of a page: its kind, its text, and the line it begins on."""

    kind: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    text = (DOCS / page).read_text("utf-8")
    return [
        Block(found[1] or "run", found[2] or found[3], text[: found.start()].count("\n") + 1)
        for found in BLOCK.finditer(text)
    ]


class Shell:
    """One shell for a whole page, so that folders and variables stay."""

    def __init__(self, home: Path, cache: Path) -> None:
        tools = Path(sys.executable).parent
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        names = {"PATH": path, "PATHLEN_CACHE": str(cache), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        self.running = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=home,
            env={**os.environ, **names, "COLUMNS": "500"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.home = home

    def run(self, command: str) -> tuple[int, list[str]]:
        assert self.running.stdin is not None
        assert self.running.stdout is not None
        self.running.stdin.write(f"{command}\n__status=$?; echo; echo {END} $__status $PWD; (exit $__status)\n")
        self.running.stdin.flush()
        lines: list[str] = []
        for line in self.running.stdout:
            if line.startswith(END):
                _, status, folder = line.split(maxsplit=2)
                self.home = Path(folder.strip())
                return int(status), [one.rstrip() for one in lines if one.strip()]
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended: {lines}")

    def close(self) -> None:
        assert self.running.stdin is not None
        assert self.running.stdout is not None
        self.running.stdin.close()
        self.running.wait(timeout=30)
        self.running.stdout.close()


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all pages, as a reader of several has."""
    return tmp_path_factory.mktemp("cache")


def agrees(shown: list[str], found: list[str]) -> bool:
    """Whether what is shown, with ``...`` for anything, is what was found."""
    pattern = "".join(
        "(?:.*\\n)*?" if line == "..." else ".*?".join(map(re.escape, line.split("..."))) + r"[ ]*\n" for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in found)) is not None


def commands(block: Block) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(line.rstrip())
    return found


def run_console(shell: Shell, block: Block, where: str) -> None:
    asked = commands(block)
    for place, (command, shown) in enumerate(asked):
        status, found = shell.run(command)
        may_fail = place + 1 < len(asked) and asked[place + 1][0] == "echo $?"
        assert status == 0 or may_fail, f"{where}: {command} ended with {status}:\n" + "\n".join(found)
        assert agrees(shown, found), f"{where}: {command}\n" + "\n".join(difflib.ndiff(shown, found))


def run_python(shell: Shell, block: Block, earlier: list[str], where: str) -> None:
    file = re.match(r"# (\S+\.py)\n", block.text)
    if file:
        target = shell.home / file[1]
        target.parent.mkdir(exist_ok=True)
        target.write_text(block.text, encoding="utf-8")
        return
    earlier.append(block.text)
    script = shell.home / "page.py"
    script.write_text("\n".join(earlier), encoding="utf-8")
    status, found = shell.run(f"python -W error {script}")
    assert status == 0, f"{where}:\n" + "\n".join(found)


def run_workflow(shell: Shell, block: Block, where: str) -> None:
    lines = [line.split("run: ", 1)[1] for line in block.text.splitlines() if "- run: " in line]
    assert lines[0].startswith("pip install ")
    assert shell.run("pathlen lock claims")[0] == 0  # which the page's reader has committed
    for command in lines[1:]:
        status, found = shell.run(command)
        assert status == 0, f"{where}: {command} ended with {status}:\n" + "\n".join(found)


@pytest.mark.skipif(shutil.which("bash") is None, reason="pages are run in bash")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in WITHOUT_CODE | ELSEWHERE])
def test_a_page_does_what_it_says(page: str, tmp_path: Path, kept: Path) -> None:
    shell, earlier = Shell(tmp_path, kept), list[str]()
    try:
        for block in blocks(page):
            where = f"docs/{page}:{block.line}"
            if block.kind == "console":
                run_console(shell, block, where)
            elif block.kind == "python":
                run_python(shell, block, earlier, where)
            elif block.kind == "yaml":
                run_workflow(shell, block, where)
            elif block.kind == "run":
                status, found = shell.run(block.text)
                assert status == 0, f"{where}:\n" + "\n".join(found)
            elif block.kind == "bash":
                (shell.home / "script.sh").write_text(block.text, encoding="utf-8")
                status, found = shell.run("FAMILY=mini bash script.sh")
                assert status == 0, f"{where}:\n" + "\n".join(found)
            else:
                assert block.kind in SHOWN, f"{where}: a block of {block.kind} is not run"
    finally:
        shell.close()


def test_every_page_that_has_code_is_run() -> None:
    for page in PAGES:
        has_code = any(block.kind not in SHOWN for block in blocks(page))
        assert has_code == (page not in WITHOUT_CODE), page


def test_the_comparison_can_fail() -> None:
    assert agrees(["a ... c", "...", "z"], ["a b c", "d", "z"])
    assert not agrees(["a ... c"], ["a b d"])
    assert not agrees(["...", "z"], ["a"])
    assert not agrees(["a"], ["a", "b"])
