"""The command ``pathlen lock``: record what a folder's claims declare, or check them against that record."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from pathlen.cli.command import DONE, FOUND, JSON, PATH, argument, command, say, say_json

__all__ = ["lock"]


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
    """Write a folder's lock, or compare its claims with the existing one."""
    from pathlen.claims.lock import LOCK, lock_of, read_lock, write_lock

    current, path = lock_of(options.folder), options.folder / LOCK
    is_compared = options.check or path.exists()
    differences = read_lock(path).deviations(current.declarations) if is_compared else []
    if not options.check:
        write_lock(current, path)
    if options.json:
        say_json(
            {
                "lock": str(path),
                "digest": current.digest,
                "declarations": len(current.declarations),
                "differences": differences,
                "written": not options.check,
            }
        )
    elif options.check:
        say(*(differences or [f"{path}: {len(current.declarations)} declarations, all as locked"]))
    else:
        say(*differences, f"{path}: {len(current.declarations)} declarations")
    return FOUND if options.check and differences else DONE
