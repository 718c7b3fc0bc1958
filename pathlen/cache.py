"""What was computed before and need not be again, in the user's cache folder.

An entry is named by a digest of everything it depends on, so that it can't be stale: whoever changes a model, a text, a
claim, this package or what it computes with asks for another name. An entry holds a digest of its content, too; a damaged
one is as good as none. ``PATHLEN_CACHE`` names another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pathlen.files import write_text

__all__ = ["Cache", "digest", "engine", "folder"]

COMPUTE = ("torch", "transformers", "tokenizers", "numpy", "scipy")
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by pathlen; may be deleted at any time.\n"


def folder() -> Path:
    """Return the folder of the cache, which need not exist."""
    from platformdirs import user_cache_path

    named = os.environ.get("PATHLEN_CACHE")
    return Path(named) if named else user_cache_path("pathlen", appauthor=False)


def digest(*parts: object) -> str:
    """Return a digest of parts that are their own text."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8")).hexdigest()


@cache
def engine() -> str:
    """Return a digest of this package's source and of what it computes with."""
    home = Path(__file__).parent
    sources = [digest(path.relative_to(home), path.read_text("utf-8")) for path in sorted(home.rglob("*.py"))]
    return digest(*sources, *map(_version, COMPUTE))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


class Cache:
    """Texts by name, each in a file of its own that is written completely or not at all."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def _path(self, name: str) -> Path:
        return self.home / name[:2] / f"{name}.json"

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

    def entries(self) -> list[Path]:
        """Return the files of all entries."""
        return sorted(self.home.glob("*/*.json"))

    def clear(self) -> int:
        """Delete all entries and return how many there were; a folder that isn't a cache is left alone."""
        found = self.entries() if (self.home / "CACHEDIR.TAG").is_file() else []
        for parent in {path.parent for path in found}:
            shutil.rmtree(parent)
        return len(found)
