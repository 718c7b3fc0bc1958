"""Commands about a folder of claims."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from pathlen.cli.command import DONE, FOUND, JSON, PATH, argument, command, say, say_json

__all__ = ["lock", "new"]


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
    """Write a folder with a paper, an example claim, a ``tox.ini`` and a README, and say how to run it."""
    from pathlen.claims.scaffold import scaffold

    files = scaffold(options.folder, title=options.title, document=options.document)
    if options.json:
        say_json([str(path) for path in files])
    else:
        say(*map(str, files), "", f"next:  cd {options.folder}", "       pytest claims --family mini --size small")
    return DONE


@command(
    "lock",
    "write down what a folder's claims declare; a run that differs is flagged",
    argument(
        "folder",
        metavar="FOLDER",
        type=Path,
        nargs="?",
        default=Path("claims"),
        help="default: claims",
        completes=PATH,
    ),
    argument("--check", action="store_true", help="write nothing, and say what differs from the lock"),
    JSON,
)
def lock(options: Namespace) -> int:
    """Write a folder's lock, or compare its claims with the one there is."""
    from pathlen.claims.lock import LOCK, lock_of, read_lock, write_lock

    found, path = lock_of(options.folder), options.folder / LOCK
    compared = options.check or path.exists()
    differences = read_lock(path).deviations(found.declarations) if compared else []
    if not options.check:
        write_lock(found, path)
    if options.json:
        say_json(
            {
                "lock": str(path),
                "digest": found.digest,
                "declarations": len(found.declarations),
                "differences": differences,
                "written": not options.check,
            }
        )
    elif options.check:
        say(*(differences or [f"{path}: {len(found.declarations)} declarations, all as locked"]))
    else:
        say(*differences, f"{path}: {len(found.declarations)} declarations")
    return FOUND if options.check and differences else DONE
