"""How the documentation is built: ``sphinx-build -W docs build/docs``."""

from __future__ import annotations

import contextlib
import io
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pathlen"
author = "The pathlen authors"
copyright = "The pathlen authors, MIT licence"  # Sphinx's name for it
release = version = version_of("pathlen")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_generated"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
html_theme = "furo"
html_title = "pathlen"
html_copy_source = False

GENERATED = Path(__file__).parent / "_generated"


def columns() -> str:
    """Return the catalog of columns as a Markdown table."""
    from pathlen.columns.catalog import CATALOG

    lines = ["| column | axes | unit | part | is |", "|---|---|---|---|---|"]
    for column in CATALOG.values():
        meaning = column.meaning.replace("|", "\\|")
        lines.append(f"| `{column.name}` | {', '.join(column.axes)} | {column.unit} | {column.part} | {meaning} |")
    return "\n".join(lines) + "\n"


def statistics() -> str:
    """Return the register of statistics as a Markdown table."""
    from pathlen.stats.registry import statistics_table

    return statistics_table()


def commands() -> str:
    """Return the help of every command, as Markdown sections."""
    from pathlen.cli import COMMANDS, main

    sections = []
    for command in COMMANDS:
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main([command.name, "--help"])
        sections.append(f"## pathlen {command.name}\n\n```text\n{output.getvalue().strip()}\n```\n")
    return "\n".join(sections)


def generate(app: Sphinx) -> None:
    """Write the pages that are made from the code, so that they can't be out of date."""
    GENERATED.mkdir(exist_ok=True)
    pages = {"columns.md": columns(), "statistics.md": statistics(), "commands.md": commands()}
    for name, text in pages.items():
        (GENERATED / name).write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Generate pages before Sphinx reads them."""
    app.connect("builder-inited", generate)
