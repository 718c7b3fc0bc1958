"""Commands about this machine: what was kept, and whether everything is in place."""

from __future__ import annotations

from argparse import Namespace

from pathlen.cli.command import DONE, JSON, argument, command, say, say_json

__all__ = ["cache"]


@command(
    "cache",
    "what earlier runs kept to save work",
    argument("action", metavar="ACTION", choices=("info", "clear"), help="info or clear"),
    JSON,
)
def cache(options: Namespace) -> int:
    """Say how much is kept and where, or delete it."""
    from pathlen.cache import Cache, folder

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
