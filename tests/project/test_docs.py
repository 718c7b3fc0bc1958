"""The documentation builds without a warning and names only what exists. `tests/pages` runs its code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from project import DOCS, PROJECT

from pathlen.cli import COMMANDS
from pathlen.columns.catalog import CATALOG

PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "_generated" not in path.parts)


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = {
        (Path(page).parent / line).as_posix() + ".md"
        for page in PAGES
        for table in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        for line in table.splitlines()
        if line and not line.startswith(":")
    }
    assert listed == set(PAGES) - {"index.md"}


def test_options_named_on_pages_exist() -> None:
    # The page on clusters also names Dask's options; its commands are run by tests/corpora/test_slurm.py.
    text = " ".join((DOCS / page).read_text("utf-8") for page in PAGES if page != "cluster.md")
    known = {name for command in COMMANDS for argument in command.arguments for name in argument.names}
    plugin = (PROJECT / "pathlen" / "plugin.py").read_text("utf-8")
    for option in set(re.findall(r"`(--[a-z-]+)", text)):
        unprefixed = option.replace("--pathlen-", "--")
        assert unprefixed in known or f'"{unprefixed}"' in plugin, option


def test_the_generated_pages_hold_every_column_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import conf  # type: ignore[import-not-found]

    assert all(f"| `{name}` |" in conf.columns() for name in CATALOG)
    assert all(f"## pathlen {command.name}\n" in conf.commands() for command in COMMANDS)


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the documentation is built with pathlen[docs]")
    build = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    pages = " ".join(path.read_text("utf-8") for path in tmp_path.rglob("*.html"))
    assert "straight-is-surprised" in pages
    assert "pathlen.stats.estimator.estimator" in pages
