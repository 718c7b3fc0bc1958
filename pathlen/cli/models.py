"""Commands about what can be measured: models and texts."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pathlen.cli.command import DONE, JSON, argument, command, say, say_json

if TYPE_CHECKING:
    from pathlen.models.hub import Plan

__all__ = ["fetch", "models", "texts"]


@command("models", "which models there are, and which are on this machine", JSON)
def models(options: Namespace) -> int:
    """List the sizes of both families with their folders, or with the command that gets their weights."""
    from pathlen.errors import ModelNotFound
    from pathlen.models.checkpoint import find
    from pathlen.models.families import FAMILIES

    found: list[dict[str, Any]] = []
    for family, sizes in FAMILIES.items():
        for size, spec in sizes.items():
            one = {"family": family, "size": size, "blocks": spec.n_layer, "heads": spec.n_head, "width": spec.d_model}
            try:
                found.append({**one, "folder": str(find(spec)), "remedy": ""})
            except ModelNotFound as error:
                found.append({**one, "folder": None, "remedy": error.remedy})
    if options.json:
        say_json(found)
    else:
        for one in found:
            place = one["folder"] or f"not on this machine; {one['remedy']}"
            say(f"{one['family']:5} {one['size']:7} {one['blocks']:2} blocks {one['width']:5} wide  {place}")
    return DONE


@command(
    "fetch",
    "get weights from the Hugging Face Hub",
    argument("names", metavar="NAME", nargs="+", help="a size, or owner/repository, or owner/repository@revision"),
    argument("--family", metavar="FAMILY", default="gpt2", help="whose sizes are meant; default: gpt2"),
    argument("--dry-run", action="store_true", help="say what it would take, and download nothing"),
    JSON,
)
def fetch(options: Namespace) -> int:
    """Say what a download takes, and make it."""
    from pathlen.models.hub import describe, named, plan, require_space
    from pathlen.models.hub import fetch as get

    plans = [plan(named(name, options.family)) for name in dict.fromkeys(options.names)]
    if not options.json:
        say("\n".join(describe(plans)))
    if not options.dry_run:
        require_space(plans)
        for one in plans:
            folder = get(one)
            if not options.json:
                say(str(folder))
    if options.json:
        say_json([_plain(one, fetched=not options.dry_run) for one in plans])
    return DONE


def _plain(plan: Plan, *, fetched: bool) -> dict[str, Any]:
    """Return a plan as plain data; ``missing`` are the bytes that were not here before."""
    return {
        "repository": plan.repository,
        "commit": plan.commit,
        "folder": str(plan.folder),
        "files": [asdict(file) for file in plan.files],
        "total": plan.total,
        "missing": plan.missing,
        "fetched": fetched,
    }


@command("texts", "the passages that ship with the package", JSON)
def texts(options: Namespace) -> int:
    """List the shipped passages with their lengths and beginnings."""
    from pathlen.passages.shipped import NAMES, shipped

    found = [shipped(name) for name in NAMES]
    if options.json:
        say_json(
            [
                {"name": one.name, "words": len(one.text.split()), "sha256": one.sha256, "text": one.text}
                for one in found
            ]
        )
    else:
        say(*(f"{one.name:12} {len(one.text.split()):4} words  {one.text[:60]}..." for one in found))
    return DONE
