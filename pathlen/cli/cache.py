"""The command ``pathlen cache``: what earlier runs saved to avoid computing it again."""

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
    """Print the size and folder of the cache, or delete its entries."""
    from pathlen._util.cache import Cache, folder

    store = Cache(folder())
    if options.action == "clear":
        deleted = store.clear()
        if options.json:
            say_json({"folder": str(store.home), "deleted": deleted})
        else:
            say(f"{store.home}: {deleted:,} entries deleted")
        return DONE
    entries = store.entries()
    size = sum(path.stat().st_size for path in entries)
    if options.json:
        say_json({"folder": str(store.home), "entries": len(entries), "bytes": size})
    else:
        say(f"{store.home}: {len(entries):,} entries, {size / 1e6:.1f} MB")
    return DONE
