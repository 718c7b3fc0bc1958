"""The command ``pathlen new``: a folder to write the claims of a document in."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from pathlen.cli.command import DONE, JSON, PATH, argument, command, say, say_json

__all__ = ["new"]


@command(
    "new",
    "a folder to write the claims of one's own document in, which runs at once",
    argument("folder", metavar="FOLDER", type=Path, help="must not be there yet, or be empty", completes=PATH),
    argument("--title", metavar="TITLE", default="", help="of the document; default: made of the folder's name"),
    argument(
        "--document", metavar="FILE", type=Path, help="the document itself, whose digest is noted", completes=PATH
    ),
    JSON,
)
def new(options: Namespace) -> int:
    """Write a folder with a paper, an example claim, a ``tox.ini`` and a README, and print how to run it."""
    from pathlen.claims.scaffold import scaffold

    files = scaffold(options.folder, title=options.title, document=options.document)
    if options.json:
        say_json([str(path) for path in files])
    else:
        say(*map(str, files), "", f"next:  cd {options.folder}", "       pytest claims --family mini --size small")
    return DONE
