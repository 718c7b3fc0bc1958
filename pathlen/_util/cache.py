"""What was computed before and need not be again, in the user's cache folder.

An entry is named by a digest of everything it depends on, so that it isn't stale: whoever changes a model, a text, a
claim or anything beside it, this package or what it computes with asks for another name. What a claim's body reads from
elsewhere, or from the clock, is not seen. An entry holds a digest of its content, too; a damaged
one is as good as none. ``PATHLEN_CACHE`` names another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen._util.digests import digest, digest_of_file
from pathlen._util.files import write_bytes, write_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SIGNATURE", "Cache", "folder"]

ENTRY = re.compile(r"[0-9a-f]{64}\.(json|safetensors)")
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"  # by which backups know a cache: bford.info/cachedir
TAG = f"{SIGNATURE}\n# Made by pathlen; may be deleted at any time.\n"


def folder() -> Path:
    """Return the folder of the cache, which need not exist."""
    from platformdirs import user_cache_path

    named = os.environ.get("PATHLEN_CACHE")
    return Path(named) if named else user_cache_path("pathlen", appauthor=False)


class Cache:
    """Texts and arrays by name, each in a file of its own that is written completely or not at all."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def _path(self, name: str, kind: str = "json") -> Path:
        return self.home / name[:2] / f"{name}.{kind}"

    def get(self, name: str) -> str | None:
        """Return what was kept under a name; None if nothing was, or if it is damaged."""
        try:
            kept = json.loads(self._path(name).read_text("utf-8"))
            text: str = kept["text"]
            return text if kept["sha256"] == digest(text) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, name: str, text: str) -> None:
        """Keep a text under a name; a folder that can't be written to keeps nothing."""
        try:
            tag = self.home / "CACHEDIR.TAG"
            if not tag.is_file():
                write_text(tag, TAG)
            write_text(self._path(name), json.dumps({"sha256": digest(text), "text": text}))
        except OSError:
            pass  # the next run computes it again

    def get_arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return the arrays that were kept under a name; None if none were, or if they are damaged."""
        from safetensors.numpy import load_file

        path = self._path(name, "safetensors")
        try:
            whole = self.get(name)
            return load_file(path) if whole is not None and whole == digest_of_file(path) else None
        except OSError:
            return None

    def put_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays under a name; as `put`."""
        import numpy as np
        from safetensors.numpy import save

        content = save({key: np.ascontiguousarray(one) for key, one in arrays.items()})
        try:
            write_bytes(self._path(name, "safetensors"), content)
        except OSError:
            return
        self.put(name, hashlib.sha256(content).hexdigest())

    def entries(self) -> list[Path]:
        """Return the files of all entries; none in a folder that this package did not make."""
        try:
            is_ours = (self.home / "CACHEDIR.TAG").read_text("utf-8") == TAG
        except (OSError, UnicodeDecodeError):
            return []
        return sorted(path for path in self.home.glob("??/*") if is_ours and ENTRY.fullmatch(path.name))

    def clear(self) -> int:
        """Delete all entries and return how many there were; whatever else is in the folder is left alone."""
        found = self.entries()
        for path in found:
            path.unlink()
        for parent in {path.parent for path in found}:
            with suppress(OSError):
                parent.rmdir()  # where something else is in it, it stays
        return len(found)
