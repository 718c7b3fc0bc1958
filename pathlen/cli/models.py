"""The command ``pathlen models``: the sizes of both families, and which of them are on this machine."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from pathlen.cli.command import DONE, JSON, command, say, say_json

if TYPE_CHECKING:
    from pathlen.models.families import ModelSpec

__all__ = ["models"]


@command("models", "which models there are, and which are on this machine", JSON)
def models(options: Namespace) -> int:
    """List the sizes of both families with their folders, or with the command that gets their weights."""
    from pathlen.models.families import FAMILIES

    rows = [_row(spec) for sizes in FAMILIES.values() for spec in sizes.values()]
    if options.json:
        say_json(rows)
    else:
        for row in rows:
            location = row["folder"] or f"not on this machine; {row['remedy']}"
            say(f"{row['family']:5} {row['size']:7} {row['blocks']:2} blocks {row['width']:5} wide  {location}")
    return DONE


def _row(spec: ModelSpec) -> dict[str, Any]:
    """Return a model as plain data, with its folder or with the command that gets its weights."""
    from pathlen.errors import ModelNotFound
    from pathlen.models.checkpoint import find

    row = {
        "family": spec.family,
        "size": spec.size,
        "blocks": spec.n_layer,
        "heads": spec.n_head,
        "width": spec.d_model,
    }
    try:
        return {**row, "folder": str(find(spec)), "remedy": ""}
    except ModelNotFound as error:
        return {**row, "folder": None, "remedy": error.remedy}
