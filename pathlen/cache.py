"""What was computed before and need not be again, in the user's cache folder.

An entry is named by a digest of everything it depends on, so that it isn't stale: whoever changes a model, a text, a
claim or anything beside it, this package or what it computes with asks for another name. What a claim's body reads from
elsewhere, or from the clock, is not seen. An entry holds a digest of its content, too; a damaged
one is as good as none. ``PATHLEN_CACHE`` names another folder.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen.files import write_bytes, write_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MEASURING", "SIGNATURE", "Cache", "digest", "digest_of_file", "engine", "folder", "sources_of"]

# The rooms whose source decides what a measurement gives; held to what `pathlen.traces` imports by a test.
MEASURING = (
    "anatomy",
    "attention",
    "cache",
    "columns",
    "errors",
    "files",
    "geometry",
    "memory",
    "mini",
    "models",
    "original",
    "passages",
    "products",
    "traces",
)
COMPUTE = ("torch", "transformers", "tokenizers", "numpy", "scipy")
SMALL_DATA = 1 << 20
ENTRY = re.compile(r"[0-9a-f]{64}\.(json|safetensors)")
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"  # by which backups know a cache: bford.info/cachedir
TAG = f"{SIGNATURE}\n# Made by pathlen; may be deleted at any time.\n"


def folder() -> Path:
    """Return the folder of the cache, which need not exist."""
    from platformdirs import user_cache_path

    named = os.environ.get("PATHLEN_CACHE")
    return Path(named) if named else user_cache_path("pathlen", appauthor=False)


def digest(*parts: object) -> str:
    """Return a digest of parts that are their own text."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8")).hexdigest()


@cache
def engine(rooms: tuple[str, ...] = ()) -> str:
    """Return a digest of this package's source, or of some of its rooms only, and of what it computes with.

    A room is a module or a folder at the package's top, named without ``.py``.
    """
    home = Path(__file__).parent
    files = [
        path
        for path in sorted(home.rglob("*.py"))
        if not rooms or path.relative_to(home).parts[0].removesuffix(".py") in rooms
    ]
    sources = [digest(path.relative_to(home), path.read_text("utf-8")) for path in files]
    return digest(*sources, *map(_version, COMPUTE))


@cache
def sources_of(function: Callable[..., object], leaving_out: tuple[str, ...] = ()) -> str:
    """Return a digest of all that a user's function may be made of: files beside its own and below, and modules of one's own.

    ``leaving_out`` names files that this package writes there itself, and that no function is made of.
    """
    return _sources(Path(inspect.getfile(function)), leaving_out)


@cache
def _sources(file: Path, leaving_out: tuple[str, ...]) -> str:
    beside = [path for path in sorted(file.parent.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    data = [path for path in beside if path.suffix != ".py" and path.name not in leaving_out]
    states = [(path.relative_to(file.parent), _state(path)) for path in data]
    code = {path.resolve() for path in beside if path.suffix == ".py"} | _own_modules()
    return digest(*(part for path in sorted(code) for part in (path.name, path.read_bytes())), *states)


def _state(data: Path) -> str | tuple[int, int]:
    """Return what tells whether data beside a function changed: its digest, or of a large file its size and time."""
    known = data.stat()
    return digest_of_file(data) if known.st_size <= SMALL_DATA else (known.st_size, known.st_mtime_ns)


def _own_modules() -> set[Path]:
    """Return the files of imported modules that are neither Python's own nor installed: a project's helpers."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = {_own(file) for file in files if file and file.endswith(".py")}
    return {path for path in paths if path is not None and path.is_file()}


@cache
def _own(file: str) -> Path | None:
    """Return where a module's file really is, None if it is installed; thousands are asked about for every file of claims."""
    path = Path(file).resolve()
    return None if any(path.is_relative_to(place) for place in _installed()) else path


@cache
def _installed() -> frozenset[Path]:
    return frozenset(Path(place).resolve() for place in sysconfig.get_paths().values()) | {Path(__file__).parent}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
