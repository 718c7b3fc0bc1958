"""Every code block of the documentation runs, in page order, and prints what the page shows.

- A ``console`` block holds commands (``$ ...``) and their output; ``...`` matches anything. A command has to succeed,
  unless the next one is ``echo $?``.
- A ``python`` block whose first line is a comment with a path is written to that file; any other block is run, after the
  earlier ones of its page.
- A ``yaml`` block is a workflow; its ``pathlen`` and ``pytest`` commands are run.
- A ``bash`` block is run as a script.
- ``<!-- run: ... -->`` is a command that prepares the page.
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
NOT_CODE = {"text", "toctree"}
END = "__end_of_output__"
# These pages need GPT-2's weights or a cluster. tests/project/test_real_models_page.py, tests/models/test_hub.py and
# tests/corpora/test_slurm.py run their code against stand-ins.
TESTED_ELSEWHERE = {"real-models.md", "cluster.md"}
# These pages only explain or list.
WITHOUT_CODE = {
    "how-to/index.md",
    "explanation/architecture.md",
    "explanation/index.md",
    "explanation/verdicts.md",
    *(page for page in PAGES if page.startswith("reference/")),
}


@dataclass(frozen=True)
class Block:
    """A code block or a preparing comment of a page: its language, its text, and the line where it begins."""

    kind: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    text = (DOCS / page).read_text("utf-8")
    return [
        Block(match[1] or "run", match[2] or match[3], text[: match.start()].count("\n") + 1)
        for match in BLOCK.finditer(text)
    ]


class Shell:
    """One shell for a page, so that its working directory and variables persist between blocks."""

    def __init__(self, home: Path, cache: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {"PATH": path, "PATHLEN_CACHE": str(cache), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=home,
            env={**os.environ, **variables, "COLUMNS": "500"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.folder = home

    def run(self, command: str) -> tuple[int, list[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n__status=$?; echo; echo {END} $__status $PWD; (exit $__status)\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.startswith(END):
                _, status, folder = line.split(maxsplit=2)
                self.folder = Path(folder.strip())
                return int(status), [output.rstrip() for output in lines if output.strip()]
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended: {lines}")

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all pages, as a reader of several pages has."""
    return tmp_path_factory.mktemp("cache")


def matches(shown: list[str], printed: list[str]) -> bool:
    """Return whether the lines shown on the page, with ``...`` for anything, match the printed ones."""
    pattern = "".join(
        "(?:.*\\n)*?" if line == "..." else ".*?".join(map(re.escape, line.split("..."))) + r"[ ]*\n" for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Return the commands of a console block, each with the output shown for it."""
    pairs: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            pairs.append((line[2:], []))
        elif line.strip():
            pairs[-1][1].append(line.rstrip())
    return pairs


def run_console(shell: Shell, block: Block, where: str) -> None:
    pairs = commands(block)
    following = [command for command, _ in pairs[1:]] + [""]
    for (command, shown), next_command in zip(pairs, following, strict=True):
        status, printed = shell.run(command)
        may_fail = next_command == "echo $?"
        assert status == 0 or may_fail, f"{where}: {command} ended with {status}:\n" + "\n".join(printed)
        assert matches(shown, printed), f"{where}: {command}\n" + "\n".join(difflib.ndiff(shown, printed))


def run_python(shell: Shell, block: Block, earlier: list[str], where: str) -> None:
    file = re.match(r"# (\S+\.py)\n", block.text)
    if file:
        target = shell.folder / file[1]
        target.parent.mkdir(exist_ok=True)
        target.write_text(block.text, encoding="utf-8")
        return
    earlier.append(block.text)
    script = shell.folder / "page.py"
    script.write_text("\n".join(earlier), encoding="utf-8")
    status, printed = shell.run(f"python -W error {script}")
    assert status == 0, f"{where}:\n" + "\n".join(printed)


def run_workflow(shell: Shell, block: Block, where: str) -> None:
    lines = [line.split("run: ", 1)[1] for line in block.text.splitlines() if "- run: " in line]
    assert lines[0].startswith("pip install ")
    assert shell.run("pathlen lock claims")[0] == 0  # a reader of the page has committed this lock
    for command in lines[1:]:
        status, printed = shell.run(command)
        assert status == 0, f"{where}: {command} ended with {status}:\n" + "\n".join(printed)


@pytest.mark.skipif(shutil.which("bash") is None, reason="pages are run in bash")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in WITHOUT_CODE | TESTED_ELSEWHERE])
def test_a_page_does_what_it_says(page: str, tmp_path: Path, shared_cache: Path) -> None:
    shell, earlier = Shell(tmp_path, shared_cache), list[str]()
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
                status, printed = shell.run(block.text)
                assert status == 0, f"{where}:\n" + "\n".join(printed)
            elif block.kind == "bash":
                (shell.folder / "script.sh").write_text(block.text, encoding="utf-8")
                status, printed = shell.run("FAMILY=mini bash script.sh")
                assert status == 0, f"{where}:\n" + "\n".join(printed)
            else:
                assert block.kind in NOT_CODE, f"{where}: a block of {block.kind} is not run"
    finally:
        shell.close()


def test_exactly_the_pages_with_code_are_run() -> None:
    for page in PAGES:
        has_code = any(block.kind not in NOT_CODE for block in blocks(page))
        assert has_code == (page not in WITHOUT_CODE), page


def test_the_comparison_can_fail() -> None:
    assert matches(["a ... c", "...", "z"], ["a b c", "d", "z"])
    assert not matches(["a ... c"], ["a b d"])
    assert not matches(["...", "z"], ["a"])
    assert not matches(["a"], ["a", "b"])
