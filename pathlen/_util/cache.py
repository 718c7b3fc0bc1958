"""Results of earlier runs, in the user's cache folder.

An entry is named by a digest of everything it depends on: the model, the text, the claim and the files beside it, this package
and the packages it computes with. A change to any of them asks for another name, so no entry is ever stale. What a claim's body
reads from elsewhere, or from the clock, is not seen. An entry also holds a digest of its content; a damaged one counts as
missing. ``PATHLEN_CACHE`` names another folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen._util.digests import digest, digest_of_bytes, digest_of_file
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
    """Texts and arrays by name, each in its own file, which is written completely or not at all."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def _path(self, name: str, kind: str = "json") -> Path:
        return self.home / name[:2] / f"{name}.{kind}"

    def get(self, name: str) -> str | None:
        """Return the text that was kept under a name; None if there is none, or if it is damaged or can't be read."""
        try:
            entry = json.loads(self._path(name).read_text("utf-8"))
            text: str = entry["text"]
            return text if entry["sha256"] == digest(text) else None
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
        """Return the arrays that were kept under a name; None if there are none, or if they are damaged or can't be read."""
        from safetensors.numpy import load_file

        path = self._path(name, "safetensors")
        try:
            recorded = self.get(name)
            return load_file(path) if recorded is not None and recorded == digest_of_file(path) else None
        except OSError:
            return None

    def put_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays under a name, as `put` does a text."""
        import numpy as np
        from safetensors.numpy import save

        content = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
        try:
            write_bytes(self._path(name, "safetensors"), content)
        except OSError:
            return
        self.put(name, digest_of_bytes(content))

    def entries(self) -> list[Path]:
        """Return the files of all entries; none in a folder that this package did not make."""
        try:
            is_ours = (self.home / "CACHEDIR.TAG").read_text("utf-8") == TAG
        except (OSError, UnicodeDecodeError):
            return []
        return sorted(path for path in self.home.glob("??/*") if is_ours and ENTRY.fullmatch(path.name))

    def clear(self) -> int:
        """Delete all entries and return how many there were; anything else in the folder is left alone."""
        entries = self.entries()
        for path in entries:
            path.unlink()
        for parent in {path.parent for path in entries}:
            with suppress(OSError):
                parent.rmdir()  # stays if anything else is in it
        return len(entries)
