"""The command ``pathlen fetch``: download weights from the Hugging Face Hub."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pathlen.cli.command import DONE, JSON, argument, command, say, say_json

if TYPE_CHECKING:
    from pathlen.models.hub import Plan

__all__ = ["fetch"]


@command(
    "fetch",
    "get weights from the Hugging Face Hub",
    argument("names", metavar="NAME", nargs="+", help="a size, or owner/repository, or owner/repository@revision"),
    argument("--family", metavar="FAMILY", default="gpt2", help="whose sizes are meant; default: gpt2"),
    argument("--dry-run", action="store_true", help="say what it would take, and download nothing"),
    JSON,
)
def fetch(options: Namespace) -> int:
    """Print what a download takes, then download."""
    from pathlen.models import hub

    plans = [hub.plan(hub.named(name, options.family)) for name in dict.fromkeys(options.names)]
    if not options.json:
        say("\n".join(hub.describe(plans)))
    if not options.dry_run:
        hub.require_space(plans)
        for plan in plans:
            folder = hub.fetch(plan)
            if not options.json:
                say(str(folder))
    if options.json:
        say_json([_plain(plan, is_fetched=not options.dry_run) for plan in plans])
    return DONE


def _plain(plan: Plan, *, is_fetched: bool) -> dict[str, Any]:
    """Return a plan as plain data; ``missing`` counts the bytes that were not on this machine before."""
    return {
        "repository": plan.repository,
        "commit": plan.commit,
        "folder": str(plan.folder),
        "files": [asdict(file) for file in plan.files],
        "total": plan.total,
        "missing": plan.missing,
        "fetched": is_fetched,
    }
