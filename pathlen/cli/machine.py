"""Commands about this machine: what was kept, and whether everything is in place."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from pathlen.cli.command import DONE, FOUND, JSON, argument, command, painted, say, say_json

__all__ = ["cache", "completion", "doctor"]

MARKS = {"good": ("✓", "green"), "note": ("–", "yellow"), "bad": ("✗", "red")}
SHELLS = ("bash", "zsh", "tcsh", "fish")


@command(
    "cache",
    "what earlier runs kept to save work",
    argument("action", metavar="ACTION", choices=("info", "clear"), help="info or clear"),
    JSON,
)
def cache(options: Namespace) -> int:
    """Say how much is kept and where, or delete it."""
    from pathlen._util.cache import Cache, folder

    kept = Cache(folder())
    if options.action == "clear":
        deleted = kept.clear()
        if options.json:
            say_json({"folder": str(kept.home), "deleted": deleted})
        else:
            say(f"{kept.home}: {deleted:,} entries deleted")
        return DONE
    entries = kept.entries()
    size = sum(path.stat().st_size for path in entries)
    if options.json:
        say_json({"folder": str(kept.home), "entries": len(entries), "bytes": size})
    else:
        say(f"{kept.home}: {len(entries):,} entries, {size / 1e6:.1f} MB")
    return DONE


@command("doctor", "whether everything is in place on this machine, and what to do where not", JSON)
def doctor(options: Namespace) -> int:
    """Examine this machine; what limits what can be done is no fault."""
    from pathlen.cli.doctor import examine

    found = []
    for one in examine():
        found.append(one)
        if not options.json:
            mark, colour = MARKS[one.state]
            say(f"{painted(mark, colour)} {one.name:15} {one.said}")
            if one.remedy:
                say(f"  {'':15} {painted(one.remedy, 'dim')}")
    if options.json:
        say_json([asdict(one) for one in found])
    return FOUND if any(one.state == "bad" for one in found) else DONE


@command(
    "completion",
    "a script with which a shell completes these commands",
    argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS)),
)
def completion(options: Namespace) -> int:
    """Print the script for a shell: ``eval "$(pathlen completion bash)"``."""
    import shtab

    from pathlen.cli import parser

    say(shtab.complete(parser(paths=shtab.FILE), shell=options.shell))
    return DONE
