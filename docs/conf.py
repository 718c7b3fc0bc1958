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
    """Return the catalog of columns as a page's part."""
    from pathlen.columns.catalog import CATALOG

    lines = ["| column | axes | unit | part | is |", "|---|---|---|---|---|"]
    for one in CATALOG.values():
        meaning = one.meaning.replace("|", "\\|")
        lines.append(f"| `{one.name}` | {', '.join(one.axes)} | {one.unit} | {one.part} | {meaning} |")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Return every command's own help."""
    from pathlen.cli import COMMANDS, main

    parts = []
    for one in COMMANDS:
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            main([one.name, "--help"])
        parts.append(f"## pathlen {one.name}\n\n```text\n{shown.getvalue().strip()}\n```\n")
    return "\n".join(parts)


def generate(app: Sphinx) -> None:
    """Write what is made from the code itself, so that it can't be out of date."""
    GENERATED.mkdir(exist_ok=True)
    for name, text in {"columns.md": columns(), "commands.md": commands()}.items():
        (GENERATED / name).write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Have it written before pages are read."""
    app.connect("builder-inited", generate)
