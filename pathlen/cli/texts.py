"""The command ``pathlen texts``: the passages that ship with the package."""

from __future__ import annotations

from argparse import Namespace

from pathlen.cli.command import DONE, JSON, command, say, say_json

__all__ = ["texts"]


@command("texts", "the passages that ship with the package", JSON)
def texts(options: Namespace) -> int:
    """List the shipped passages with their lengths and beginnings."""
    from pathlen.passages.shipped import NAMES, shipped

    passages = [shipped(name) for name in NAMES]
    if options.json:
        say_json(
            [
                {
                    "name": passage.name,
                    "words": len(passage.text.split()),
                    "sha256": passage.sha256,
                    "text": passage.text,
                }
                for passage in passages
            ]
        )
    else:
        for passage in passages:
            say(f"{passage.name:12} {len(passage.text.split()):4} words  {passage.text[:60]}...")
    return DONE
